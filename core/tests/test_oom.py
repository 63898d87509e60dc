from __future__ import annotations

import pytest

from tocsin import _oom as oom

V1 = "9:name=systemd:/\n4:memory:/slurm/uid_1/job_2\n1:cpu,cpuacct:/\n0::/\n"
V2 = "0::/user.slice/user-1000.slice/session-1.scope\n"


@pytest.mark.parametrize(
    ("cgroups", "files"),
    [
        (
            V2,
            [
                "/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope/memory.events",
                "/sys/fs/cgroup/memory.events",
            ],
        ),
        ("0::/\n", ["/sys/fs/cgroup/memory.events"]),
        (
            V1,
            [
                "/sys/fs/cgroup/memory/slurm/uid_1/job_2/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control",
                "/sys/fs/cgroup/memory.events",
            ],
        ),
        ("", []),
        ("nonsense\n", []),
    ],
)
def test_where_victims_are_counted(cgroups, files):
    """The group's own counter comes first, of version 1 or 2."""
    assert list(oom.counters(cgroups)) == files


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("low 0\nhigh 0\nmax 31\noom 2\noom_kill 2\noom_group_kill 0\n", 2),
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", 7),
        ("oom_kill_disable 0\nunder_oom 0\n", None),
        ("", None),
    ],
)
def test_how_many(text, count):
    """The counter is one line of several."""
    assert oom.kills(text) == count


def test_only_what_is_new(tmp_path, monkeypatch):
    """Victims of before do not count, and a counter that is gone has none."""
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 3\n")
    monkeypatch.setattr(oom, "counters", lambda _: iter([str(counter)]))

    count = oom.Count()
    assert count.victims() == oom.Victims(0)
    counter.write_text("oom_kill 5\n")
    assert count.victims() == oom.Victims(2)
    counter.unlink()
    assert count.victims() == oom.Victims(0)


def test_a_machine_that_tells_nothing(monkeypatch):
    """Without any counter nobody was killed for memory, as far as one knows."""
    monkeypatch.setattr(oom, "counters", lambda _: iter(()))
    monkeypatch.setattr(oom, "_MACHINE", "/no/such/file")

    assert oom.Count().victims().count == 0
