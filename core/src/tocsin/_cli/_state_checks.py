"""What `doctor` finds in the state directory."""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin._cli._faults import told
from tocsin._cli._finding import Finding, ok, problem, warning
from tocsin._cli._outcomes import held_until
from tocsin._cli._screen import counted
from tocsin._cli._times import at, moment
from tocsin._errors import StoreDamaged, StoreError
from tocsin._filesystem import network_kind
from tocsin._store import Status
from tocsin._throttle import CLOCK_SKEW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._cli._state import State
    from tocsin._store import Namespace, Standing

_MOST = 10  # findings of what is left
_LEFT = {Status.PENDING, Status.FAILED}


def folder(state: State) -> Iterator[Finding]:
    """Check that alerts can be kept there, and by nobody else be read."""
    if state.provider is not None:
        yield from _plugged(state)
    if state.provider is not None and not state.is_kept:
        return
    if not state.is_kept:
        yield warning(
            "alerts are kept in memory, and are lost when a program ends",
            "set state_dir, or TOCSIN_STATE_DIR, to a folder",
        )
        return
    path = Path(state.folder)
    if not path.exists():
        yield from _missing(path)
    elif not path.is_dir():
        yield problem(f"{path} is no folder", "remove it, or set TOCSIN_STATE_DIR")
    else:
        yield from _present(path)
        if state.provider is None:
            yield from _database(state)
    if state.provider is None:
        yield from _remote(state)


def _plugged(state: State) -> Iterator[Finding]:
    try:
        state.namespaces()
    except StoreError as error:
        remedy = (
            "mend it, or the table [store]; what is raised waits in files until then"
        )
        yield problem(str(error), remedy)
    else:
        yield ok(f"alerts are kept in {state.place}; what it does not take, in files:")


def _missing(path: Path) -> Iterator[Finding]:
    above = next(parent for parent in path.parents if parent.exists())
    if os.access(above, os.W_OK | os.X_OK):
        yield ok(f"{path} is made when the first alert is kept")
    else:
        yield problem(
            f"{path} cannot be made: {above} is not writable",
            "make it writable, or set TOCSIN_STATE_DIR to another folder",
        )


def _present(path: Path) -> Iterator[Finding]:
    if not os.access(path, os.W_OK | os.X_OK):
        yield problem(
            f"{path} is not writable: alerts are kept in memory only",
            "make it writable, or set TOCSIN_STATE_DIR to another folder",
        )
    elif os.name != "nt" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(f"others can look into {path}", f"chmod 700 {path}")
    else:
        yield ok(str(path))


def _database(state: State) -> Iterator[Finding]:
    try:
        state.namespaces()
    except StoreDamaged as error:
        yield problem(str(error), "tocsin drain, which saves what can still be read")
    except StoreError as error:
        yield problem(str(error), f"make sure that {state.database} can be read")


def _remote(state: State) -> Iterator[Finding]:
    if kind := network_kind(state.folder):
        yield warning(
            f"{state.folder} is on a network file system ({kind}): the database is "
            f"{state.database}, and knows of this machine's alerts alone",
            "set state_dir to a folder on a disk of this machine, if no other shares it",
        )


def clock(state: State, now: float) -> Iterator[Finding]:
    """Compare the clock with what is kept."""
    newest = max((standing.newest for _, standing in _standings(state)), default=0.0)
    if newest > now + CLOCK_SKEW:
        when = moment(at(newest))
        yield warning(
            f"an alert was kept at {when}, which is yet to come: the clock was set back",
            "check the time and its synchronization, with timedatectl for one",
        )
    else:
        yield ok("it agrees with what is kept")


def leftovers(state: State, own: str) -> Iterator[Finding]:
    """Tell what was not delivered, and what is not yet; `own` is one's configuration."""
    if spilled := state.spilled():
        yield warning(
            "alerts that the store did not take in time wait in "
            + counted(len(spilled), "file"),
            "tocsin drain",
        )
    found = [*_own_leftovers(state, own), *_foreign_leftovers(state, own)]
    yield from found[:_MOST]
    if len(found) > _MOST:
        yield warning(f"and {len(found) - _MOST:,} more like these", "tocsin log --all")
    if not found and not spilled:
        yield ok("nothing is left")


def _own_leftovers(state: State, own: str) -> Iterator[Finding]:
    circuits = state.circuits(own)
    for namespace, standing in _standings(state):
        if namespace.name != own or standing.status not in _LEFT:
            continue
        if standing.status is Status.FAILED:
            yield _failed(standing)
        elif not told(circuits.get(standing.channel)):  # else its channel's check tells
            until = "" if standing.reason else _held_until(state, own, standing.channel)
            yield _held(standing, until) if until else _kept(standing)


def _failed(standing: Standing) -> Finding:
    return warning(
        f"{standing.channel}: {standing.count:,} failed: {standing.reason}",
        "; then ".join(filter(None, [standing.remedy, "tocsin replay --failed"])),
    )


def _held(standing: Standing, until: str) -> Finding:
    """Return what waits because quiet hours or a digest keep it."""
    return ok(
        f"{standing.channel}: {standing.count:,} held, until {until} at the soonest"
    )


def _kept(standing: Standing) -> Finding:
    why = f": {standing.reason}" if standing.reason else ""
    oldest = moment(at(standing.oldest))
    return warning(
        f"{standing.channel}: {standing.count:,} kept, the oldest at {oldest}{why}",
        standing.remedy or "tocsin drain",
    )


def _held_until(state: State, own: str, channel: str) -> str:
    try:
        with state.store(own) as store:
            return held_until(store, channel)
    except StoreError:  # the folder's own check tells
        return ""


def _foreign_leftovers(state: State, own: str) -> Iterator[Finding]:
    """Tell of each other configuration in a line; its own doctor tells more."""
    kept: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for namespace, standing in _standings(state):
        if namespace.name != own and standing.status in _LEFT:
            is_failed = standing.status is Status.FAILED
            (failed if is_failed else kept)[namespace.name] += standing.count
    for name in dict.fromkeys([*kept, *failed]):
        counts = [f"{kept[name]:,} kept"] if kept[name] else []
        counts += [f"{failed[name]:,} failed"] if failed[name] else []
        yield warning(
            f"{name or 'no configuration'}: {' and '.join(counts)}",
            "tocsin drain" if kept[name] else "tocsin log --all --failed",
        )


def _standings(state: State) -> Iterator[tuple[Namespace, Standing]]:
    try:
        for namespace in state.namespaces():
            with state.store(namespace.name) as store:
                standings = store.standings()
            for standing in standings:
                yield namespace, standing
    except StoreError:  # the folder's own check tells
        return
