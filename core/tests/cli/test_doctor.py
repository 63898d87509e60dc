from __future__ import annotations

import sqlite3
import time

import pytest

import tocsin
from tocsin import _filesystem


def found(result, mark):
    """Return what bears this mark."""
    return [
        line.split(maxsplit=1)[1]
        for line in result.stdout.splitlines()
        if line.split()[:1] == [mark]
    ]


def test_all_is_well(cli, post):
    """With nothing wrong it ends with 0, and names what was looked at."""
    cli("send", "hi")

    result = cli("doctor")
    assert result.exit_code == 0
    good = found(result, "✓")
    assert f"{post.config}: 1 channel, 1 subscription" in good
    assert "lines of post 1.2" in good
    assert "it agrees with what is kept" in good
    assert "nothing is left" in good
    assert any(one.startswith("dm: writes to") for one in good)


def test_quiet(cli, post):
    """With --quiet only what should be looked at is told."""
    result = cli("-q", "doctor")

    assert "✓" not in result.output
    assert "the provider 'torn' of torn 1.2 is broken" in result.stdout


def test_no_configuration(cli):
    """Without a configuration nothing is broken, but nothing is sent: a warning."""
    result = cli("doctor")

    assert result.exit_code == 0
    assert "there is none: alerts are printed and kept, and sent nowhere" in found(
        result, "!"
    )


def test_every_mistake_of_the_configuration(cli, configure):
    """Each mistake is a problem, and the other checks are made all the same."""
    file = configure("""
        [user]
        channels = ["dmm"]
        [channels.dm]
        provider = "lines"
    """)

    result = cli("doctor")
    assert result.exit_code == 1
    assert len(found(result, "✗")) == 2
    assert f"{file}: channels.dm.path: is missing" in found(result, "✗")
    assert "nothing is left" in result.stdout


def test_nobody_is_subscribed(cli, configure, tmp_path):
    """A channel that no subscription names is told."""
    configure(f'[channels.dm]\nprovider = "lines"\npath = "{tmp_path / "post"}"')

    assert "nobody is subscribed to dm: nothing is sent there" in cli("doctor").stdout


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_with_secrets_that_others_can_read(mode, cli, configure):
    """A secret in a file that others can read is told, with the line that shuts it."""
    file = configure('[channels.door]\nprovider = "door"\ntoken = "hunter2"')
    file.chmod(mode)

    result = cli("doctor", "--offline")
    assert f"others can read {file}, which holds channels.door.token" in found(
        result, "!"
    )
    assert f"→ chmod 600 {file}" in result.stdout
    assert "hunter2" not in result.output


def test_a_secrets_own_file(cli, configure, tmp_path):
    """A file that holds a secret alone is looked at too; the configuration may be open."""
    (tmp_path / "token").write_text("hunter2")
    (tmp_path / "token").chmod(0o644)
    file = configure(
        '[channels.door]\nprovider = "door"\ntoken = { file = "token" }',
    )
    file.chmod(0o644)

    result = cli("doctor", "--offline")
    [told] = [one for one in found(result, "!") if "others can read" in one]
    assert str(tmp_path / "token") in told


def test_a_secret_that_does_not_resolve(cli, configure, monkeypatch):
    """A reference that leads nowhere is a problem; one that resolves is not."""
    configure('[channels.door]\nprovider = "door"\ntoken = { env = "DOOR_TOKEN" }')

    result = cli("doctor", "--offline")
    assert result.exit_code == 1
    assert any("DOOR_TOKEN is not set" in one for one in found(result, "✗"))
    monkeypatch.setenv("DOOR_TOKEN", "hunter2")
    assert "channels.door.token resolves" in cli("doctor", "--offline").stdout


def test_a_broken_plugin(cli, configure):
    """A broken plugin is a warning, and a problem when a channel needs it."""
    assert cli("doctor").exit_code == 0

    configure('[channels.torn]\nprovider = "torn"')
    result = cli("doctor")
    assert result.exit_code == 1
    assert any("'torn' of torn 1.2 is broken" in one for one in found(result, "✗"))


def test_two_plugins_of_one_name(cli, tmp_path, monkeypatch):
    """Two packages that claim one name are both named."""
    info = tmp_path / "site" / "rival-3.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 3.0\n")
    (info / "entry_points.txt").write_text("[tocsin]\nlines = rival\n")
    monkeypatch.syspath_prepend(tmp_path / "site")

    told = "the provider 'lines' is registered by post 1.2 and rival 3.0"
    assert told in cli("doctor").stdout


def test_a_state_directory_that_others_can_look_into(cli, tmp_path):
    """Alerts may be confidential: a folder that is open to others is told."""
    (tmp_path / "state").mkdir(mode=0o755)

    result = cli("doctor")
    assert f"others can look into {tmp_path / 'state'}" in found(result, "!")
    assert f"→ chmod 700 {tmp_path / 'state'}" in result.stdout


