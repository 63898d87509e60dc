"""What a test may ask of a capture, and what it is told when it is not so."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

import tocsin
from tocsin import QuietHours, Settings, Subscription
from tocsin.testing import capture

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def settings(**subscription):
    wish = Subscription(channels=["ops"], **subscription)
    return Settings(user="ada", channels={"ops": Silent()}, subscriptions=[wish])


class Silent(tocsin.Provider):
    name = "silent"


@pytest.fixture
def alerts():
    with capture(now=NOON) as alerts:
        yield alerts


@pytest.fixture
def ops():
    with capture(settings=settings(), now=NOON) as alerts:
        yield alerts


def why(assertion, *args, **kwargs):
    """Return what an assertion says that does not hold."""
    with pytest.raises(AssertionError) as caught:
        assertion(*args, **kwargs)
    return str(caught.value)


# --- what was sent


def test_sent_by_title(alerts):
    """A title is the whole title, a pattern, or a function of the message."""
    tocsin.alert("Loss is NaN", "at step 3")

    assert alerts.assert_sent("Loss is NaN").text == "at step 3"
    alerts.assert_sent(re.compile("NaN$"))
    alerts.assert_sent(lambda sent: "step 3" in sent.text)
    assert "was not sent" in why(alerts.assert_sent, "Loss")


def test_sent_by_what_else_it_is(alerts):
    tocsin.init(project="mnist", team="vision", tags=["night"])
    tocsin.alert("Loss is NaN", "at step 3", level="ERROR")

    alerts.assert_sent(
        "Loss is NaN",
        to="alerts",
        level=tocsin.AlertLevel.ERROR,
        kind="scriptable",
        text=re.compile(r"step \d"),
        team="vision",
        project="mnist",
        tag="night",
        times=1,
    )
    for other in (
        {"to": "ops"},
        {"level": "warn"},
        {"kind": "crashed"},
        {"text": "step 4"},
        {"user": "nobody"},
        {"team": "audio"},
        {"project": "cifar"},
        {"tag": "day"},
    ):
        assert "nearly" in why(alerts.assert_sent, "Loss is NaN", **other)
        alerts.assert_not_sent("Loss is NaN", **other)


def test_a_near_miss_is_named(alerts):
    """Whoever mistypes is shown what there is, and in what it differs."""
    tocsin.alert("Loss is Nan", level="ERROR")
    tocsin.alert("Disk full")

    said = why(alerts.assert_sent, "Loss is NaN", level="WARN", to="ops")

    assert said == (
        "an alert 'Loss is NaN' to channel 'ops' of level 'WARN' was not sent\n"
        "sent:\n"
        "  [ERROR] Loss is Nan -> alerts   "
        "<- nearly: its title, channel 'alerts', level 'ERROR'\n"
        "  [INFO] Disk full -> alerts"
    )


def test_what_was_not_sent_is_shown_with_the_reason():
    """Suppressed, let through by nobody, held: each of them may be what was meant."""
    with capture(settings=settings(min_level="WARN"), now=NOON) as alerts:
        tocsin.alert("too low")
        tocsin.alert("often", level="WARN")
        tocsin.alert("often", level="WARN")
        alerts.fail("ops", tocsin.Rejected("no such channel"))
        tocsin.alert("refused", level="ERROR")

        assert why(alerts.assert_sent, "refused") == (
            "an alert 'refused' was not sent\n"
            "sent:\n"
            "  [WARN] often -> ops\n"
            "suppressed:\n"
            "  'often': 1\n"
            "let through by no subscription:\n"
            "  [INFO] too low\n"
            "not sent, or not yet:\n"
            "  [ERROR] refused -> ops: failed, no such channel"
        )


def test_nothing_sent_is_said(alerts):
    assert why(alerts.assert_sent, "x") == "an alert 'x' was not sent\nnothing was sent"


def test_how_often(alerts):
    tocsin.alert("x", wait_duration=0)
    tocsin.alert("x", wait_duration=0)

    alerts.assert_sent("x", times=2)
    assert why(alerts.assert_sent, "x", times=1).splitlines() == [
        "an alert 'x' was sent twice, not once",
        "sent:",
        "  [INFO] x -> alerts   <- this one",
        "  [INFO] x -> alerts   <- this one",
    ]
    with pytest.raises(ValueError, match="assert_not_sent"):
        alerts.assert_sent("x", times=0)


def test_a_long_story_is_cut(alerts):
    for number in range(100):
        tocsin.alert(f"alert {number}")

    said = why(alerts.assert_sent, "x")

    assert len(said.splitlines()) < 40
    assert said.endswith("… and 70 more")


@pytest.mark.parametrize("title", [3, ["x"], b"x"])
def test_a_wrong_title_is_told(alerts, title):
    with pytest.raises(TypeError, match="a title is a str"):
        alerts.assert_sent(title)


def test_a_wrong_level_is_told(alerts):
    with pytest.raises(ValueError, match="level must be"):
        alerts.assert_not_sent(level="FATAL")


# --- what was not


def test_not_sent(alerts):
    tocsin.alert("Disk full")

    alerts.assert_not_sent("Loss is NaN")
    assert why(alerts.assert_not_sent, "Disk full") == (
        "what should not be sent was sent once:\n  [INFO] Disk full -> alerts"
    )


def test_none(alerts):
    alerts.assert_none()
    tocsin.alert("Disk full")

    assert why(alerts.assert_none).startswith("there should be no alert\nsent:")


def test_none_means_that_nothing_is_held_either():
    quiet = QuietHours(["11:00-13:00"], time_zone="UTC")
    with capture(settings=settings(quiet_hours=quiet), now=NOON) as alerts:
        tocsin.alert("Disk full")

        assert "held until 2026-01-05 13:00:00 UTC" in why(alerts.assert_none)
        assert len(alerts) == 0


# --- how many, in order


def test_count(alerts):
    tocsin.alert("a")

    alerts.assert_count(1)
    assert why(alerts.assert_count, 2).startswith("1 message was sent, not 2\nsent:")


def test_order(alerts):
    for title in "abc":
        tocsin.alert(title)

    alerts.assert_sent_in_order("a", "c")
    assert why(alerts.assert_sent_in_order, "c", "a").startswith(
        "an alert 'a' was not sent after an alert 'c'\n"
    )
    assert why(alerts.assert_sent_in_order, "a", "a")
    assert why(alerts.assert_sent_in_order, "a", to="ops")


def test_it_is_a_sequence(alerts):
    for title in "abc":
        tocsin.alert(title)

    assert alerts[0].title == "a"
    assert [one.title for one in alerts[1:]] == ["b", "c"]
    assert alerts.titles == [one.title for one in alerts] == ["a", "b", "c"]
    assert [one.title for one in alerts.matching(re.compile("[ab]"))] == ["a", "b"]
    assert repr(alerts).startswith("<Alerts [INFO] a -> alerts, [INFO] b -> ")


# --- the throttle, and time


def test_suppressed(alerts):
    """The count is the same whether a later alert told of it or not."""
    for _ in range(3):
        tocsin.alert("Loss is NaN")

    assert alerts.suppressed == {"Loss is NaN": 2}
    alerts.assert_suppressed("Loss is NaN")
    alerts.assert_suppressed("Loss is NaN", times=2)
    assert why(alerts.assert_suppressed, "Loss is NaN", times=1).startswith(
        "'Loss is NaN' was suppressed twice, not once\n"
    )
    assert why(alerts.assert_suppressed, "x").startswith("'x' was suppressed never")

    alerts.clock.advance(seconds=61)
    tocsin.alert("Loss is NaN")
    assert alerts.suppressed == {"Loss is NaN": 2}
    assert alerts[1].notes == (
        "2 more like it suppressed since 2026-01-05 12:00:00 UTC.",
    )


def test_the_window_goes_by_the_clock(alerts):
    tocsin.alert("x", wait_duration=600)
    alerts.clock.advance(minutes=9, seconds=59)
    tocsin.alert("x", wait_duration=600)
    alerts.assert_count(1)
    alerts.clock.advance(1)
    tocsin.alert("x", wait_duration=600)

    alerts.assert_count(2)


def test_quiet_hours_end_by_the_clock():
    quiet = QuietHours(["11:00-13:00"], time_zone="UTC")
    with capture(settings=settings(quiet_hours=quiet), now=NOON) as alerts:
        tocsin.alert("Disk full")
        (held,) = alerts.pending
        assert (held.title, held.channel) == ("Disk full", "ops")
        alerts.clock.advance_to(NOON.replace(hour=13))

        alerts.assert_sent("Disk full", to="ops", times=1)
        assert alerts.pending == ()


def test_digests_go_by_the_clock():
    with capture(settings=settings(digest=3600.0), now=NOON) as alerts:
        for title in "abc":
            tocsin.alert(title)
        assert alerts.titles == ["a"]
        alerts.clock.advance(hours=1)

        assert [one.kind for one in alerts] == ["scriptable", "digest"]


def test_it_is_the_time_that_the_test_says(alerts):
    tocsin.alert("x")
    alerts.clock.advance(days=1)
    tocsin.alert("y")

    assert [one.alert.created_at for one in alerts] == [NOON, NOON.replace(day=6)]
    assert alerts.clock.now == NOON.replace(day=6)
    assert alerts.clock() == NOON.timestamp() + 86_400


def test_time_goes_forward_only(alerts):
    with pytest.raises(ValueError, match="forward only"):
        alerts.clock.advance(-1)
    with pytest.raises(ValueError, match="forward only"):
        alerts.clock.advance_to(NOON.replace(hour=1))
    with pytest.raises(ValueError, match="time zone"):
        alerts.clock.advance_to(NOON.replace(tzinfo=None))


def test_now_has_a_time_zone():
    with (
        pytest.raises(ValueError, match="time zone"),
        capture(now=datetime(2026, 1, 5)),  # noqa: DTZ001 - that is the mistake
    ):
        pass


# --- channels that fail


def test_a_channel_that_refuses(ops):
    """What a program does then can be looked at: the result tells."""
    ops.fail("ops", tocsin.Rejected("no such channel"))
    result = tocsin.alert("Disk full")

    (delivery,) = result.wait(60)
    assert delivery.status is tocsin.Status.FAILED
    assert [(one.title, one.reason) for one in ops.failed] == [
        ("Disk full", "no such channel")
    ]
    ops.assert_count(0)


def test_a_channel_that_fails_once(ops):
    """It is tried again when the clock says so."""
    ops.fail("ops", tocsin.RetryLater("busy", after=30), times=1)
    tocsin.alert("Disk full")
    assert [one.reason for one in ops.pending] == ["busy"]
    ops.clock.advance(minutes=1)

    assert ops.assert_sent("Disk full").delivery.attempt == 2


def test_a_channel_that_is_mended(ops):
    ops.fail("ops", tocsin.OutOfOrder("the token is revoked"))
    tocsin.alert("first")
    assert [one.title for one in ops.failed] == ["first"]
    ops.mend("ops")
    tocsin.alert("second")
    ops.clock.advance(minutes=5)

    assert ops.titles == ["second"]


def test_a_fallback_gets_what_fails():
    given = Settings(
        user="ada",
        channels=[
            tocsin.Channel("ops", Silent(), fallback="mail"),
            tocsin.Channel("mail", Silent()),
        ],
        subscriptions=[Subscription(channels=["ops"])],
    )
    with capture(settings=given) as alerts:
        alerts.fail("ops", tocsin.Rejected("no such channel"))
        tocsin.alert("Disk full")

        alerts.assert_sent("Disk full", to="mail")
        alerts.assert_not_sent(to="ops")


def test_its_settings_can_be_given_to_a_notifier(ops):
    with tocsin.Notifier(ops.settings, namespace="billing") as notifier:
        notifier.notify(tocsin.Alert("Disk full"))

        ops.assert_sent("Disk full", to="ops", user="ada")
