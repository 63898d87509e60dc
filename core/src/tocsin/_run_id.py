"""Which run it is: a new one, one that ranks share, or an earlier one that goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from tocsin import _places as places
from tocsin import _processes as processes
from tocsin._ending import RunState
from tocsin._mode import Mode

if TYPE_CHECKING:
    from tocsin._alert import Origin
    from tocsin._notifier import Notifier
    from tocsin._run_record import RunRecord


def known_or_new(
    notifier: Notifier, origin: Origin, wish: str, *, started: int
) -> Origin:
    """Return the origin with the run's id, as the wish to resume says.

    `started` is how many runs this process had before.

    Raises:
        ValueError: There is a run of this id and must not be, or the other way round.

    """
    if wish == "auto" and not origin.run:
        origin = attrs.evolve(origin, run=_unfinished(notifier, origin))
    if wish in {"must", "never"} and notifier.mode is not Mode.DISABLED:
        is_there = bool(origin.run) and _is_known(notifier, origin, wish)
        if is_there is (wish == "never"):
            there = "already" if is_there else "not"
            raise ValueError(
                f"resume={wish!r}: a run {origin.run!r} is {there} known here: give "
                "another id, or resume='allow'"
            )
    return attrs.evolve(origin, run=origin.run or fresh_id(origin, started))


def _is_known(notifier: Notifier, origin: Origin, wish: str) -> bool:
    """Say whether there is an earlier run: other ranks of this one may be there already."""
    return any(
        record.run == origin.run
        and not record.is_supervisor
        and (wish == "must" or record.origin.rank == origin.rank)
        for record in notifier.state.known_runs()
    )


def _unfinished(notifier: Notifier, origin: Origin) -> str:
    """Return the id of the last run like this one that did not finish, and is not there."""
    alike = [
        record
        for record in notifier.state.known_runs()
        if (record.origin.project, record.origin.run_name, record.origin.rank)
        == (origin.project, origin.run_name, origin.rank)
        and record.origin.user == notifier.settings.user
        and not record.is_supervisor
        and not (record.ending is None and _lives(record, notifier))
    ]
    if alike and alike[-1].state is not RunState.FINISHED:
        return alike[-1].run
    return ""


def _lives(record: RunRecord, notifier: Notifier) -> bool:
    """Whether it is there, as far as anybody can know."""
    if processes.is_gone(record.pid, record.place, record.born):
        return False
    age = notifier.now() - record.beat_at
    return record.is_there or age < notifier.settings.lost_after


def shared_id(origin: Origin, started: int = 0) -> str:
    """Return an id that the ranks share which one launcher started on this machine."""
    if origin.job or origin.rank is None or places.world_size() in {None, 1}:
        return ""
    parent = os.getppid()
    born = processes.born(parent)
    # the first process of a machine started everything; that of a container, the ranks
    if not born or (parent == 1 and processes.is_outermost()):
        return ""
    import hashlib

    port = os.environ.get("MASTER_PORT", "")
    who = f"{processes.place()} {parent} {born} {port} {started}".encode()
    return _letters(hashlib.blake2b(who, digest_size=8).digest())


def fresh_id(origin: Origin, started: int = 0) -> str:
    """Return an id for a run: eight letters and digits, as W&B's ids are."""
    return shared_id(origin, started) or _letters(os.urandom(8))


def _letters(digest: bytes) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(digits[byte % 36] for byte in digest)
