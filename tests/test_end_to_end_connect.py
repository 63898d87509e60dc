"""`tocsin connect slack`, at a terminal, against a Slack on the loopback."""

from __future__ import annotations

import pytest
from terminal import Terminal

from tocsin._config import load
from tocsin_slack.testing import SlackDouble

SCOPES = ("chat:write", "files:write", "channels:read", "groups:read", "users:read")


@pytest.fixture
def slack(tmp_path, monkeypatch):
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in ("TOCSIN_CONFIG", "TOCSIN_STATE_DIR", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LOGNAME", "ada")
    with SlackDouble(
        token="xoxb-canary", channels={"C0ALERTS": "alerts"}, scopes=SCOPES
    ) as double:
        yield double


def run(slack, way, **answers):
    with Terminal(
        "connect", "slack", "--set", f"base_url={slack.base_url}"
    ) as terminal:
        terminal.expect("How shall slack be reached?")
        terminal.ready()
        terminal.type(way)
        terminal.answer(**answers)
        terminal.expect("be called?")
        terminal.type("")
        again = "There is a channel" in terminal.until("already", "Which alerts")
        terminal.type("y" if again else "")
        terminal.expect("be kept?")
        terminal.type("file")
        code = terminal.end()
    assert "xoxb-canary" not in terminal.shown
    assert "xoxb-canary" not in terminal.told
    return code, terminal.shown


def test_the_private_message_and_then_another_place(slack, tmp_path):
    """The first connection goes to the person alone; the second changes where alerts go."""
    code, shown = run(slack, "1", token=slack.token, channel="")
    assert code == 0
    assert "a direct message to Ada (@ada), which nobody else reads" in shown
    assert "Slack workspace Double as bot tocsin" in shown

    code, shown = run(slack, "1", token=slack.token, channel="#alerts")
    assert code == 0

    assert [post.channel for post in slack.messages] == ["D0ADA", "C0ALERTS"]
    (channel,) = load(tmp_path / "tocsin" / "tocsin.toml").channels.values()
    assert channel.provider.channel == "C0ALERTS"
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.parent.name != "secrets":
            assert b"xoxb-canary" not in path.read_bytes(), path


def test_a_webhook(slack, tmp_path):
    """By the other way there is one question, and the address is a secret."""
    url = slack.webhook_url()
    code, shown = run(slack, "2", webhook_url=url)

    assert code == 0
    assert url not in shown
    assert [post.via for post in slack.messages] == ["webhook"]
