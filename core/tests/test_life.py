from __future__ import annotations

import os
import sys

import attrs
import pytest
from conftest import Recorder

import tocsin
from tocsin import Change, Ending, Origin, RunState
from tocsin import _processes as processes
from tocsin._ending import GATHER
from tocsin._life import Life, Supervised
from tocsin._listener import RUN_CHANGED, Listener
from tocsin._listening import Listening
from tocsin._run_record import RunRecord
from tocsin._watcher import HEARTBEAT, heartbeat

LOST_AFTER = 300.0


class Lives:
    """Makes lives of ranks in this process; `wait` lets the time of all go on."""

    def __init__(self, notifier, clock):
        self.notifier = notifier
        self._clock = clock
        self._ticks = 0.0
        self._lives = []

    def make(self, rank=None, *, resumes=False, **options):
        origin = Origin(user="ada", run="r1", run_name="owl", host="n0", rank=rank)
        given = {
            "tags": (),
            "url": "",
            "stall_after": 0.0,
            "is_interactive": False,
            "listening": None,
            "ticks": lambda: self._ticks,
            **options,
        }
        life = Life(self.notifier, given.pop("origin", origin), **given)
        self._lives.append(life)
        if resumes:
            life.resume()
        life.tick()
        return life

    def wait(self, seconds, *, only=None):
        """Let so many seconds go by, with a tick of each life in each."""
        for _ in range(int(seconds)):
            self._clock.advance(1)
            self._ticks += 1
            for life in self._lives if only is None else only:
                life.tick()

    def records(self):
        return self.notifier.state.runs(self._clock.now)

    def beats(self):
        return [record.beat_at - self._clock.now for record in self.records()]


@pytest.fixture(autouse=True)
def _no_ranks(monkeypatch):
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "TOCSIN_SUPERVISOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def notifier(inbox, clock):
    """A notifier of ada's, who wants to hear of every end."""
    settings = tocsin.Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Recorder(inbox)},
        subscriptions=[tocsin.Subscription(channels=["inbox"], kinds=["*"])],
        state_dir=":memory:",
    )
    with tocsin.Notifier(settings, namespace="tests", clock=clock) as notifier:
        yield notifier


@pytest.fixture
def world(monkeypatch):
    """Say how many ranks there are."""
    return lambda size: monkeypatch.setenv("WORLD_SIZE", str(size))


@pytest.fixture
def lives(notifier, clock):
    return Lives(notifier, clock)


@pytest.fixture
def told(lives, inbox, clock):
    """Return what was told so far, once it is sent that is held for others."""

    def told():
        clock.advance(GATHER + 0.01)
        assert lives.notifier.flush(20)
        return inbox.titles

    return told


def gone_rank(lives, number, **changes):
    """Put the record of a rank there whose process has ended."""
    now = lives.notifier.now()
    record = RunRecord(
        origin=Origin(user="ada", run="r1", run_name="owl", host="n0", rank=number),
        started_at=now,
        beat_at=now,
        progress_at=now,
        pid=os.getpid(),
        place=processes.place(),
        born="1",
        **changes,
    )
    lives.notifier.state.put_run(record, now)
    return record


# --- heartbeats and progress


def test_a_heartbeat(lives):
    """It beats at once, then each 30 seconds, with the last metrics."""
    life = lives.make()
    assert lives.beats() == [0.0]
    life.log({"loss": 0.123456789, "phase": "warm-up"}, 12)
    lives.wait(29)
    assert lives.beats() == [-29.0]
    lives.wait(1)

    assert lives.beats() == [0.0]
    (record,) = lives.records()
    assert record.metrics == {"step": "12", "loss": "0.123457", "phase": "warm-up"}
    assert (record.step, record.pid, record.state) == (
        *(12, os.getpid()),
        RunState.RUNNING,
    )
    assert processes.is_gone(record.pid, record.place, record.born) is False


@pytest.mark.parametrize(
    ("lost_after", "seconds"), [(300.0, HEARTBEAT), (90.0, 30.0), (3.0, 1.0)]
)
def test_a_short_patience_beats_faster(lost_after, seconds):
    """A run that is missed soon may still miss two heartbeats."""
    assert heartbeat(lost_after) == seconds


