"""Several real processes on one state directory."""

from __future__ import annotations

import signal

from support import write_distribution

RAISE = """
import sys, tocsin
run = tocsin.init(project="mnist", id="job")
sys.stdin.readline()
print(type(run.alert("Loss is NaN")).__name__)
run.finish()
"""


def test_one_key_from_many_processes(place):
    """48 processes raise one key at the same time: one delivery, 47 counted."""
    processes = [place.python(RAISE, stdin=-1) for _ in range(48)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    counted = place.run(
        "import tocsin; n = tocsin.Notifier.from_config();"
        "print(sum(one.suppression.count for one in n.store().untold()))"
    )
    assert int(counted) == 47
    assert [line["title"] for line in place.delivered()] == ["Loss is NaN"]


def test_a_restart_inside_the_window(place):
    """With a stable id, what is raised again after a restart is still suppressed."""
    code = "import tocsin; print(type(tocsin.init(id='r').alert('x')).__name__)"

    first, second = place.run(code), place.run(code)

    assert (first.strip(), second.strip()) == ("Admitted", "Suppressed")
    assert len(place.delivered()) == 1


def test_two_configurations_in_one_state_directory(place):
    """Channels of the same name in two configurations never get each other's alerts."""
    raise_offline = (
        "import tocsin; tocsin.init(config={!r}, mode='offline').alert({!r})"
    )
    drain = (
        "import tocsin; n = tocsin.Notifier.from_config({!r}); n.start(); n.close(10)"
    )
    configs = [str(place.write_config(f"{name}.toml")) for name in ("one", "two")]
    for config in configs:
        place.run(raise_offline.format(config, "for " + config))

    place.run(drain.format(configs[0]))
    assert [d["title"] for d in place.delivered("one.toml")] == ["for " + configs[0]]
    assert place.delivered("two.toml") == []

    place.run(drain.format(configs[1]))
    assert [d["title"] for d in place.delivered("one.toml")] == ["for " + configs[0]]
    assert [d["title"] for d in place.delivered("two.toml")] == ["for " + configs[1]]


def test_killed_right_after_the_call(place):
    """What was admitted survives SIGKILL: the next process delivers it."""
    killed = place.python(
        "import os, signal, tocsin; run = tocsin.init(mode='offline');"
        "run.alert('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert place.delivered() == []

    place.run("import tocsin; tocsin.init().finish()")

    assert [line["title"] for line in place.delivered()] == ["x"]


def test_a_forked_child_alerts(place):
    """After a fork both go on: each alert is delivered once, by whoever raised it."""
    place.run(
        "import os, tocsin\n"
        "run = tocsin.init()\n"
        "run.alert('before').wait(10)\n"
        "child = os.fork()\n"
        "run.alert('child' if child == 0 else 'parent').wait(10)\n"
        "if child: os.waitpid(child, 0)\n"
        "run.finish()\n"
    )

    titles = sorted(str(line["title"]) for line in place.delivered())
    assert titles == ["before", "child", "parent"]


def test_multiprocessing_children_alert(place):
    """Alerts raised in forked and spawned workers are delivered or kept."""
    (place.path / "work.py").write_text(
        "import multiprocessing, sys, tocsin\n"
        "def work(n): tocsin.alert(f'{sys.argv[1]} {n}', wait_duration=0)\n"
        "if __name__ == '__main__':\n"
        "    tocsin.alert(f'{sys.argv[1]} main')\n"
        "    context = multiprocessing.get_context(sys.argv[1])\n"
        "    workers = [context.Process(target=work, args=(n,)) for n in range(3)]\n"
        "    for worker in workers: worker.start()\n"
        "    for worker in workers: worker.join()\n"
    )
    for method in ("fork", "spawn"):
        place.run(
            f"import sys, runpy; sys.argv = ['work.py', '{method}'];"
            "runpy.run_path('work.py', run_name='__main__')"
            if method == "fork"
            else "import subprocess, sys;"
            "subprocess.run([sys.executable, 'work.py', 'spawn'], check=True)"
        )
    place.run("import tocsin; tocsin.init().finish()")

    titles = sorted(str(line["title"]) for line in place.delivered())
    assert titles == sorted(
        f"{method} {who}" for method in ("fork", "spawn") for who in (0, 1, 2, "main")
    )


def test_an_uncaught_exception_is_one_alert(place):
    """A script with a run that dies of an exception raises one alert, and dies of it."""
    process = place.python(
        "import tocsin; tocsin.init(name='wise-owl'); raise ValueError('lr')"
    )
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "ValueError: lr" in errors
    (line,) = place.delivered()
    assert line["title"] == "wise-owl crashed: ValueError"


def test_no_configuration(place):
    """Without init and without a configuration an alert is printed, and kept."""
    environment = {**place.environment}
    del environment["TOCSIN_CONFIG"]
    process = place.python(
        "import tocsin; tocsin.alert('hi', 'there')", env=environment
    )
    _, errors = process.communicate(timeout=60)

    assert "[INFO] hi: there" in errors
    history = place.run(
        "import tocsin; n = tocsin.Notifier.from_config();"
        "print([r.alert.title for r in n.store().history(limit=9)])",
        env=environment,
    )
    assert history.strip() == "['hi']"


SLOW = """
import attrs, os
from tocsin import Provider, Receipt, hookimpl

@attrs.frozen
class Slow(Provider):
    path: str
    name = "slow"
    def open(self):
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


def test_a_fork_during_an_import(place):
    """A fork while the background imports an SDK leaves the child able to import it."""
    write_distribution(place.path / "site", "tocsin_slow", SLOW, entry="slow")
    (place.path / "site" / "takes_a_while.py").write_text(
        "import time; time.sleep(0.7)"
    )
    config = place.path / "tocsin.toml"
    config.write_text(config.read_text().replace('"lines"', '"slow"'))

    place.run(
        "import os, time, tocsin\n"
        "run = tocsin.init()\n"
        "run.alert('parent')\n"
        "time.sleep(0.3)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    import takes_a_while\n"
        "    run.alert('child').wait(20)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "run.finish()\n"
    )

    titles = (place.path / "tocsin.toml.lines").read_text().splitlines()
    assert sorted(titles) == ["child", "parent"]
