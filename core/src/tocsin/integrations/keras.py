"""A callback for Keras 3, whatever its backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin.integrations._training import Training, counted, derived, quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keras.callbacks import Callback

__all__ = ["TocsinCallback"]

_WATCH: Mapping[str, Mapping[str, Any]] = {"loss": {}}


class _Hooks:
    """Tells of a training; pass it in the `callbacks` of `Model.fit`.

    Keras's logs of each batch and each epoch are logged into the current run, or else into
    one that the callback starts with `options`, those of `tocsin.init`, and finishes at the
    end of the training. The step is the number of batches. `watch` is metrics, and the
    options of `Run.watch_metric` for each; the default is the loss, which in Keras is the
    mean over the epoch so far.

    It never raises in a training: what fails is logged.
    """

    def __init__(
        self, *, watch: Mapping[str, Mapping[str, Any]] = _WATCH, **options: Any
    ) -> None:
        super().__init__()
        self._training = Training(watch, options)
        self._step = 0

    @quiet
    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - the framework's signature
        """Start a run if there is none, and watch its metrics."""
        self._step = 0
        self._training.begin()

    @quiet
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - the framework's signature
        """Log the means over the epoch so far."""
        self._step += 1
        self._training.log(logs, self._step)

    @quiet
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - the framework's signature
        """Log the epoch's metrics, those of the validation among them."""
        self._training.log(logs, self._step)

    @quiet
    def on_train_end(self, logs: Any = None) -> None:
        """Finish the run, if it was started here."""
        self._training.log(logs, self._step)
        self._training.end(f"trained for {counted(self._step, 'step')}")


if TYPE_CHECKING:

    class TocsinCallback(_Hooks, Callback):
        """What `__getattr__` makes."""


def __getattr__(name: str) -> object:
    if name != "TocsinCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from keras.callbacks import Callback

    globals()[name] = derived(_Hooks, Callback)
    return globals()[name]
