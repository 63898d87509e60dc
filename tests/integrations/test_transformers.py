"""The callback in a real Trainer, with a model of a few weights, on the CPU."""

from __future__ import annotations

import math
import warnings

import pytest

import tocsin

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the framework's own
    pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from transformers import Trainer, TrainingArguments

    from tocsin.integrations.transformers import TocsinCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # the framework's own
STEPS = 4


class Line(torch.nn.Module):
    """One weight; the loss is what the test says at each step."""

    def __init__(self, losses):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self._losses = iter(losses)

    def forward(self, x, labels=None):
        loss = next(self._losses) if self.training else 0.25
        if isinstance(loss, Exception):
            raise loss
        return {"loss": self.weight.sum() * 0 + self.weight.sum() * loss, "logits": x}


ROWS = [{"x": torch.ones(1), "labels": torch.ones(1)} for _ in range(8)]


def arguments_of(folder, steps=STEPS, **options):
    return TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=2,
        max_steps=steps,
        logging_steps=1,
        learning_rate=0.0,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        use_cpu=True,
        dataloader_pin_memory=False,
        **options,
    )


def train(folder, losses=(1.0,) * STEPS, callback=None, **options):
    trainer = Trainer(
        model=Line(losses),
        args=arguments_of(folder, len(losses), **options),
        train_dataset=ROWS,
        eval_dataset=ROWS,
        callbacks=[callback or TocsinCallback(project="mnist")],
    )
    trainer.train()
    return trainer


def test_a_training_is_a_run(delivered, tmp_path):
    """Its end says how far it came, with the last metrics; nothing else is told."""
    train(tmp_path, run_name="wise-owl", eval_strategy="epoch")
    told = delivered.wait_for("wise-owl finished")

    assert "trained for 4 steps: " in told["text"]
    assert "train_loss=1" in told["text"]
    assert "eval_loss=0.25" in told["text"]
    assert told["project"] == "mnist"
    assert len(delivered.all()) == 1
    assert tocsin.run is None


def test_a_run_that_is_there_goes_on(delivered, tmp_path):
    run = tocsin.init(project="mine", name="mine")
    train(tmp_path)

    assert tocsin.run is run
    assert delivered.of_kind("finished") == []
    run.finish()


def test_the_loss_is_watched(delivered, tmp_path):
    train(tmp_path, [1.0, 7.5, 1.0], TocsinCallback(watch={"loss": {"above": 5}}))
    told = delivered.wait_for("loss is above 5: 7.5")

    assert "at step 2" in told["text"]
    assert told["level"] == "WARN"


def test_a_loss_that_is_nan(delivered, tmp_path):
    """The Trainer's defaults keep it out of the log; the gradients show it."""
    train(tmp_path, [1.0, math.nan, math.nan])

    assert delivered.wait_for("grad_norm is NaN")["level"] == "ERROR"
    assert "loss is NaN" not in delivered.titles()


def test_a_loss_that_is_nan_and_not_hidden(delivered, tmp_path):
    train(tmp_path, [1.0, math.nan, math.nan], logging_nan_inf_filter=False)

    assert delivered.wait_for("loss is NaN")["level"] == "ERROR"
    assert delivered.titles().count("loss is NaN") == 1


def test_a_training_that_fails_is_left_to_the_run(delivered, tmp_path):
    """The exception passes; the run is still there, for whoever tells of exceptions."""
    with pytest.raises(OSError, match="disk"):
        train(tmp_path, [1.0, OSError("disk")])

    assert tocsin.run is not None
    assert delivered.of_kind("finished") == []


def test_it_never_raises(delivered, tmp_path, caplog):
    """A configuration with mistakes costs the alerts, not the training."""
    (tmp_path / "tocsin.toml").write_text("nonsense = 1")
    trainer = train(tmp_path)

    assert trainer.state.global_step == STEPS
    assert "nonsense" in caplog.text


def test_the_class(delivered):
    import pickle

    from transformers import TrainerCallback

    assert issubclass(TocsinCallback, TrainerCallback)
    assert pickle.loads(pickle.dumps(TocsinCallback)) is TocsinCallback
    assert "Trainer" in TocsinCallback.__doc__


def test_the_page(delivered, run_page, tmp_path):
    names = {"arguments": arguments_of(tmp_path), "rows": ROWS}
    model = Line([1.0] * STEPS)

    assert run_page("how-to/frameworks.md", "transformers", model=model, **names) == 2
    assert delivered.of_kind("finished")[0]["project"] == "mnist"
