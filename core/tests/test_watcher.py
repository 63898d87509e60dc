from __future__ import annotations

import attrs
import pytest

from tocsin import Ending, Origin
from tocsin._run_record import RunRecord
from tocsin._watcher import HEARTBEAT, Found, Watcher, told

NOW = 1_800_000_000.0

RECORD = RunRecord(
    origin=Origin(run="r1", run_name="owl", host="n0", rank=0),
    started_at=NOW,
    beat_at=NOW,
    progress_at=NOW,
    pid=77,
    place="here",
    born="1",
)


class Sky:
    """A watcher, a clock that may jump, and one that never does."""

    def __init__(self, *, is_sure=False, lost_after=300.0):
        self.gone = set()
        self.now, self.ticks = NOW, 0.0
        self.watcher = Watcher(
            lost_after, is_sure=is_sure, is_gone=lambda pid, *_: pid in self.gone
        )

    def wait(self, seconds):
        self.now += seconds
        self.ticks += seconds

    def look(self, *records):
        found = self.watcher.look(records, self.now, self.ticks)
        return [(one.found, one.reason) for one in found]


@pytest.fixture
def sky():
    return Sky()


def test_a_lost_heartbeat(sky):
    """A run without a heartbeat for five minutes is gone; before that it is not."""
    assert sky.look(RECORD) == []
    sky.wait(299)
    assert sky.look(RECORD) == []
    sky.wait(1)

    assert sky.look(RECORD) == [(Found.GONE, "no heartbeat for 5 min 0 s")]


def test_it_is_told_once(sky):
    """What was noted as told is not told again, by nobody, until it is back."""
    sky.wait(400)
    lost = attrs.evolve(RECORD, lost_at=NOW + 350)

    assert sky.look(lost) == []
    back = attrs.evolve(lost, beat_at=NOW + 399)
    assert sky.look(back) == [(Found.BACK, "")]
    assert sky.look(attrs.evolve(back, lost_at=None)) == []


def test_a_clock_that_jumps_raises_no_alarm(sky):
    """An hour ahead at once, and heartbeats go on: nobody is told to be gone."""
    sky.look(RECORD)
    sky.now += 3600
    assert sky.look(RECORD) == []
    sky.wait(HEARTBEAT)
    beating = attrs.evolve(RECORD, beat_at=NOW + HEARTBEAT)
    assert sky.look(beating) == []
    sky.wait(HEARTBEAT)

    assert sky.look(attrs.evolve(RECORD, beat_at=NOW + 2 * HEARTBEAT)) == []


def test_one_look_that_is_sure():
    """Who looks once, from cron, goes by the clock alone."""
    sky = Sky(is_sure=True)
    sky.wait(300)

    assert sky.look(RECORD) == [(Found.GONE, "no heartbeat for 5 min 0 s")]


def test_a_process_that_is_gone_is_told_at_once(sky):
    """Where the pid is known, nobody waits for the heartbeat."""
    sky.gone.add(77)

    assert sky.look(RECORD) == [(Found.GONE, "its process ended without a word")]


def test_one_that_ended_is_not_missed(sky):
    """A run that said how it ended is left alone."""
    sky.gone.add(77)
    sky.wait(10_000)

    assert sky.look(attrs.evolve(RECORD, ending=Ending(state="failed"))) == []


def test_progress(sky):
    """No progress for `stall_after` is told once, and that it moves again."""
    idle = attrs.evolve(RECORD, stall_after=600.0, beat_at=NOW + 600)
    sky.wait(600)

    assert sky.look(idle) == [(Found.STALLED, "no progress for 10 min 0 s")]
    assert sky.look(attrs.evolve(idle, beat_at=NOW + 630)) == []
    moving = attrs.evolve(idle, beat_at=NOW + 660, progress_at=NOW + 650)
    assert sky.look(moving) == [(Found.MOVING, "")]
    assert sky.look(moving) == []


def test_whoever_finds_it_raises_the_same_alert():
    """Two watchers find one loss: its id is the same, so that it is kept once."""
    alerts = []
    for _ in range(2):
        sky = Sky(is_sure=True)
        sky.wait(400)
        (finding,) = sky.watcher.look([RECORD], sky.now, sky.ticks)
        alerts.append(told(finding, sky.now))

    assert alerts[0] == alerts[1]
    assert alerts[0].title == "owl is gone: no heartbeat for 6 min 40 s (rank 0)"
