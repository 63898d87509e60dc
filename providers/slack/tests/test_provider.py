import subprocess
import sys

import attrs
import pytest

from tocsin import Secret
from tocsin._plugins import load
from tocsin._secret import FromEnv
from tocsin_slack import Slack

TOKEN = Secret("xoxb-1")
URL = Secret("https://hooks.slack.com/services/T/B/x")


def test_it_is_found_by_its_name():
    assert load("slack") is Slack


def test_finding_it_does_not_import_the_sdk():
    code = (
        "import sys; from tocsin._plugins import load; load('slack');"
        "sys.exit('slack_sdk' in sys.modules or 'urllib.request' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"token": TOKEN, "channel": "C1"},
        {"token": Secret(FromEnv("SLACK_BOT_TOKEN")), "channel": "#alerts"},
        {"webhook_url": URL},
        {"webhook_url": Secret(FromEnv("SLACK_WEBHOOK"))},
        {"webhook_url": Secret("http://127.0.0.1:1/services/x")},
        {"token": TOKEN, "channel": "U1", "base_url": "http://localhost:1/api/"},
        {"token": TOKEN, "channel": "C1", "threads": "run"},
        {"webhook_url": URL, "threads": ""},
    ],
)
def test_settings_that_can_work(settings):
    assert Slack(**settings)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({}, "either token .* or webhook_url"),
        ({"token": TOKEN, "webhook_url": URL, "channel": "C1"}, "not both"),
        ({"token": TOKEN}, "token needs channel: the id"),
        ({"token": TOKEN, "channel": " "}, "token needs channel"),
        ({"webhook_url": URL, "channel": "C1"}, "remove channel"),
        (
            {"token": TOKEN, "channel": "C1", "base_url": "http://slack.com/api/"},
            "base_url must be an https:// address, not 'http://slack.com/api/'",
        ),
        ({"token": TOKEN, "channel": "C1", "threads": "yes"}, "not 'yes'"),
        ({"webhook_url": URL, "threads": "run"}, "remove threads, or use token"),
        ({"webhook_url": Secret("http://hooks.slack.com/x")}, "must be an https://"),
        ({"webhook_url": Secret("hooks.slack.com/x")}, "copy it from"),
    ],
)
def test_a_mistake_says_what_to_do_next(settings, remedy):
    with pytest.raises(ValueError, match=remedy):
        Slack(**settings)


def test_every_setting_is_explained():
    assert all(field.metadata["help"] for field in attrs.fields(Slack))
