"""A callback for Lightning's Trainer, of `lightning` or of `pytorch_lightning`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tocsin import _places as places
from tocsin._alert import new_id
from tocsin.integrations._training import Training, counted, derived, quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightning.pytorch import Callback

__all__ = ["TocsinCallback"]

_HOMES = ("lightning.pytorch", "pytorch_lightning")
_DONE = {"fit": "trained", "validate": "validated", "test": "tested"}
_WATCH: Mapping[str, Mapping[str, Any]] = {"loss": {}}


class _Hooks:
    """Tells of what a Trainer runs; pass it in the Trainer's `callbacks`.

    The metrics that a module logs, and the loss of its training steps, are logged into the
    current run, or else into one that the callback starts with `options`, those of
    `tocsin.init`, and finishes when the Trainer is done. An exception ends a run that was
    started here; any other run tells of it as of all exceptions. Batches are logged as
    often as the Trainer logs, every ``log_every_n_steps``. `watch` is metrics, and the
    options of `Run.watch_metric` for each; the default is the loss.

    It never raises in a training: what fails is logged.
    """

    def __init__(
        self, *, watch: Mapping[str, Mapping[str, Any]] = _WATCH, **options: Any
    ) -> None:
        super().__init__()
        self._training = Training(watch, options)
        self._logged = 0

    @quiet
    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002 - the framework's signature
        """Start a run if there is none, and watch its metrics."""
        if stage in _DONE:
            self._training.begin(**_shared(trainer))

    @quiet
    def on_train_batch_end(
        self,
        trainer: Any,
        pl_module: Any,  # noqa: ARG002 - the framework's signature
        outputs: Any,
        *_: Any,
        **__: Any,
    ) -> None:
        """Log the loss and the metrics, as often as the Trainer does."""
        times = trainer.global_step // max(1, trainer.log_every_n_steps)
        if times != self._logged:
            self._logged = times
            loss = outputs.get("loss") if hasattr(outputs, "get") else outputs
            metrics = {"loss": loss, **trainer.callback_metrics}
            self._training.log(metrics, trainer.global_step)

    @quiet
    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        """Log the metrics."""
        if not trainer.sanity_checking:
            self._training.log(trainer.callback_metrics, trainer.global_step)

    @quiet
    def on_test_end(self, trainer: Any, *_: Any) -> None:
        """Log the metrics."""
        self._training.log(trainer.callback_metrics, trainer.global_step)

    @quiet
    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002 - the framework's signature
        """Finish the run, if it was started here."""
        if stage == "fit":
            self._training.log(trainer.callback_metrics, trainer.global_step)
        if stage in _DONE:
            steps = f" for {counted(trainer.global_step, 'step')}"
            self._training.end(_DONE[stage] + (steps if stage == "fit" else ""))

    @quiet
    def on_exception(
        self,
        trainer: Any,  # noqa: ARG002 - the framework's signature
        pl_module: Any,  # noqa: ARG002 - likewise
        exception: BaseException,
    ) -> None:
        """Let the run tell of it, if it was started here."""
        self._training.fail(exception)


if TYPE_CHECKING:

    class TocsinCallback(_Hooks, Callback):
        """What `__getattr__` makes."""


def __getattr__(name: str) -> object:
    if name != "TocsinCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = derived(_Hooks, *_bases())
    return globals()[name]


def _shared(trainer: Any) -> dict[str, str]:
    """Return the id that ranks share which Lightning itself launched.

    Of those no variable tells; the id is rank zero's. Every rank has to ask for it.
    """
    if trainer.world_size == 1 or places.rank() is not None:
        return {}
    return {"id": trainer.strategy.broadcast(new_id()[-8:])}


def _bases() -> list[type]:
    """Return the callback of each of the two packages that is in use, or else is there.

    Raises:
        ModuleNotFoundError: Neither is installed.

    """
    used = [home for home in _HOMES if home in sys.modules]
    if not used:
        used = [_installed()]
    return [import_module(home).Callback for home in used]


def _installed() -> str:
    first, second = _HOMES
    try:
        import_module(first)
    except ModuleNotFoundError:
        return second
    return first
