from __future__ import annotations

import pytest

import tocsin
from tocsin import _plugins as plugins


@pytest.fixture
def door(configure, tmp_path):
    """Two channels behind doors, and what opens them."""
    configure(f"""
        [user]
        name = "ada"
        channels = ["one", "two"]
        [channels.one]
        provider = "door"
        path = "{tmp_path / "one"}"
        [channels.two]
        provider = "door"
        path = "{tmp_path / "two"}"
    """)
    return lambda *names: [(tmp_path / name).touch() for name in names]


def test_by_delivery(cli, door, history):
    """The delivery that is named is made again, and no other; delivered it ends with 0."""
    cli("send", "hi")
    door("one", "two")

    [alert] = history()
    result = cli("replay", f"{alert['id']}.one")
    assert result.exit_code == 0
    assert "✓  one  delivered" in result.stdout
    [alert] = history()
    assert [one["status"] for one in alert["deliveries"]] == ["delivered", "failed"]


@pytest.mark.parametrize("length", [16, None])
def test_by_alert(length, cli, door, history):
    """Of the alert that an id, or its beginning, means, all that failed is made again."""
    door("two")
    cli("send", "hi")
    door("one")

    [alert] = history()
    result = cli("replay", alert["id"][:length])
    assert result.exit_code == 0
    assert "✓  one  delivered" in result.stdout
    assert "two" not in result.stdout


def test_that_fails_again(cli, door, history):
    """A delivery that fails again says why: 1."""
    cli("send", "hi")

    [alert] = history()
    result = cli("replay", f"{alert['id']}.one")
    assert result.exit_code == 1
    assert "✗  one  failed: no such [b]mailbox[/b]" in result.stdout


def test_several_meanings(cli, door, history):
    """An id that means several deliveries lists them, and replays none: 2."""
    door("one", "two")
    cli("send", "hi")
    cli("send", "ho")

    ids = [delivery["id"] for alert in history() for delivery in alert["deliveries"]]
    of_several_alerts = cli("replay", "0")
    assert of_several_alerts.exit_code == 2
    assert all(one in of_several_alerts.stderr for one in ids)
    of_one_alert = cli("replay", ids[0].partition(".")[0])
    assert of_one_alert.exit_code == 2
    assert all(one in of_one_alert.stderr for one in ids[:2])


@pytest.mark.parametrize("prefix", ["ffff", "no-such-id.one", "é", "\udcff"])
def test_no_meaning(prefix, cli, door):
    """An id that means nothing ends with 2."""
    cli("send", "hi")

    result = cli("replay", prefix)
    assert result.exit_code == 2
    assert "no delivery's id begins with" in result.stderr


def test_what_is_still_kept(cli, door, history):
    """A delivery that is yet to be made is not made twice: drain does it."""
    cli("send", "hi", "--no-wait")

    [alert] = history()
    result = cli("replay", f"{alert['id']}.one")
    assert result.exit_code == 1
    assert "kept already" in result.stdout
    assert "→ tocsin drain" in result.stdout


def test_whatever_the_configuration(cli, door, post, history, tmp_path):
    """An id is found in any configuration that used the state directory."""
    own = ["--config", post.config]
    cli("send", "hi", *own)

    [alert] = history()
    result = cli("replay", alert["id"], "--config", tmp_path / "tocsin.toml")
    assert result.exit_code == 0
    assert len(post.messages) == 2


def test_of_an_embedding_program(cli, post, history):
    """A delivery of a program that made its settings in code is for that program."""
    settings = tocsin.Settings(
        user="ada",
        channels={"dm": plugins.load("door")()},
        subscriptions=[tocsin.Subscription(channels=["dm"])],
    )
    with tocsin.Notifier(settings, namespace="trainer") as notifier:
        result = notifier.notify(tocsin.Alert("hi", id="x1"))
        [record] = result.wait(10)

    assert record.status is tocsin.Status.FAILED
    result = cli("replay", "x1")
    assert result.exit_code == 1
    assert "→ start that program again" in result.stdout


def test_all_that_failed(cli, door):
    """With --failed everything that failed is made again, and counted."""
    cli("send", "hi")
    cli("send", "ho")
    door("one")

    result = cli("replay", "--failed")
    assert result.exit_code == 1
    assert "✓  one  2 delivered" in result.stdout
    assert "✗  two  2 failed" in result.stdout
    door("two")
    assert cli("replay", "--failed").exit_code == 0
    assert cli("replay", "--failed").stdout == "Nothing has failed.\n"


def test_a_channel_that_is_gone(cli, door, configure):
    """What failed on a channel that is gone stays as it is, and is told."""
    cli("send", "hi")
    configure('[channels.two]\nprovider = "door"')

    result = cli("replay", "--failed")
    assert result.exit_code == 1
    assert "the configuration has no one any more" in result.stdout


@pytest.mark.parametrize("line", [[], ["abc", "--failed"]])
def test_wrong_usage(line, cli):
    """Either an id or --failed is asked for."""
    assert cli("replay", *line).exit_code == 2


def test_a_channel_that_was_repaired(cli, gate, history, caplog):
    """A revoked token is told everywhere; once it is mended, replay sends, and what waits goes."""
    with tocsin.Notifier.from_config() as program:
        program.notify(tocsin.Alert("one")).wait(10)
    second = cli("send", "two")

    assert "channel 'dm' is out of order: the token was revoked (make" in caplog.text
    assert "kept: the channel is out of order: the token was revoked" in second.stdout
    assert second.exit_code == 1
    log = cli("log").stdout
    assert "✗ dm: the token was revoked" in log
    assert "… dm: waits until the channel works again" in log
    doctor = cli("doctor", "--offline")
    assert doctor.exit_code == 1
    assert "✗  dm is out of order: the token was revoked (since " in doctor.stdout
    assert "1 delivery waits" in doctor.stdout
    assert "→ make a new one; then tocsin test dm" in doctor.stdout
    assert "dm is out of order: the token" in cli("channels").stdout
    gate.open()
    [one, _] = history()
    replayed = cli("replay", f"{one['id']}.dm")
    assert replayed.exit_code == 0
    assert "✓  dm  delivered, message g1" in replayed.stdout
    assert cli("drain").exit_code == 0
    assert sorted(gate.titles) == ["one", "two"]
    assert cli("doctor", "--offline").exit_code == 0


def test_all_that_failed_on_a_channel_that_was_repaired(cli, gate):
    """With --failed all of it goes, and what waits goes along."""
    cli("send", "one")
    cli("send", "two")
    gate.open()

    result = cli("replay", "--failed")
    assert result.exit_code == 0
    assert "✓  dm  2 delivered" in result.stdout
    assert cli("drain").exit_code == 0
    assert sorted(gate.titles) == ["one", "two"]
