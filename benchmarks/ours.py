"""Alerts as a script raises them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calls import Calls

import tocsin

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 120.0  # seconds that deliveries may take


def admitted(mode: str) -> Calls:
    """Raise alerts of different titles; online, they are delivered before the rest."""
    run = tocsin.init(project="mnist", mode=mode)

    def make(number: int) -> object:
        return run.alert(f"Loss is NaN {number}", "at step 12,400", level="WARN")

    return Calls(make, delivered, is_admitted)


def flushed() -> Calls:
    """Raise alerts of different titles; all are settled before the rest."""
    notifier = tocsin.Notifier.from_config()

    def make(number: int) -> object:
        alert = tocsin.Alert(f"Loss is NaN {number}", "at step 12,400", level="WARN")
        return notifier.notify(alert)

    def rest(_: Sequence[object]) -> None:
        assert notifier.flush(PATIENCE)

    return Calls(make, rest, is_admitted)


def suppressed(mode: str) -> Calls:
    """Raise an alert whose title was admitted a moment ago."""
    run = tocsin.init(project="mnist", mode=mode)

    def make(_: int) -> object:
        return run.alert("Loss is NaN", "at step 12,400", level="WARN")

    delivered([make(0)])
    return Calls(make, is_meant=is_suppressed)


def crowded(count: str) -> Calls:
    """Raise alerts that other processes of the same job raise too, `count` of a title."""
    run = tocsin.init(project="mnist", job="benchmark")

    def make(number: int) -> object:
        title = f"Loss is NaN {number // int(count)}"
        return run.alert(title, "at step 12,400", level="WARN")

    return Calls(make, delivered)


def delivered(results: Sequence[object]) -> None:
    """Wait for what is under way; offline nothing is."""
    for result in results:
        assert isinstance(result, tocsin.Result)
        result.wait(PATIENCE)


def is_admitted(result: object) -> bool:
    """Say whether the alert was admitted, and is in the database."""
    return isinstance(result, tocsin.Admitted)


def is_suppressed(result: object) -> bool:
    """Say whether the alert was suppressed."""
    return isinstance(result, tocsin.Suppressed)
