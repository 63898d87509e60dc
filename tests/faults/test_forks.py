"""A process that forks at the worst moment: both go on, and nothing is sent twice."""

from __future__ import annotations

from collections import Counter

import pytest
from support import LEASE, write_distribution

BEGIN = """
import faulthandler, itertools, multiprocessing, os, random, signal, sys, threading, time
import tocsin

def watch():  # a deadlock shows itself, and ends
    signal.alarm(40)

faulthandler.register(signal.SIGALRM, chain=True)
watch()
os.register_at_fork(after_in_child=watch)

def wait_until_begun():
    while not os.path.exists("tocsin.toml.lines.begun"):
        time.sleep(0.001)

def wait_for(child):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, status
"""


@pytest.fixture
def slow_sink(place):
    """The sink takes half a second for each message."""
    config = place.write_config(submit_timeout="10s")
    config.write_text(config.read_text() + "delay = 0.5\n")


def titles(place):
    """Return how often each title arrived."""
    return Counter(str(line["title"]) for line in place.delivered())


@pytest.mark.usefixtures("slow_sink")
@pytest.mark.parametrize("where", ["step()", "in_a_thread(step)"])
def test_row_25_a_fork_in_the_middle_of_a_send(place, where):
    """Both sides of a fork alert; what was under way is sent by the parent alone."""
    code = """
run = tocsin.init()

def step():
    run.alert("before")
    wait_until_begun()
    child = os.fork()
    (done,) = run.alert("child" if child == 0 else "parent").wait(30)
    assert done.status is tocsin.Status.DELIVERED
    if child == 0:
        os._exit(0)
    print(os.getpid())
    wait_for(child)

def in_a_thread(step):
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()

{where}
run.finish()
"""
    parent = int(place.run(BEGIN + code.format(where=where)))

    assert titles(place) == {"before": 1, "child": 1, "parent": 1}
    pids = {line["title"]: line["pid"] for line in place.delivered()}
    assert pids["before"] == parent


THREADS = """
stop = threading.Event()
raised = itertools.count()

def keep_raising():
    while not stop.wait(0.002):
        run.alert(f"thread {next(raised)}")

run = tocsin.init()
threads = [threading.Thread(target=keep_raising) for _ in range(4)]

def end():
    stop.set()
    for thread in threads:
        thread.join()
    run.finish(timeout=30)
    print(next(raised))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "end_of_child",
    ["run.finish(timeout=30); os._exit(0)", "sys.exit(0)", "os._exit(0)"],
)
def test_row_25_forks_at_any_moment(place, end_of_child):
    """While threads raise and deliver, thirty forks at random moments hang nobody, and
    every alert arrives, however the children end. A child that ends over a send, be it of
    the parent's, makes it come twice at most."""
    place.write_config(submit_timeout="10s", flush_timeout="30s")
    code = f"""
for thread in threads:
    thread.start()
children = []
for number in range(30):
    time.sleep(random.uniform(0, 0.02))
    child = os.fork()
    if child == 0:
        run.alert(f"child {{number}}")
        {end_of_child}
    children.append(child)
for child in children:
    wait_for(child)
end()
"""
    raised = int(place.run(BEGIN + THREADS + code))
    place.later(LEASE + 5)

    counted = titles(place)
    assert set(counted) == {
        *(f"thread {number}" for number in range(raised)),
        *(f"child {number}" for number in range(30)),
    }
    assert max(counted.values()) <= 2


