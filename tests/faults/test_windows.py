"""The throttle's windows, over processes, restarts and clocks that jump."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from support import LEASE

from tocsin import Alert

RAISE_IN_48 = """
import os, tocsin

tocsin.Notifier.from_config()  # imports once what each of them needs
ready, go = os.pipe(), os.pipe()

def work():
    os.close(go[1])
    run = tocsin.init(project="mnist", id="job")
    os.write(ready[1], b".")
    os.read(go[0], 1)  # it ends when the parent closes its side
    run.alert("Loss is NaN")
    run.finish()

children = []
for _ in range(48):
    if (child := os.fork()) == 0:
        work()
        os._exit(0)
    children.append(child)
for _ in children:
    os.read(ready[0], 1)
os.close(go[1])
print([os.waitpid(child, 0)[1] for child in children])
"""


@pytest.mark.slow
def test_row_07_48_processes_raise_one_key(place):
    """48 processes raise one key at the same time: one delivery, 47 counted."""
    assert json.loads(place.run(RAISE_IN_48)) == [0] * 48
    place.later(LEASE + 5)

    counted = place.run(
        "import tocsin; n = tocsin.Notifier.from_config();"
        "print(sum(one.suppression.count for one in n.store().untold()))"
    )
    assert int(counted) == 47
    assert [line["title"] for line in place.delivered()] == ["Loss is NaN"]


@pytest.mark.parametrize("end", ["", "; import os; os.kill(os.getpid(), 9)"])
def test_row_08_a_restart_inside_the_window(place, end):
    """With a stable id, what is raised again after a restart, or a kill, is still
    suppressed."""
    place.write_config(submit_timeout="10s")
    code = "import tocsin; print(type(tocsin.init(id='r').alert('x')).__name__, flush=True)"

    kinds = [place.python(code + end).communicate(timeout=60)[0] for _ in range(2)]

    assert kinds == ["Admitted\n", "Suppressed\n"]
    assert len(place.delivered()) <= 1


RAISE_AT = """
import json, tocsin

admitted = []
now = {times}[0]
with tocsin.Notifier.from_config(clock=lambda: now) as notifier:
    for now in {times}:
        result = notifier.notify(tocsin.Alert("x", wait_duration=300))
        if isinstance(result, tocsin.Admitted):
            (delivery,) = result.wait(60)
            assert delivery.status is tocsin.Status.DELIVERED, delivery
            admitted.append(now)
print(json.dumps(admitted))
"""


@pytest.mark.parametrize("jump", [-3600, 3600])
@pytest.mark.parametrize("restarts", [False, True])
def test_row_09_the_clock_jumps_by_an_hour(place, jump, restarts):
    """What is raised each minute is sent every fifth, at most once more when the clock
    jumps, and every fifth minute again from then on."""
    place.write_config(submit_timeout="10s")
    start = 1_800_000_000
    minutes = {start + 60 * m + jump * (m >= 23): m for m in range(60)}
    before, after = list(minutes)[:23], list(minutes)[23:]

    parts = [before, after] if restarts else [before + after]
    outputs = [place.run(RAISE_AT.format(times=times)) for times in parts]

    admitted = [minutes[time] for output in outputs for time in json.loads(output)]
    assert len(place.delivered()) == len(admitted)
    assert len(admitted) <= 60 / 5 + 1
    assert max(b - a for a, b in pairwise([*admitted, 60])) <= 5


def test_row_09_a_hold_from_a_clock_that_was_ahead(notifier, slack, bot, clock):
    """A channel that was to wait for 30 seconds does not wait for an hour because the
    clock was set back meanwhile."""
    one = notifier({"dm": bot})
    slack.fail_next("ratelimited", retry_after=30)
    one.notify(Alert("a"))
    assert one.flush(60)

    clock.advance(-3600)
    one.notify(Alert("b"))
    clock.advance(60)

    assert one.flush(60)
    assert len(slack.messages) > 0
