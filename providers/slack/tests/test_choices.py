"""Where a bot may post is what Slack tells, as far as the token may look."""

import pytest

from tocsin import OutOfOrder, Secret
from tocsin_slack import Slack
from tocsin_slack.testing import SlackDouble

EVERYTHING = ("chat:write", "channels:read", "groups:read", "users:read")
CHANNELS = {"C0ALERTS": "alerts", "C0OLD": "old", "G0OPS": "ops", "C0FAR": "far"}


@pytest.fixture
def workspace(request, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    settings = {
        "channels": CHANNELS,
        "members": ("U0ADA", "U0GRACE"),
        "names": {"U0ADA": "ada", "U0GRACE": "grace"},
        "private": ("G0OPS",),
        "archived": ("C0OLD",),
        "absent_from": ("C0FAR",),
        "scopes": EVERYTHING,
    }
    with SlackDouble(**{**settings, **getattr(request, "param", {})}) as double:
        yield double


def offered(double, **given):
    known = {"token": Secret(double.token), "base_url": double.base_url, **given}
    return Slack.offers("channel", known, 10)


def test_the_direct_message_comes_first(workspace):
    """One's own direct message is first, and is the only one recommended."""
    own, *others = offered(workspace)

    assert own.value == "U0ADA"
    assert own.is_recommended
    assert own.label == "a direct message to Ada (@ada), which nobody else reads"
    assert not any(choice.is_recommended for choice in others)


def test_channels_that_may_be_posted_to(workspace):
    """Channels follow by name, then members; archived ones are left out."""
    _, *others = offered(workspace)

    assert [(choice.value, choice.label) for choice in others] == [
        ("C0ALERTS", "#alerts"),
        ("C0FAR", "#far, after /invite @tocsin there"),
        ("G0OPS", "#ops, a private channel"),
        ("U0GRACE", "a direct message to Grace (@grace)"),
    ]


@pytest.mark.parametrize(
    ("workspace", "values"),
    [
        ({"scopes": ("chat:write",)}, []),
        ({"scopes": ("chat:write", "channels:read")}, ["C0ALERTS", "C0FAR"]),
        ({"scopes": ("chat:write", "groups:read")}, ["G0OPS"]),
        ({"absent_from": ("G0OPS",)}, ["U0ADA", "C0ALERTS", "C0FAR", "U0GRACE"]),
        ({"names": {}}, ["C0ALERTS", "C0FAR", "G0OPS", "U0ADA", "U0GRACE"]),
    ],
    indirect=["workspace"],
)
def test_what_the_token_may_not_see(workspace, values):
    """Each scope that is missing leaves out its part, and whoever is unknown is not guessed."""
    assert [choice.value for choice in offered(workspace)] == values


@pytest.mark.parametrize(
    "workspace",
    [{"channels": {f"C{n:04}": f"room-{n:04}" for n in range(450)}}],
    indirect=True,
)
def test_many_channels(workspace):
    """All pages are read."""
    channels = [c for c in offered(workspace) if c.value.startswith("C")]

    assert len(channels) == 450
    assert len(workspace.calls("conversations.list")) == 3


def test_no_more_in_time(workspace):
    """What Slack refuses to list is left out; the rest is offered."""
    workspace.fail_next("ratelimited", on="conversations.list", retry_after=30)

    assert [choice.value for choice in offered(workspace)] == ["U0ADA", "U0GRACE"]


def test_a_bad_token(workspace):
    """A token that is no good is told at once, without the token."""
    with pytest.raises(OutOfOrder, match="invalid_auth") as caught:
        offered(workspace, token=Secret("xoxb-canary"))

    assert caught.value.remedy
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize(
    ("setting", "given"),
    [("token", {}), ("channel", {}), ("channel", {"token": Secret()})],
)
def test_nothing_to_offer(setting, given):
    """Without a token nobody is asked, and only channel has choices."""
    assert Slack.offers(setting, given, 1) == ()


def test_the_double_answers_as_slack_does(workspace):
    """What is wrong with a request for a list is refused by Slack's code."""
    from tocsin.http import Deadline
    from tocsin_slack._clients import Bot

    bot = Bot(workspace.token, workspace.base_url, Deadline.after(10))
    for arguments, code in [
        ({"limit": 0}, "invalid_limit"),
        ({"cursor": "x"}, "invalid_cursor"),
        ({"types": "rooms"}, "invalid_types"),
    ]:
        with pytest.raises(Exception, match=code):
            bot.call("conversations.list", params=arguments)
