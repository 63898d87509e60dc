from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tocsin import _processes as processes
from tocsin._ending import RunState
from tocsin._oom import Victims
from tocsin._supervisor import _descendants as tree
from tocsin._supervisor._command import (
    Change,
    Deadline,
    Evidence,
    Limits,
    Pulse,
    is_scheduled,
    not_started,
    outcome,
)

DUMPED = 0x80


def exited(code):
    return code << 8


TRACE = "Traceback (most recent call last):\n"


@pytest.mark.parametrize(
    ("evidence", "state", "reason"),
    [
        ({"status": exited(0)}, "finished", ""),
        ({"status": exited(3)}, "failed", ""),
        ({"status": signal.SIGSEGV | DUMPED}, "killed", ""),
        ({"status": signal.SIGKILL}, "killed", ""),
        ({"status": signal.SIGTERM}, "killed", ""),
        ({"status": signal.SIGINT}, "interrupted", ""),
        ({"status": exited(130), "caught": {"SIGINT"}}, "interrupted", ""),
        (
            {"status": exited(130)},
            "failed",
            "exit code 130, which a shell makes of SIGINT",
        ),
        (
            {"status": exited(139)},
            "failed",
            "exit code 139, which a shell makes of SIGSEGV",
        ),
        ({"status": exited(143), "caught": {"SIGTERM"}}, "killed", ""),
        ({"status": exited(0), "caught": {"SIGTERM"}}, "finished", ""),
        (
            {"status": signal.SIGTERM, "caught": {"SIGTERM"}, "is_scheduled": True},
            "preempted",
            "",
        ),
        (
            {"status": exited(0), "caught": {"SIGTERM"}, "is_scheduled": True},
            "preempted",
            "",
        ),
        ({"status": signal.SIGTERM, "is_scheduled": True}, "killed", ""),
        (
            {"status": signal.SIGKILL, "time_limit": 21_600.0},
            "killed",
            "time limit of 6 h 0 min",
        ),
        ({"status": exited(0), "time_limit": 1.0}, "killed", "time limit of 1.0 s"),
        (
            {"status": signal.SIGKILL, "victims": Victims(1)},
            "out of memory",
            "the kernel killed a process for want of memory",
        ),
        (
            {"status": exited(1), "victims": Victims(1234)},
            "out of memory",
            "the kernel killed 1,234 processes for want of memory",
        ),
        (
            {"status": exited(137), "victims": Victims(1, is_ours=False)},
            "out of memory",
            "the kernel killed a process for want of memory",
        ),
        ({"status": exited(1), "victims": Victims(1, is_ours=False)}, "failed", ""),
        ({"status": exited(0), "victims": Victims(1)}, "finished", ""),
        ({"status": signal.SIGINT, "victims": Victims(1)}, "interrupted", ""),
        (
            {"status": exited(1), "output": f"{TRACE}MemoryError"},
            "out of memory",
            "MemoryError",
        ),
        (
            {
                "status": exited(1),
                "output": f"{TRACE}torch.OutOfMemoryError: CUDA out of memory.",
            },
            "out of memory",
            "torch.OutOfMemoryError: CUDA out of memory.",
        ),
        (
            {
                "status": signal.SIGABRT,
                "output": "terminate called after throwing an instance of "
                "'std::bad_alloc'\n  what():  std::bad_alloc",
            },
            "out of memory",
            "terminate called after throwing an instance of 'std::bad_alloc'",
        ),
        ({"status": exited(0), "output": "MemoryError"}, "finished", ""),
        ({"status": exited(1), "output": "no MemoryError"}, "failed", ""),
        ({"status": exited(1), "output": "MemoryError\n" + 30 * "x\n"}, "failed", ""),
    ],
)
def test_how_it_ended(evidence, state, reason):
    """What a command did, what the kernel did, and what came to us make the end."""
    evidence = {
        "caught": frozenset(evidence.get("caught", ())),
        **{name: value for name, value in evidence.items() if name != "caught"},
    }
    ending = outcome(Evidence(**evidence)).ending

    assert (ending.state, ending.reason) == (RunState(state), reason)
    assert not ending.is_alone


@pytest.mark.parametrize(
    ("evidence", "code", "name"),
    [
        ({"status": exited(0)}, 0, ""),
        ({"status": exited(77)}, 77, ""),
        ({"status": signal.SIGSEGV | DUMPED}, 139, "SIGSEGV"),
        ({"status": 40}, 168, ""),
        ({"status": signal.SIGTERM, "time_limit": 5.0}, 124, ""),
        ({"status": exited(0), "time_limit": 5.0}, 124, ""),
    ],
)
def test_what_the_caller_sees(evidence, code, name):
    """The caller learns the same as from the command, but for a time limit."""
    found = outcome(Evidence(**evidence))

    assert (found.exit_code, found.signal) == (code, name)