def test_a_state_directory_on_a_network(cli, tmp_path, monkeypatch):
    """SQLite is not safe on a network file system: one is told, by its type."""
    (tmp_path / "mounts").write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(_filesystem, "_MOUNTS", tmp_path / "mounts")

    told = f"{tmp_path / 'state'} is on a network file system (nfs4)"
    assert any(one.startswith(told) for one in found(cli("doctor"), "!"))


def test_a_state_directory_that_is_none(cli, tmp_path):
    """A file in its place is a problem."""
    (tmp_path / "state").touch()

    result = cli("doctor")
    assert result.exit_code == 1
    assert f"{tmp_path / 'state'} is no folder" in found(result, "✗")


def test_a_state_directory_yet_to_be_made(cli, tmp_path):
    """One that is not there yet is fine, and looking does not make it."""
    result = cli("doctor")

    assert f"{tmp_path / 'state'} is made when the first alert is kept" in found(
        result, "✓"
    )
    assert not (tmp_path / "state").exists()


def test_memory(cli, monkeypatch):
    """A store in memory is told: nothing outlives the program."""
    monkeypatch.setenv("TOCSIN_STATE_DIR", ":memory:")

    assert "alerts are kept in memory" in cli("doctor").stdout


def test_a_damaged_store(cli, tmp_path):
    """A store that cannot be read is a problem, and the checks go on."""
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "tocsin.db").write_text("no database" * 100)

    result = cli("doctor")
    assert result.exit_code == 1
    assert any(one.startswith("the store ") for one in found(result, "✗"))
    assert "Leftovers" in result.stdout


def test_a_clock_that_was_set_back(cli, post, tmp_path):
    """An alert that was kept in the future tells that the clock jumped."""
    cli("send", "hi")
    with sqlite3.connect(tmp_path / "state" / "tocsin.db") as db:
        db.execute("UPDATE alerts SET submitted_at = ?", (time.time() + 7200,))
    db.close()

    result = cli("doctor")
    assert any("the clock was set back" in one for one in found(result, "!"))


def test_leftovers(cli, configure):
    """What failed and what is kept is told, with the reason, and what to do."""
    configure("""
        [user]
        channels = ["door", "later"]
        [channels.door]
        provider = "door"
        [channels.later]
        provider = "later"
    """)
    cli("send", "hi")

    result = cli("doctor", "--offline")
    failed, kept = [one for one in found(result, "!") if ": 1 " in one]
    assert failed.startswith("door: 1 failed: no such [b]mailbox[/b]")
    assert kept.startswith("later: 1 kept, the oldest at ")
    assert kept.endswith(": the service is busy")
    assert "→ correct the address; then tocsin replay --failed" in result.stdout


def test_leftovers_of_others(cli, post):
    """What an embedding program left in the same state directory is told as its own."""
    settings = tocsin.Settings(
        user="ada",
        channels={"dm": tocsin.Provider()},
        subscriptions=[tocsin.Subscription(channels=["dm"])],
    )
    with tocsin.Notifier(settings, namespace="trainer", mode="offline") as notifier:
        notifier.notify(tocsin.Alert("hi"))

    assert "trainer: 1 kept" in found(cli("doctor"), "!")


def test_leftovers_of_others_are_told_once(cli, configure, post, tmp_path):
    """Whatever another configuration left, in whatever state, is one line."""
    other = configure(
        f"""
        [user]
        channels = ["door", "later", "dm"]
        [channels.door]
        provider = "door"
        [channels.later]
        provider = "later"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
        """,
        name="other.toml",
    )
    for title in ("one", "two"):
        cli("send", title)

    result = cli("doctor", "--offline", "--config", post.config)
    assert [one for one in found(result, "!") if "kept" in one] == [
        f"{other}: 2 kept and 2 failed"
    ]
    assert "→ tocsin drain" in result.stdout
    assert "mailbox" not in result.stdout


