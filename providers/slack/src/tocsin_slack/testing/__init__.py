"""A double of Slack on the loopback, for tests of whatever posts to Slack."""

from tocsin_slack.testing._double import SlackDouble
from tocsin_slack.testing._limits import Violation, live_markup, violations
from tocsin_slack.testing._post import File, Post
from tocsin_slack.testing._received import Received

__all__ = [
    "File",
    "Post",
    "Received",
    "SlackDouble",
    "Violation",
    "live_markup",
    "violations",
]