def test_a_core_dump():
    """A core dump is told, with the signal."""
    assert outcome(Evidence(status=signal.SIGSEGV | DUMPED)).ending.has_dumped_core
    assert not outcome(Evidence(status=signal.SIGSEGV)).ending.has_dumped_core
    assert outcome(Evidence(status=40)).ending.signal == "SIG40"


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (FileNotFoundError(2, "No such file"), 127, "there is no command 'x'"),
        (NotADirectoryError(20, "Not a directory"), 127, "there is no command 'x'"),
        (PermissionError(13, "Permission denied"), 126, "'x' may not be executed"),
        (
            OSError(7, "Argument list too long"),
            126,
            "'x' cannot be started: Argument list too long",
        ),
        (
            ValueError("embedded null byte"),
            126,
            "'x' cannot be started: embedded null byte",
        ),
    ],
)
def test_what_cannot_be_started(error, code, reason):
    """The codes are a shell's."""
    found = not_started("x", error)

    assert (found.exit_code, found.ending.reason) == (code, reason)
    assert found.ending.state is RunState.FAILED
    assert not found.has_begun


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_JOB_ID": "7"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
        ({"PBS_JOBID": "7.host"}, True),
        ({"LSB_JOBID": "7"}, True),
        ({"SLURM_JOB_ID": ""}, False),
        ({}, False),
    ],
)
def test_schedulers(environment, expected):
    assert is_scheduled(environment) is expected


def test_a_stall_is_told_once():
    """After so long without output it is stalled, until there is some again."""
    pulse = Pulse(600.0)

    assert pulse.look(0.0, 599.0) is None
    assert pulse.next_look(0.0, 599.0) == 600.0
    assert pulse.look(0.0, 600.0) is Change.STALLED
    assert pulse.look(0.0, 5000.0) is None
    assert pulse.next_look(0.0, 5000.0) < 5002.0
    assert pulse.look(5001.0, 5002.0) is Change.RESUMED
    assert pulse.look(5001.0, 5600.0) is None
    assert pulse.look(5001.0, 5601.0) is Change.STALLED


def test_without_a_limit_nothing_stalls():
    pulse = Pulse(None)

    assert pulse.look(0.0, 1e9) is None
    assert pulse.next_look(0.0, 1e9) == float("inf")


def test_a_time_limit():
    """SIGTERM, then SIGKILL after the grace, each once."""
    deadline = Deadline(Limits(timeout=60.0, grace=10.0), began=100.0)

    assert (deadline.next_look(), deadline.due(159.0)) == (160.0, "")
    assert not deadline.is_over
    assert deadline.due(161.0) == "SIGTERM"
    assert deadline.is_over
    assert (deadline.next_look(), deadline.due(170.0)) == (171.0, "")
    assert deadline.due(171.0) == "SIGKILL"
    assert (deadline.next_look(), deadline.due(999.0)) == (float("inf"), "")


def test_no_time_limit():
    deadline = Deadline(Limits(), began=100.0)

    assert (deadline.next_look(), deadline.due(1e9)) == (float("inf"), "")


def test_descendants():
    """Those that a process started, and those that these did."""
    processes = [
        tree.Process(number, parent, "0")
        for number, parent in [(2, 1), (3, 2), (4, 3), (5, 1), (6, 2)]
    ]

    assert {one.id for one in tree.descendants(2, processes)} == {2, 3, 4, 6}
    assert not set(tree.descendants(9, processes))


def test_what_proc_says():
    """A command's name may hold anything; who is dead is not there."""
    more = " ".join(map(str, range(5, 30)))

    assert processes.parsed(f"7 (a) S (b) S 3 {more}") == (3, "22")
    assert processes.parsed(f"7 (a) Z 3 {more}") is None


@pytest.mark.skipif(sys.platform != "linux", reason="it needs /proc")
def test_a_real_family():
    """A child of a child is found, and its end is seen."""
    child = subprocess.Popen(
        ["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE, text=True
    )
    grandchild = int(child.stdout.readline())
    found = tree.family(child.pid)

    assert {one.id for one in found} == {child.pid, grandchild}
    assert all(one.is_alive for one in found)
    assert os.getpid() in {one.id for one in tree.family(os.getpid())}
    tree.signal_all(found, signal.SIGTERM)
    child.communicate(timeout=60)
    assert not any(one.is_alive for one in found if one.id == child.pid)
