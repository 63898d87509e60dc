"""A callback for the Trainer of Hugging Face's Transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin.integrations._training import Training, counted, derived, quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import TrainerCallback

__all__ = ["TocsinCallback"]

_WATCH: Mapping[str, Mapping[str, Any]] = {"loss": {}, "grad_norm": {"diverges": None}}


class _Hooks:
    """Tells of a training that a Trainer runs; pass it in the Trainer's `callbacks`.

    What the Trainer logs is logged into the current run, or else into one that the callback
    starts with `options`, those of `tocsin.init`, and finishes at the end of the training.
    `watch` is metrics, and the options of `Run.watch_metric` for each. The default is the
    loss, and whether the gradients are finite: a Trainer leaves a loss that is not out of
    what it logs, unless it has ``logging_nan_inf_filter=False``.

    It never raises in a training: what fails is logged.
    """

    def __init__(
        self, *, watch: Mapping[str, Mapping[str, Any]] = _WATCH, **options: Any
    ) -> None:
        super().__init__()
        self._training = Training(watch, options)

    @quiet
    def on_train_begin(self, args: Any, *_: Any, **__: Any) -> None:
        """Start a run if there is none, and watch its metrics."""
        self._training.begin(name=getattr(args, "run_name", None) or "")

    @quiet
    def on_log(
        self,
        args: Any,  # noqa: ARG002 - the framework's signature
        state: Any,
        control: Any,  # noqa: ARG002 - likewise
        logs: Mapping[str, object] | None = None,
        **_: Any,
    ) -> None:
        """Log what the Trainer logs."""
        self._training.log(logs, state.global_step)

    @quiet
    def on_train_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        """Finish the run, if it was started here."""
        self._training.end(f"trained for {counted(state.global_step, 'step')}")


if TYPE_CHECKING:

    class TocsinCallback(_Hooks, TrainerCallback):
        """What `__getattr__` makes."""


def __getattr__(name: str) -> object:
    if name != "TocsinCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from transformers import TrainerCallback

    globals()[name] = derived(_Hooks, TrainerCallback)
    return globals()[name]