def test_a_stall(lives, told, inbox):
    """No metrics for `stall_after`: it is told once, and where the program is."""
    life = lives.make(stall_after=600.0)
    life.log({"loss": 0.5}, 7)
    lives.wait(599)
    assert told() == []
    lives.wait(100)

    assert told() == ["owl stalls: no progress for 10 min 0 s"]
    (message,) = inbox.messages
    assert message.alert.kind == "stalled"
    assert message.alert.fields["last metrics"] == "step=7, loss=0.5"
    assert "test_life.py" in message.alert.text  # the main thread is here


def test_progress_resolves_a_stall(lives, told, inbox):
    """The next metrics say that it is over; the next stall is told again."""
    life = lives.make(stall_after=600.0)
    lives.wait(700)
    told()
    life.log({"loss": 0.5}, 8)
    lives.wait(1)

    assert told()[1:] == ["Resolved: owl stalls: no progress for 10 min 0 s"]
    assert inbox.messages[1].alert.kind == "resolved"
    assert inbox.messages[1].alert.text == "It makes progress again."
    lives.wait(700)
    assert told()[2:] == ["owl stalls: no progress for 10 min 0 s"]


def test_no_progress_is_one_time(lives):
    """A watcher that reads heartbeats finds one time of the last progress in all of them."""
    life = lives.make(stall_after=600.0)
    life.log({"loss": 0.5}, 1)
    times = set()
    for _ in range(20):
        lives.wait(7)
        lives._clock.advance(0.0000003)  # two clocks are never read at once
        life._put()
        times.update(record.progress_at for record in lives.records())

    assert len(times) == 1


def test_progress_after_the_clock_was_set(lives):
    """An hour's jump does not look as if nothing had moved for an hour."""
    lives.make(stall_after=600.0)
    lives._clock.advance(3600)
    lives.wait(31)

    (record,) = lives.records()
    assert record.beat_at - record.progress_at == pytest.approx(30, abs=2)


def test_a_stall_of_nobody(lives, told):
    """Without a `stall_after` nobody is told."""
    lives.make()
    lives.wait(2 * 3600)

    assert told() == []


# --- the end


def test_an_end_is_told_once(lives, told):
    """The first word counts; what ended beats no more."""
    life = lives.make()
    life.end(Ending(state="failed", reason="ValueError: lr"))
    life.end(Ending(state="finished"))
    lives.wait(60)

    assert told() == ["owl failed: ValueError: lr"]
    assert life.state is RunState.FAILED
    assert lives.beats()[0] < -60
    assert lives.records()[0].ending.reason == "ValueError: lr"


def test_a_good_end(lives, told):
    """It is told too, for whoever subscribed; in a notebook nobody waits for that."""
    life = lives.make()
    life.log({"loss": 0.5}, 3)
    lives.wait(100)
    life.end(Ending(state="finished", exit_code=0))
    lives.make(is_interactive=True).end(Ending(state="finished"))

    assert told() == ["owl finished"]
    assert life.ending.seconds == 100.0
    assert life.ending.metrics == {"step": "3", "loss": "0.5"}


def test_what_people_know_already(lives, told):
    """An end that was told elsewhere is written down, and not told again."""
    life = lives.make()
    life.end(Ending(state="failed", reason="ValueError: lr"), is_told=True)

    assert told() == []
    assert lives.records()[0].state is RunState.FAILED


def test_asked_to_end(lives, told):
    """What asks it to end is told when it does; how it ends then, is not told again."""
    life = lives.make()
    life.ask(Ending(state="killed", signal="SIGTERM"))
    life.ask(Ending(state="killed", signal="SIGHUP"))
    assert told() == ["owl was killed by SIGTERM"]
    life.end(Ending(state="finished", exit_code=0))

    assert told() == ["owl was killed by SIGTERM"]
    assert life.state is RunState.KILLED


