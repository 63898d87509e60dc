"""The callback in a real Trainer, of both packages, with one weight, on the CPU."""

from __future__ import annotations

import importlib
import math
import pickle
import sys
import warnings

import pytest

import tocsin

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the framework's own
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("lightning", reason="lightning is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # the framework's own
STEPS = 4


@pytest.fixture(params=["lightning.pytorch", "pytorch_lightning"])
def framework(request, monkeypatch):
    """Each package as a script has it that imports only that one."""
    other = {"lightning.pytorch": "pytorch_lightning"}.get(
        request.param, "lightning.pytorch"
    )
    package = pytest.importorskip(request.param)
    monkeypatch.delitem(sys.modules, other, raising=False)
    module = importlib.import_module("tocsin.integrations.lightning")
    vars(module).pop("TocsinCallback", None)
    return package


def module_of(framework, losses):
    losses = iter(losses)

    class Line(framework.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch, _):
            loss = next(losses)
            if isinstance(loss, BaseException):
                raise loss
            return self.weight.sum() * loss

        def validation_step(self, batch, _):
            self.log("val_loss", self.weight.sum() * 0.25)

        def test_step(self, batch, batch_idx):
            self.log("test_acc", 0.75)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    return Line()


def trainer_of(framework, folder, callback=None, **options):
    from tocsin.integrations.lightning import TocsinCallback

    return framework.Trainer(
        accelerator="cpu",
        callbacks=[callback or TocsinCallback(project="mnist", name="wise-owl")],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        max_epochs=1,
        **{"log_every_n_steps": 1, **options},
    )


def rows():
    return torch.utils.data.DataLoader(torch.ones(2 * STEPS, 1), batch_size=2)


def test_a_training_is_a_run(framework, delivered, tmp_path):
    trainer = trainer_of(framework, tmp_path)
    trainer.fit(module_of(framework, [1.5] * STEPS), rows(), rows())
    told = delivered.wait_for("wise-owl finished")

    assert "trained for 4 steps: " in told["text"]
    assert "loss=1.5" in told["text"]
    assert "val_loss=0.25" in told["text"]
    assert told["project"] == "mnist"
    assert len(delivered.all()) == 1
    assert tocsin.run is None


def test_a_test_is_one_too(framework, delivered, tmp_path):
    trainer_of(framework, tmp_path).test(module_of(framework, []), rows())

    assert "tested: test_acc=0.75" in delivered.wait_for("wise-owl finished")["text"]


def test_a_run_that_is_there_goes_on(framework, delivered, tmp_path):
    run = tocsin.init(name="mine")
    trainer_of(framework, tmp_path).fit(module_of(framework, [1.5] * STEPS), rows())

    assert tocsin.run is run
    assert delivered.of_kind("finished") == []


def test_the_loss_is_watched(framework, delivered, tmp_path):
    losses = [1.0, 1.0, math.nan, math.nan]
    trainer_of(framework, tmp_path).fit(module_of(framework, losses), rows())
    told = delivered.wait_for("loss is NaN")

    assert "at step 3" in told["text"]
    assert delivered.titles().count("loss is NaN") == 1


@pytest.mark.parametrize(("batches", "times"), [(1, 1), (2, 0)])
def test_it_logs_as_often_as_the_trainer(
    framework, delivered, tmp_path, batches, times
):
    """Every so many steps of the optimizer, which may be of several batches."""
    from tocsin.integrations.lightning import TocsinCallback

    callback = TocsinCallback(name="wise-owl", watch={"loss": {"above": 5}})
    trainer = trainer_of(
        framework,
        tmp_path,
        callback,
        log_every_n_steps=3,
        accumulate_grad_batches=batches,
    )
    trainer.fit(module_of(framework, [1.0, 7.0, 8.0, 9.0]), rows())
    delivered.wait_for("wise-owl finished")

    limits = [told for told in delivered.all() if "above" in told["title"]]
    assert [told["title"] for told in limits] == ["loss is above 5: 8"] * times


def test_what_a_module_logs_is_watched(framework, delivered, tmp_path):
    from tocsin.integrations.lightning import TocsinCallback

    callback = TocsinCallback(watch={"val_loss": {"below": 0.5}})
    trainer = trainer_of(framework, tmp_path, callback)
    trainer.fit(module_of(framework, [1.0] * STEPS), rows(), rows())

    assert delivered.wait_for("val_loss is below 0.5: 0.25")


def test_an_exception_is_told_once(framework, delivered, tmp_path):
    """By the run that was started; and it passes, to be told no second time."""
    model = module_of(framework, [1.0, OSError("disk")])
    with pytest.raises(OSError, match="disk") as caught:
        trainer_of(framework, tmp_path).fit(model, rows())
    sys.excepthook(OSError, caught.value, None)

    (told,) = delivered.of_kind("crashed")
    assert "disk" in told["title"] + told["text"]
    assert told["name"] == "wise-owl"
    assert delivered.of_kind("finished") == []
    assert tocsin.run is None


def test_an_exception_in_a_run_that_is_there(framework, delivered, tmp_path):
    """It is for that run to tell, should the exception get there."""
    model = module_of(framework, [1.0, OSError("disk")])
    trainer = trainer_of(framework, tmp_path)
    with tocsin.init(name="mine") as run:
        with pytest.raises(OSError, match="disk"):
            trainer.fit(model, rows())

        assert tocsin.run is run

    assert delivered.of_kind("crashed") == []


def test_it_never_raises(framework, delivered, tmp_path, caplog):
    (tmp_path / "tocsin.toml").write_text("nonsense = 1")
    trainer = trainer_of(framework, tmp_path)
    trainer.fit(module_of(framework, [1.0] * STEPS), rows())

    assert trainer.global_step == STEPS


def test_the_class(framework, delivered):
    from tocsin.integrations.lightning import TocsinCallback

    assert issubclass(TocsinCallback, framework.Callback)
    assert pickle.loads(pickle.dumps(TocsinCallback(project="mnist")))  # to be spawned
    assert TocsinCallback.__doc__


def test_the_page(delivered, run_page):
    lightning = pytest.importorskip("lightning.pytorch")
    vars(importlib.import_module("tocsin.integrations.lightning")).pop(
        "TocsinCallback", None
    )
    model = module_of(lightning, [1.0] * 3 * STEPS)

    assert run_page("how-to/frameworks.md", "lightning", model=model, rows=rows()) == 1
    assert delivered.of_kind("finished")[0]["project"] == "mnist"
