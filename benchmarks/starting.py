"""What it costs to begin: imports, the first alert, memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from peers import PEERS
from places import Home
from sinks import Sink
from table import (
    NOT_INSTALLED,
    Base,
    Row,
    Table,
    at_most,
    duration,
    held_against,
    median,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEGABYTE = 1024.0  # kB, of which /proc speaks
MOST_MEMORY = 30.0  # MB

FIRST_ALERT = """
import tocsin
run = tocsin.init(project="mnist", mode="{mode}")
result = run.alert("Loss is NaN", "at step 12,400", level="WARN")
assert isinstance(result, tocsin.Admitted), result
"""
ONLINE, OFFLINE = (FIRST_ALERT.format(mode=mode) for mode in ("online", "offline"))
DELIVERED = ONLINE + "assert result.wait(60)[0].status is tocsin.Status.DELIVERED\n"

AT_ONCE = "\nimport os; os._exit(0)"
"""No thread, no handler of the end has its time: it is the beginning that is measured."""
STATUS = Path("/proc/self/status")
PEAK = """
import sys
sdks = {"slack_sdk", "jinja2"} & set(sys.modules)
with open("/proc/self/status") as status:
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(peak, *sorted(sdks), flush=True)
"""


@attrs.frozen
class Beginnings:
    """The codes to run, by name."""

    codes: Mapping[str, str]
    home: Home

    def times(self, rounds: int) -> dict[str, float | None]:
        """Return the median time of a process, net of an empty one.

        There is one more round, for warmth; with 0 rounds it is the one that counts.
        """
        taken: dict[str, list[float]] = {name: [] for name in self.codes}
        for number in range(rounds + 1):
            for name, code in self.codes.items():
                seconds = self._seconds(code)
                taken[name] += [seconds] if number or not rounds else []
        medians = {name: median(times) or 0.0 for name, times in taken.items()}
        return {name: own - medians["python"] for name, own in medians.items()}

    def _seconds(self, code: str) -> float:
        self._renew()
        began = time.perf_counter()
        run(self.home, code + AT_ONCE)
        return time.perf_counter() - began

    def peaks(self, rounds: int) -> dict[str, tuple[float, list[str]]]:
        """Return the median peak of memory in MB, net of an empty process, and the SDKs."""
        said: dict[str, list[list[str]]] = {name: [] for name in self.codes}
        for _ in range(rounds):
            for name, code in self.codes.items():
                self._renew()
                said[name].append(run(self.home, code + PEAK + AT_ONCE).split())
        peaks = {
            name: median(float(words[0]) / MEGABYTE for words in several) or 0.0
            for name, several in said.items()
        }
        return {
            name: (peak - peaks["python"], said[name][0][1:])
            for name, peak in peaks.items()
        }

    def _renew(self) -> None:
        """Begin with a store that is there, and holds nothing."""
        state = self.home.path / "state"
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(self.home.path / "empty", state)


def run(home: Home, code: str) -> str:
    """Run code in a process of its own, and return what it prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=home.environment,
        cwd=home.path,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{code}\nended with {done.returncode}:\n{done.stderr}")
    return done.stdout.rpartition("\n")[0].rpartition("\n")[2]


def tables(folder: Path, *, rounds: int) -> Iterator[Table]:
    """Measure times, then memory."""
    home = Home(folder)
    with Sink("http", 0) as sink:
        home.use_slack(sink.url)
        run(home, 'import tocsin; tocsin.init(mode="offline").finish()')
        (folder / "state").rename(folder / "empty")
        yield in_time(Beginnings(codes(), home).times(rounds))
        if STATUS.exists():  # Linux
            weighing = Beginnings(codes_for_memory(), home)
            yield in_memory(weighing.peaks(max(1, rounds // 3)))


def codes() -> dict[str, str]:
    """Return what is timed."""
    ours = {
        "python": "",
        "attrs": "import attrs",
        "tocsin": "import tocsin",
        "offline": OFFLINE,
        "online": ONLINE,
    }
    return ours | peer_codes()


def peer_codes() -> dict[str, str]:
    """Return the imports of those peers that are installed, and their set-up."""
    there = [peer for peer in PEERS.values() if peer.version]
    imports = {peer.name: f"import {peer.name}" for peer in there}
    return imports | {
        f"{peer.name} set up": peer.set_up for peer in there if peer.set_up
    }


def codes_for_memory() -> dict[str, str]:
    """Return what is weighed."""
    ours = {
        "python": "",
        "tocsin": "import tocsin",
        "offline": OFFLINE,
        "online": ONLINE,
        "delivered": DELIVERED,
    }
    return ours | peer_codes()


def in_time(net: Mapping[str, float | None]) -> Table:
    """Return the table of what comes before the first line of work."""
    imported = Base("apprise's import", net.get("apprise"))
    added = Base("apprise's import and add", net.get("apprise set up"))
    rows = [
        Row("`import attrs`", told(net["attrs"])),
        timed("`import tocsin`", net["tocsin"], imported, 0.3),
        timed("import, init, first alert admitted, online", net["online"], added, 0.5),
        timed("import, init, first alert admitted, offline", net["offline"], added),
        *(row for peer in PEERS for row in peer_rows(peer, net, imported, added)),
    ]
    return Table("Beginning: time over an empty Python process", rows)


def peer_rows(
    name: str, net: Mapping[str, float | None], imported: Base, added: Base
) -> Iterator[Row]:
    """Return the rows of a peer: its import, and its set-up where there is one."""
    peer = PEERS[name]
    yield timed(f"{peer.title}, import", net.get(name), imported)
    if peer.version:
        yield timed(f"{peer.title}, import and set-up", net[f"{name} set up"], added)


def timed(
    measure: str, seconds: float | None, base: Base, bound: float | None = None
) -> Row:
    """Return the row of a time."""
    goal = None if bound is None else at_most(bound)
    return held_against(measure, told(seconds), seconds, base, goal)


def told(seconds: float | None) -> str:
    """Return a time, if there is one."""
    return NOT_INSTALLED if seconds is None else duration(seconds)


def in_memory(peaks: Mapping[str, tuple[float, list[str]]]) -> Table:
    """Return the table of what memory it takes at most."""
    rows = [
        weighed("`import tocsin`", peaks["tocsin"]),
        weighed("first alert admitted, online", peaks["online"], MOST_MEMORY),
        weighed("first alert admitted, offline", peaks["offline"], MOST_MEMORY),
        weighed("first alert delivered to Slack", peaks["delivered"]),
        *(
            weighed(f"{peer.title}, import and set-up", peaks[f"{name} set up"])
            for name, peer in PEERS.items()
            if f"{name} set up" in peaks
        ),
    ]
    return Table("Beginning: peak memory over an empty Python process", rows)


def weighed(
    measure: str, peak: tuple[float, list[str]], most: float | None = None
) -> Row:
    """Return the row of a peak."""
    megabytes, sdks = peak
    loaded = f"with {', '.join(sdks)}" if sdks else "no SDK loaded"
    goal = "" if most is None else f"≤ {most:.0f} MB"
    is_met = None if most is None else megabytes <= most
    return Row(measure, f"{megabytes:.1f} MB", loaded, goal, is_met)
