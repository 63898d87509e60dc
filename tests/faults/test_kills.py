"""Processes that are killed at the worst moment."""

from __future__ import annotations

import json
import signal

import pytest
from support import LEASE, Service, bot_at, until

import tocsin

RAISE_AND_DIE = """
import os, signal, tocsin
run = tocsin.init(mode="{mode}")
run.alert("x")
os.kill(os.getpid(), signal.SIGKILL)
"""
RAISE = "import tocsin; tocsin.alert('x').wait(120)"
RAISE_AND_FINISH = (
    "import tocsin; r = tocsin.init(); r.alert('x'); r.finish(timeout=60)"
)


def kill(process):
    """Kill it as the kernel does that has no memory left."""
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def next_start(place):
    place.run("import tocsin; tocsin.init().finish()")


def drain(place):
    assert place.tocsin("drain").returncode == 0


@pytest.mark.parametrize("deliver", [next_start, drain])
def test_row_01_killed_right_after_the_call(place, deliver):
    """What was admitted survives SIGKILL: the next process delivers it, or a drain."""
    killed = place.python(RAISE_AND_DIE.format(mode="offline"))
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert place.delivered() == []

    deliver(place)

    assert [line["title"] for line in place.delivered()] == ["x"]


def test_row_01_killed_right_after_the_call_while_it_delivers(place):
    """A process that was about to deliver by itself leaves its alerts to the next one."""
    place.python(RAISE_AND_DIE.format(mode="online")).communicate(timeout=60)

    place.later(LEASE + 5)

    lines = place.delivered()
    assert 1 <= len(lines) <= 2
    assert len({line["id"] for line in lines}) == 1


MORTAL = """
import json, os, signal, sqlite3, sys
import tocsin

class Mortal(sqlite3.Connection):
    left = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.set_trace_callback(self.note)

    @staticmethod
    def note(statement):
        Mortal.left -= 1
        if Mortal.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

connect = sqlite3.connect
sqlite3.connect = lambda *args, **kwargs: connect(*args, factory=Mortal, **kwargs)

def in_a_child(step, dies_at):
    child = os.fork()
    if child == 0:
        Mortal.left = dies_at
        os._exit(step())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

tocsin.Notifier.from_config()  # imports in the parent what each child would
"""
RAISE_IN_MORTALS = """
def alert():
    notifier = tocsin.Notifier.from_config(mode="offline")
    result = notifier.notify(tocsin.Alert(title, wait_duration=3600))
    return 0 if isinstance(result, tocsin.Admitted) else 1

kinds = []
while not kinds or kinds[-1][0] == -signal.SIGKILL:
    title = f"statement {len(kinds) + 1}"
    kinds.append((in_a_child(alert, len(kinds) + 1), in_a_child(alert, 0)))
print(json.dumps(kinds))
"""
ADOPT_IN_MORTALS = """
def adopt():
    return 0 if tocsin.Notifier.from_config(mode="offline").flush(30) else 1

died = 0
while (status := in_a_child(adopt, died + 1)) == -signal.SIGKILL:
    died += 1
print(json.dumps([died, status]))
"""


def test_row_02_killed_between_admission_and_enqueue(place):
    """Wherever in the call the process is killed, the alert is kept, or can be raised
    again: never is it swallowed by a window that nothing was sent for."""
    place.write_config(submit_timeout="10s")

    kinds = json.loads(place.run(MORTAL + RAISE_IN_MORTALS))
    place.later(0)

    titles = [f"statement {n + 1}" for n in range(len(kinds))]
    assert sorted(str(line["title"]) for line in place.delivered()) == sorted(titles)
    assert kinds[-1] == [0, 1]  # it lived: admitted, and then suppressed
    assert {first for first, _ in kinds[:-1]} == {-signal.SIGKILL}
    assert [-signal.SIGKILL, 0] in kinds  # killed before it was kept
    assert len(kinds) > 10


def test_row_02_killed_while_it_takes_over_what_was_deferred(place):
    """Wherever a process is killed that takes over deferred alerts, each of them is
    submitted, and none twice."""
    place.run("import tocsin; tocsin.init().finish()")
    with place.held():
        kinds = place.run(
            "import os, tocsin; run = tocsin.init(mode='offline')\n"
            "results = [run.alert(f'x {n}', wait_duration=0) for n in range(3)]\n"
            "print(*[type(result).__name__ for result in results], flush=True)\n"
            "os._exit(0)"
        )
    assert kinds.split() == ["Deferred"] * 3
    assert place.delivered() == []

    died, status = json.loads(place.run(MORTAL + ADOPT_IN_MORTALS))
    place.later(0)

    assert (died > 10, status) == (True, 0)
    assert sorted(str(line["title"]) for line in place.delivered()) == [
        f"x {number}" for number in range(3)
    ]


def test_row_03_killed_in_the_middle_of_a_send(place, slack, bot):
    """A delivery whose process died is made once the lease has run out, not before."""
    place.configure({"dm": bot})
    slack.fail_next("hang")
    killed = place.python(RAISE)
    until(lambda: slack.requests)
    kill(killed)

    place.later(LEASE - 5)
    assert slack.messages == []

    place.later(LEASE + 5)
    assert [post.text.splitlines()[0] for post in slack.messages] == ["[INFO] x"]


def test_row_04_killed_after_the_send(place, slack, bot):
    """A message that arrived before its process could note it comes twice at most, under
    one id."""
    place.configure({"dm": bot})
    slack.fail_next("hang", arrives=True)
    killed = place.python(RAISE)
    until(lambda: slack.messages)
    kill(killed)

    place.later(LEASE + 5)
    place.later(3 * LEASE)

    assert len(slack.messages) == 2
    assert len({post.client_msg_id for post in slack.messages}) == 1


def test_row_06_a_stale_worker(place):
    """A worker whose lease ran out cannot overwrite what another one achieved."""
    asked = []

    def answer(request):
        asked.append(request)
        if len(asked) == 1:  # it hears of a refusal once the other has delivered
            release.wait(60)
            request.reply({"ok": False, "error": "channel_not_found"})
        else:
            request.reply({"ok": True, "channel": "C0ALERTS", "ts": "2.0"})

    with Service(answer) as service:
        release = service.closing
        place.configure({"dm": bot_at(service.origin + "/")}, timeout="40s")
        stale = place.python(RAISE_AND_FINISH)
        until(lambda: asked)
        place.later(85)
        release.set()
        _, errors = stale.communicate(timeout=60)

    assert (stale.returncode, errors) == (0, "")
    (record,) = history(place)
    assert record.deliveries[0].status is tocsin.Status.DELIVERED
    assert record.deliveries[0].receipt.reference == "2.0"
    assert len(asked) == 2


def history(place):
    config = place.path / "tocsin.toml"
    config.write_text(f'state_dir = "{place.path}/state"\n' + config.read_text())
    with tocsin.Notifier.from_config(config, mode="offline") as notifier:
        return notifier.store().history(limit=10)