def test_asked_and_then_an_error(lives, told):
    """An exception on the way out is told as well: that it was asked does not explain it."""
    life = lives.make()
    life.ask(Ending(state="killed", signal="SIGTERM"))
    life.end(Ending(state="failed", reason="OSError: disk"))

    assert sorted(told()) == ["owl failed: OSError: disk", "owl was killed by SIGTERM"]
    assert lives.records()[0].ending.reason == "OSError: disk"


def test_asked_while_others_may_know_more(lives, world):
    """Who ends soon after it was asked waits until that may be sent."""
    world(2)
    life = lives.make(0)
    life.ask(Ending(state="killed", signal="SIGTERM"))
    lives.wait(1)
    life.end(Ending(state="finished"))

    assert life.gathers_until - lives._ticks == GATHER - 1


def test_who_is_alone_waits_for_nobody(lives, world):
    """With no other ranks, and no supervisor, an end is sent at once."""
    life = lives.make()
    life.end(Ending(state="failed"))
    assert life.gathers_until == 0
    supervised = lives.make(supervisor=Supervised("r1", 0))
    supervised.end(Ending(state="failed"))
    assert supervised.gathers_until > 0
    world(1)
    alone = lives.make(0)
    alone.end(Ending(state="failed"))
    assert alone.gathers_until == 0


@pytest.mark.parametrize("state", ["failed", "killed"])
def test_preempting(lives, told, state):
    """Once the scheduler wants the machine, a bad end is a preemption."""
    life = lives.make()
    life.mark_preempting()
    lives.wait(1)
    assert lives.records()[0].is_preempting
    life.end(Ending(state=state, signal="SIGTERM"))

    assert told() == ["owl was preempted (SIGTERM)"]


def test_preempting_and_finished_all_the_same(lives, told):
    """Unless it finishes before."""
    life = lives.make()
    life.mark_preempting()
    life.end(Ending(state="finished"))

    assert told() == ["owl finished"]


# --- back again


def test_it_is_back(lives, told, inbox):
    """A run that goes on after a bad end says so to whoever heard of that."""
    lives.make().end(Ending(state="failed", reason="ValueError: lr"))
    told()
    lives.wait(60)
    lives.make(resumes=True)

    assert told()[1:] == ["Resolved: owl failed: ValueError: lr"]
    assert inbox.messages[1].alert.kind == "resolved"
    assert inbox.messages[1].alert.text == "It is back."
    (record,) = lives.records()
    assert record.beat_at - record.started_at == pytest.approx(62.01)


def test_it_was_told_as_lost(lives, told):
    """Likewise when others told that it is gone; and nobody tells it twice."""
    record = gone_rank(lives, None)
    lives.make(0, origin=Origin(run="r1", rank=0)).look_at_peers()
    told()
    life = lives.make(resumes=True)

    title = "owl is gone: its process ended without a word"
    assert told() == [title, f"Resolved: {title}"]
    assert life._record.started_at == record.started_at


def test_a_run_that_finished_begins_anew(lives, told):
    """What finished is not gone on with: the next run of that id has its own start."""
    lives.make().end(Ending(state="finished"))
    lives.wait(86_400, only=[])
    lives.wait(10)
    again = lives.make(resumes=True)

    assert told() == ["owl finished"]
    assert lives.records()[0].started_at == again._record.started_at
    assert again._record.started_at > lives.notifier.now() - 10


# --- ranks


def test_the_last_rank_tells_that_all_finished(lives, told, world):
    """One message for the job, when no rank is there any more."""
    world(3)
    ranks = [lives.make(number) for number in range(3)]
    for life in (ranks[2], ranks[0]):
        life.end(Ending(state="finished"))
    assert told() == []
    ranks[1].end(Ending(state="finished"))

    assert told() == ["owl finished"]


def test_a_rank_that_is_gone_holds_nobody_up(lives, told, world):
    """Who has no process any more, or beat long ago, is not waited for."""
    world(3)
    gone_rank(lives, 1)
    life = lives.make(0)
    lives.make(2, origin=Origin(run="r1", rank=2))._record = None  # it beats no more
    lives._lives.pop()
    lives.wait(100)
    life.end(Ending(state="finished"))

    assert "owl finished" in told()


