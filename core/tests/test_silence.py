from __future__ import annotations

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import alerts, any_text, levels, times

from tocsin import Alert, AlertLevel, Origin
from tocsin._silence import Silence

NOW = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
WARN = AlertLevel.WARN

ALERT = Alert(
    "Loss is NaN", "", WARN, origin=Origin(user="ada", team="vision", project="mnist")
)


def silence(**changes):
    """Return a silence of everything, for the minute from now on."""
    return Silence(**{"id": "3f2a", "starts_at": NOW, "ends_at": NOW + 60} | changes)


@settings(deadline=None)
@given(alerts, times, st.floats(0.001, 1e9), st.floats(-1e9, 1e9))
@example(ALERT, NOW, 60.0, 0.0)
@example(ALERT, NOW, 60.0, -0.001)
@example(ALERT, NOW, 60.0, 59.999)
@example(ALERT, NOW, 60.0, 60.0)
def test_everything_while_it_lasts(alert, starts_at, seconds, offset):
    """As it comes it silences every alert, from its start until just before its end."""
    everything = silence(starts_at=starts_at, ends_at=starts_at + seconds)
    now = starts_at + offset

    assert everything.matches(alert, now) is (starts_at <= now < starts_at + seconds)
    assert everything.is_over(now) is (now >= starts_at + seconds)


@pytest.mark.parametrize(
    ("changes", "is_silenced"),
    [
        ({"title": "Loss*"}, True),
        ({"title": "Loss is NaN"}, True),
        ({"title": "L?ss is [MN]aN"}, True),
        ({"title": "Loss"}, False),
        ({"title": "loss*"}, False),
        ({"title": "is"}, False),
        ({"project": "mn*"}, True),
        ({"project": "cifar"}, False),
        ({"team": "vision"}, True),
        ({"team": "ada"}, False),
        ({"max_level": "error"}, True),
        ({"max_level": WARN}, True),
        ({"max_level": "INFO"}, False),
        ({"title": "Loss*", "project": "mnist", "team": "v*", "max_level": WARN}, True),
        ({"title": "Loss*", "project": "cifar"}, False),
        ({"title": "Disk*", "project": "mnist"}, False),
    ],
    ids=repr,
)
def test_matches(changes, is_silenced):
    """An alert is silenced when all of the patterns match, and it is not worse."""
    assert silence(**changes).matches(ALERT, NOW) is is_silenced


def test_any_origin_is_none_too():
    """Where any project and team will do, so does an alert that has neither."""
    alert = Alert("two\nlines")

    assert silence().matches(alert, NOW)
    assert silence(title="two*").matches(alert, NOW)
    assert not silence(project="?*").matches(alert, NOW)
    assert not silence(team="?*").matches(alert, NOW)


@settings(deadline=None)
@given(levels, levels)
def test_levels(level, max_level):
    """What is worse than its level is not silenced; anything else is."""
    alert = attrs.evolve(ALERT, level=level)

    assert silence(max_level=max_level).matches(alert, NOW) is (level <= max_level)


@pytest.mark.parametrize(
    ("changes", "description"),
    [
        ({}, "every alert, until 2026-11-23 12:01:00 UTC"),
        (
            {
                "title": "Loss*",
                "project": "mnist",
                "max_level": "WARN",
                "ends_at": NOW + 0.5,
                "reason": "upgrade of\nthe cluster",
                "author": "ada",
            },
            (
                "title 'Loss*', project 'mnist', up to WARN, "
                "until 2026-11-23 12:00:00 UTC: upgrade of the cluster (ada)"
            ),
        ),
        ({"team": "vision"}, "team 'vision', until 2026-11-23 12:01:00 UTC"),
        (
            {"max_level": "INFO", "reason": "noise"},
            "every alert, up to INFO, until 2026-11-23 12:01:00 UTC: noise",
        ),
        ({"author": "ada"}, "every alert, until 2026-11-23 12:01:00 UTC (ada)"),
    ],
    ids=range(5),
)
def test_description(changes, description):
    """People read what is silenced, until when, why and by whom."""
    assert silence(**changes).description == description


@settings(deadline=None)
@given(any_text.filter(bool), any_text, st.floats(NOW + 1, 253_402_300_799))
def test_description_is_one_line(text, reason, ends_at):
    """Whatever it holds, a description is a line that can be printed."""
    described = silence(
        title=text, project=text, team=text, ends_at=ends_at, reason=reason, author=text
    ).description

    assert described.splitlines() == [described]
    assert described.encode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, "id must not be empty"),
        ({"title": ""}, r"title must be a pattern such as 'Loss\*', or '\*' for any"),
        ({"project": ""}, "project must be a pattern"),
        ({"team": ""}, "team must be a pattern"),
        ({"max_level": "FATAL"}, "level must be one of"),
        ({"ends_at": NOW}, "must lie after starts_at"),
        ({"ends_at": NOW - 1}, "must lie after starts_at"),
        ({"ends_at": float("nan")}, "must lie after starts_at"),
        ({"starts_at": float("nan")}, "must lie after starts_at"),
        ({"ends_at": float("inf")}, "up to the year 9999"),
        ({"ends_at": 253_402_300_800}, "up to the year 9999"),
    ],
    ids=str,
)
def test_mistakes(changes, message):
    """A silence that has no end, no time or no patterns cannot be made."""
    with pytest.raises(ValueError, match=message):
        silence(**changes)


@pytest.mark.parametrize("name", ["id", "title", "project", "team", "reason", "author"])
def test_types(name):
    """What is to be text is text."""
    with pytest.raises(TypeError, match=name):
        silence(**{name: 5})