WORK = """
def work(number):
    tocsin.alert(f"worker {number}", wait_duration=0)
    return number
"""
POOL = """
from concurrent.futures import ProcessPoolExecutor

def spread(context, numbers):
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(work, numbers)) == list(numbers)
"""
PROCESSES = """
def spread(context, numbers):
    workers = [context.Process(target=work, args=[number]) for number in numbers]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
"""
MAIN = """
if __name__ == "__main__":
    for thread in threads:
        thread.start()
    run.alert("before")
    spread(multiprocessing.get_context(sys.argv[1]), range(3))
    end()
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("spread", [PROCESSES, POOL], ids=["processes", "pool"])
def test_row_25_multiprocessing(place, method, spread):
    """Alerts of workers arrive, while threads of the parent raise others; what a worker
    that ends was sending comes twice at most."""
    place.write_config(submit_timeout="10s", flush_timeout="30s")
    threads = THREADS.replace("run = tocsin.init()", "run = None")
    main = MAIN.replace("    for thread", "    run = tocsin.init()\n    for thread", 1)
    (place.path / "work.py").write_text(BEGIN + threads + WORK + spread + main)

    raised = int(
        place.run(
            "import subprocess, sys;"
            f"subprocess.run([sys.executable, 'work.py', {method!r}], check=True)"
        )
    )
    place.later(LEASE + 5)

    counted = titles(place)
    assert set(counted) == {
        "before",
        *(f"thread {number}" for number in range(raised)),
        *(f"worker {number}" for number in range(3)),
    }
    assert max(counted.values()) <= 2


@pytest.mark.usefixtures("slow_sink")
def test_row_25_workers_that_are_terminated(place):
    """Daemonic workers, as a DataLoader's, alert while the parent sends; those that end
    by terminate() leave their alerts to the next process, or had just sent them."""
    place.run(
        BEGIN
        + """
def work(number, raised):
    run.alert(f"worker {number}")
    raised.wait(30)
    time.sleep(60)

run = tocsin.init()
run.alert("before")
wait_until_begun()
context = multiprocessing.get_context("fork")
raised = context.Barrier(3)
workers = [context.Process(target=work, args=[number, raised], daemon=True) for number in (0, 1)]
for worker in workers:
    worker.start()
raised.wait(30)
for worker in workers:
    worker.terminate()
    worker.join()
run.finish(timeout=30)
"""
    )
    place.later(LEASE + 5)

    counted = titles(place)
    assert set(counted) == {"before", "worker 0", "worker 1"}
    assert counted["before"] == 1
    assert max(counted.values()) <= 2


def test_row_25_a_connection_is_not_shared(place, mail, inbox):
    """A child makes a mail connection of its own, and the parent's goes on."""
    place.configure({"inbox": inbox}, submit_timeout="10s")

    place.run(
        BEGIN
        + """
run = tocsin.init()
run.alert("before").wait(30)  # the connection is kept for the next mail
child = os.fork()
for number in range(5):
    (done,) = run.alert(f"{'child' if child == 0 else 'parent'} {number}").wait(30)
    assert done.status is tocsin.Status.DELIVERED
    assert done.attempts == 1, done
if child == 0:
    run.finish()
    os._exit(0)
wait_for(child)
run.alert("after").wait(30)
run.finish()
"""
    )

    subjects = Counter(received.message["Subject"] for received in mail.messages)
    assert len(mail.messages) == 12
    assert set(subjects.values()) == {1}
    assert mail.connections >= 2


SLOW_TO_IMPORT = """
import attrs
from tocsin import Provider, Receipt, hookimpl

@attrs.frozen
class Slow(Provider):
    path: str
    name = "slow"

    def open(self):
        open(self.path + ".begun", "ab").close()
        import takes_a_while
        return self

    def deliver(self, message, delivery):
        with open(self.path, "a") as file:
            file.write(message.alert.title + "\\n")
        return Receipt()

@hookimpl
def tocsin_register(registrar):
    registrar.provider(Slow)
"""


def test_row_25_a_fork_during_an_import(place):
    """A fork while the background imports an SDK leaves the child able to import it."""
    write_distribution(place.path / "site", "tocsin_slow", SLOW_TO_IMPORT, entry="slow")
    (place.path / "site" / "takes_a_while.py").write_text(
        "import time; time.sleep(0.7)"
    )
    config = place.path / "tocsin.toml"
    config.write_text(config.read_text().replace('"lines"', '"slow"'))

    place.run(
        BEGIN
        + """
run = tocsin.init()
run.alert("parent")
wait_until_begun()
child = os.fork()
if child == 0:
    import takes_a_while
    run.alert("child").wait(20)
    os._exit(0)
wait_for(child)
run.finish()
"""
    )

    titles = (place.path / "tocsin.toml.lines").read_text().splitlines()
    assert sorted(titles) == ["child", "parent"]