def test_ranks_look_after_each_other(lives, told, world):
    """A rank whose process is gone is told by another one, within a heartbeat, once."""
    world(4)
    ranks = [lives.make(number) for number in range(1, 4)]
    gone_rank(lives, 0)
    lives.wait(HEARTBEAT)

    assert told() == ["owl is gone: its process ended without a word (rank 0)"]
    lives.wait(10 * HEARTBEAT)
    assert len(told()) == 1
    assert all(life.ending is None for life in ranks)


def test_ranks_take_turns(lives, world):
    """They look one after the other, so that somebody looks soon, whoever is gone."""
    world(4)
    ranks = [lives.make(number) for number in range(4)]

    turns = sorted(life._peers_at % HEARTBEAT for life in ranks)
    assert turns == [0.0, 7.5, 15.0, 22.5]


def test_a_rank_that_is_silent(lives, told, world):
    """One on another machine is gone when it is without a heartbeat for long."""
    world(2)
    gone_rank(lives, 1)
    record = attrs.evolve(gone_rank(lives, 1), place="another machine")
    lives.notifier.state.put_run(record, lives.notifier.now())
    lives.make(0)
    lives.wait(LOST_AFTER - 1)
    assert told() == []
    lives.wait(2 * HEARTBEAT)

    (title,) = told()
    assert title.startswith("owl is gone: no heartbeat for 5 min")
    back = attrs.evolve(record, beat_at=lives.notifier.now())
    lives.notifier.state.put_run(back, lives.notifier.now())
    lives.wait(HEARTBEAT)
    assert told()[1:] == [f"Resolved: {title}"]


def test_who_went_without_a_word_leads(lives, told, world, inbox):
    """When the others fail for it, the one that is gone is what happened first."""
    world(3)
    gone_rank(lives, 0)
    ranks = [lives.make(number) for number in (1, 2)]
    for life in ranks:
        lives._clock.advance(0.3)
        life.end(Ending(state="failed", reason="RuntimeError: NCCL"))

    title = "owl is gone: its process ended without a word (3 ranks, first on 0)"
    assert told() == [title]
    assert "ranks 1-2: failed: RuntimeError: NCCL" in inbox.messages[0].alert.text


def test_who_went_without_a_word_leads_whoever_sees_it(lives, told, world, inbox):
    """It is still on its way out for the one that fails first, and then not for others."""
    world(4)
    first, second, third = [lives.make(number) for number in (1, 2, 3)]
    gone = gone_rank(lives, 0)
    there = attrs.evolve(gone, born=processes.born(os.getpid()))
    lives.notifier.state.put_run(there, lives.notifier.now())
    lives._clock.advance(0.1)
    first.end(Ending(state="failed", reason="RuntimeError: NCCL"))
    lives.notifier.state.put_run(gone, lives.notifier.now())
    lives._clock.advance(0.3)
    third.look_at_peers()  # it still runs
    for life in (second, third):
        life.end(Ending(state="failed", reason="RuntimeError: NCCL"))

    title = "owl is gone: its process ended without a word (4 ranks, first on 0)"
    assert told() == [title]
    assert "ranks 1-3: failed: RuntimeError: NCCL" in inbox.messages[0].alert.text


def test_a_rank_that_ended_is_not_missed(lives, told, world):
    """Who said how it ended is not told as gone."""
    world(2)
    gone_rank(lives, 1, ending=Ending(state="finished"))
    lives.make(0)
    lives.wait(2 * LOST_AFTER)

    assert told() == []


# --- what listens


def hear_in(heard):
    def hear(*, change, notify):
        heard.append(change)

    return hear


