"""The callback in `Model.fit`, with a model of one weight, on whichever backend there is."""

from __future__ import annotations

import importlib.util
import os
import warnings

import numpy as np
import pytest

import tocsin

BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}

if "KERAS_BACKEND" not in os.environ:
    found = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if not found:
        pytest.skip("no backend of keras is installed", allow_module_level=True)
    os.environ["KERAS_BACKEND"] = found[0]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the framework's own
    keras = pytest.importorskip("keras", reason="keras is not installed")
    from tocsin.integrations.keras import TocsinCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # the framework's own
STEPS = 4


def fit(targets, callback=None, model=None, **options):
    """Train on batches of one; each loss is the square of its target."""
    if model is None:
        model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros")])
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    x = np.zeros((len(targets), 1))
    model.fit(
        x,
        np.array(targets).reshape(-1, 1),
        batch_size=1,
        shuffle=False,
        verbose=0,
        callbacks=[callback or TocsinCallback(project="mnist", name="wise-owl")],
        **options,
    )
    return model


def test_a_training_is_a_run(delivered):
    fit([2.0] * STEPS, epochs=2, validation_data=(np.zeros((1, 1)), np.ones(1)))
    told = delivered.wait_for("wise-owl finished")

    assert "trained for 8 steps: loss=4, val_loss=1" in told["text"]
    assert told["project"] == "mnist"
    assert len(delivered.all()) == 1
    assert tocsin.run is None


def test_a_run_that_is_there_goes_on(delivered):
    run = tocsin.init(name="mine")
    fit([1.0])

    assert tocsin.run is run
    assert delivered.of_kind("finished") == []


def test_the_loss_is_watched(delivered):
    """In the middle of an epoch; and the mean that stays NaN is told once."""
    fit([1.0, float("nan"), 1.0, 1.0])
    told = delivered.wait_for("loss is NaN")

    assert "at step 2" in told["text"]
    assert delivered.titles().count("loss is NaN") == 1


def test_a_limit_of_ones_own(delivered):
    fit([3.0], TocsinCallback(watch={"loss": {"above": 5}}))

    assert delivered.wait_for("loss is above 5: 9")


def test_a_training_that_fails_is_left_to_the_run(delivered):
    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise OSError("disk")

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(OSError, match="disk"):
        model.fit(
            np.zeros((2, 1)),
            np.zeros((2, 1)),
            verbose=0,
            callbacks=[TocsinCallback(), Failing()],
        )

    assert tocsin.run is not None
    assert delivered.of_kind("finished") == []


def test_a_callback_serves_twice(delivered):
    callback = TocsinCallback(name="wise-owl")
    model = fit([1.0], callback)
    fit([1.0, 1.0], callback, model)

    delivered.wait_for("wise-owl finished")
    texts = [str(told["text"]) for told in delivered.of_kind("finished")]
    assert [text.partition(":")[0] for text in texts] == [
        "trained for 1 step",
        "trained for 2 steps",
    ]


def test_it_never_raises(delivered, tmp_path, caplog):
    (tmp_path / "tocsin.toml").write_text("nonsense = 1")
    fit([1.0] * STEPS)

    assert tocsin.run is None


def test_the_class(delivered):
    assert issubclass(TocsinCallback, keras.callbacks.Callback)
    assert TocsinCallback.__doc__


def test_the_page(delivered, run_page):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    names = {"x": np.zeros((2, 1)), "y": np.zeros((2, 1))}

    assert run_page("how-to/frameworks.md", "keras", model=model, **names) == 1
    assert delivered.of_kind("finished")[0]["project"] == "mnist"