def test_a_channel_that_fails(cli, configure, database, tmp_path):
    """A channel that fails is a warning: why, since when, how many wait, what to do."""
    config = configure(f"""
        [user]
        channels = ["dm"]
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)
    cli("send", "one", "--no-wait")
    cli("send", "two", "--no-wait")
    database(
        "INSERT INTO circuits VALUES (?, 'dm', 7, ?, 1e9, 0, 'no route', 'dig one')",
        *(str(config), time.time() + 60),
    )

    result = cli("doctor", "--offline")
    assert result.exit_code == 0
    [told] = [one for one in found(result, "!") if one.startswith("dm is")]
    assert told.startswith("dm is failing: no route (since 2001-09-09 ")
    assert "; 2 deliveries wait, and it is tried again with one at " in told
    assert "→ dig one; then tocsin test dm" in result.stdout
    assert "kept, the oldest" not in result.stdout


def test_a_pause(cli, configure):
    """A service that asked for a pause is no fault."""
    configure("""
        [user]
        channels = ["later"]
        [channels.later]
        provider = "later"
    """)
    cli("send", "hi")

    good = found(cli("doctor", "--offline"), "✓")
    assert any(one.startswith("later has a pause until ") for one in good)
    assert "none of them fails" in good


def test_fallbacks(cli, configure):
    """Who stands in for whom is told along the chain, and a stand-in is not idle."""
    configure("""
        [user]
        channels = ["a"]
        [channels.a]
        provider = "door"
        fallback = "b"
        fallback_after = "90s"
        [channels.b]
        provider = "door"
        fallback = "c"
        [channels.c]
        provider = "door"
        fallback = "a"
    """)

    result = cli("doctor", "--offline")
    good = found(result, "✓")
    assert "what fails goes a → b → c, after 90 s at most" in good
    assert "what fails goes b → c → a, after 10 min at most" in good
    assert "nobody is subscribed" not in result.stdout


def test_silences(cli, post):
    """A silence that is in force is a warning, with what ends it; one to come is not."""
    cli("silence", "add", "Loss*", "--for", "1h", "--reason", "planned restart")
    cli("silence", "add", "--from", "2040-01-01", "--for", "1h", "--reason", "later")

    result = cli("doctor", "--offline")
    [told] = [one for one in found(result, "!") if one.startswith("silenced")]
    assert told.startswith("silenced: title 'Loss*', until ")
    assert told.endswith(": planned restart (ada)")
    assert "→ tocsin silence expire " in result.stdout


def test_quiet_hours(cli, configure, hours, tmp_path):
    """Whose hours are quiet now is told, and what they hold is no fault."""
    configure(f"""
        [user]
        name = "ada"
        channels = ["dm"]
        quiet_hours = ["{hours}"]
        time_zone = "UTC"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)
    cli("send", "hi", "--no-wait")

    good = found(cli("doctor", "--offline"), "✓")
    [quiet] = [one for one in good if one.startswith("hours are quiet")]
    assert quiet.startswith("hours are quiet for user ada until ")
    assert quiet.endswith(": what is at most WARN waits for dm")
    assert any(one.startswith("dm: 1 held, until ") for one in good)


def test_spill_files(cli, tmp_path):
    """Alerts that wait beside the store are told."""
    (tmp_path / "state" / "spill" / "0").mkdir(parents=True)
    (tmp_path / "state" / "spill" / "0" / "1.jsonl").touch()

    assert "did not take in time wait in 1 file" in cli("doctor").stdout


def test_reachability(cli, configure, tmp_path):
    """Every service is asked; what it says, or why not, is told without secrets."""
    configure(f"""
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
        [channels.door]
        provider = "door"
        token = "hunter2"
        [channels.later]
        provider = "later"
    """)

    result = cli("doctor")
    assert result.exit_code == 1
    assert f"dm: writes to {tmp_path / 'post'}" in found(result, "✓")
    assert "later: cannot be asked; `tocsin test later` sends to it" in found(
        result, "✓"
    )
    assert "door: no such [b]mailbox[/b]\ufffd[2J …" in found(result, "✗")
    assert "→ correct the address" in result.stdout
    assert "hunter2" not in result.output


def test_offline(cli, configure):
    """Offline, no service is asked."""
    configure('[channels.door]\nprovider = "door"')

    result = cli("doctor", "--offline")
    assert result.exit_code == 0
    assert "mailbox" not in result.stdout


def test_a_service_that_hangs(cli, configure):
    """Services that never answer cost the time allowed once, all together."""
    configure("""
        [channels.a]
        provider = "hung"
        path = "/nowhere"
        [channels.b]
        provider = "hung"
        path = "/nowhere"
    """)

    began = time.monotonic()
    result = cli("doctor", "--timeout", "0.1")
    assert time.monotonic() - began < 5
    assert "a: no answer within 0.1 s" in found(result, "✗")
    assert "b: no answer within 0.1 s" in found(result, "✗")


def test_a_check_that_raises_anything(cli, configure):
    """Whatever a check raises is that channel's problem, and nobody else's."""
    configure("""
        [channels.rude]
        provider = "rude"
        [channels.door]
        provider = "door"
        token = { env = "NO_SUCH_TOKEN" }
        path = "/"
        [channels.later]
        provider = "later"
    """)

    result = cli("doctor")
    assert "rude: the provider raised SystemExit: enough" in found(result, "✗")
    assert "door: it is open" in found(result, "✓")
    assert "later: cannot be asked" in result.stdout


MOUNTS = """\
/dev/vda1 / ext4 rw,relatime 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/vdb /home/ada xfs rw 0 0
store /mnt/with\\040space fuse.sshfs rw 0 0
tmpfs /tmp tmpfs rw 0 0
over /tmp overlay rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/tocsin", "ext4"),
        ("/home/grace/.local", "nfs4"),
        ("/home", "nfs4"),
        ("/homestead", "ext4"),
        ("/home/ada/state", "xfs"),
        ("/mnt/with space/x", "fuse.sshfs"),
        ("/tmp/x", "overlay"),
    ],
)
def test_file_system(path, kind):
    """A path is on the longest mount above it; of two at one point, on the later."""
    assert _filesystem.kind_of(path, MOUNTS) == kind