def test_what_listeners_hear(lives, told):
    """Each state, the metrics as they are, and what is emitted."""
    heard = []
    listening = Listening([Listener("all", {RUN_CHANGED: hear_in(heard)})])
    life = lives.make(stall_after=60.0, listening=listening)
    life.log({"loss": 0.5}, 3)
    life.emit("artifact", {"name": "model.pt"})
    lives.wait(61)
    life.mark_preempting()
    life.end(Ending(state="failed", reason="ValueError: lr", exit_code=1))
    life.listen_to_the_end(0)
    told()

    assert [(one.kind, one.facts, one.step) for one in heard] == [
        ("state", {"state": "running"}, None),
        ("metrics", {"loss": 0.5}, 3),
        ("artifact", {"name": "model.pt"}, None),
        ("state", {"state": "stalled"}, None),
        ("state", {"state": "preempting"}, None),
        (
            "state",
            {"state": "preempted", "exit_code": 1, "reason": "ValueError: lr"},
            None,
        ),
    ]
    assert all(isinstance(one, Change) and one.origin.run == "r1" for one in heard)


# --- forks, and stores that fail


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_lives_its_own_life(lives, told):
    """A forked child beats, tells and listens for nobody, and ends without a word."""
    heard = []
    listening = Listening([Listener("all", {RUN_CHANGED: hear_in(heard)})])
    life = lives.make(stall_after=1.0, listening=listening)
    before = lives.records()
    life._lock.acquire()  # as another thread of the parent may, when it is forked
    child = os.fork()
    if child == 0:
        lives.wait(100)
        life.log({"loss": 1}, 1)
        life.mark_preempting()
        os._exit(0 if life.ending is None else 1)
    life._lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert lives.records() == before
    assert told() == []


def test_a_store_that_does_not_answer(lives, told, monkeypatch):
    """An end is told and the program goes on, though it is not written down."""

    def busy(*_, **__):
        raise tocsin.StoreBusy("somebody holds it")

    life = lives.make()
    monkeypatch.setattr(lives.notifier.state, "put_run", busy)
    life.end(Ending(state="failed", reason="ValueError: lr"))

    assert told() == ["owl failed: ValueError: lr"]


@pytest.mark.skipif(sys.platform != "linux", reason="where no process has a birth")
def test_its_process(lives):
    """Its record says which process it is, so that others see at once that it is gone."""
    lives.make()

    (record,) = lives.records()
    assert record.is_there


def test_a_job_of_which_a_rank_failed_did_not_finish(lives, world, told):
    """The last one to finish says nothing good of it."""
    world(2)
    first, last = lives.make(0), lives.make(1)
    first.end(Ending(state="failed", reason="ValueError: lr"))
    last.end(Ending(state="finished"))

    (title,) = told()
    assert title.startswith("owl failed: ValueError: lr")


def test_ends_of_two_runs_in_one_job(lives, told):
    """Each is told: what a job is to its ranks, it is not to its runs."""
    for number in (1, 2):
        origin = Origin(
            user="ada", run=f"r{number}", run_name=f"owl {number}", job="77"
        )
        lives.make(origin=origin).end(Ending(state="failed", exit_code=number))

    assert sorted(told()) == [
        "owl 1 failed: exit code 1",
        "owl 2 failed: exit code 2",
    ]


def test_asked_and_went_on(lives, told, ticks_by):
    """Who finishes well long after a signal has finished; what was told of it is over."""
    life = lives.make()
    life.ask(Ending(state="killed", signal="SIGTERM"))
    assert told() == ["owl was killed by SIGTERM"]
    ticks_by(200)
    life.end(Ending(state="finished"))

    assert lives.records()[0].state is RunState.FINISHED
    assert "owl finished" in told()


@pytest.fixture
def ticks_by(lives, clock):
    def ticks_by(seconds):
        clock.advance(seconds)
        lives._ticks += seconds

    return ticks_by


def test_a_stall_of_two_ranks(lives, world, told):
    """While another rank stalls, it is not over."""
    world(2)
    moving, still = (lives.make(rank, stall_after=60.0) for rank in (0, 1))
    lives.wait(61)
    assert told() == ["owl stalls: no progress for 1 min 0 s"]
    moving.log({"loss": 1}, 2)
    lives.wait(5)
    assert len(told()) == 1
    still.log({"loss": 1}, 2)
    moving.log({"loss": 1}, 3)
    lives.wait(40)

    assert told()[1:] == ["Resolved: owl stalls: no progress for 1 min 0 s"]
