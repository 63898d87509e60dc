from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import alerts

from tocsin import Alert, AlertLevel, Origin, Scope, Subscription
from tocsin._quiet import QuietHours
from tocsin._routing import Route
from tocsin._routing import plan as routes

ADA = Origin(user="ada", team="vision", project="prod-api")
ALERT = Alert("Disk full", "", "WARN", origin=ADA, tags=["gpu", "night"])


NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def plan(alert, subscriptions):
    """Return the channels that an alert goes to."""
    return tuple(route.channel for route in routes(alert, subscriptions, NOW))


def wish(*channels, **filters):
    """Return a subscription of ada's."""
    return Subscription(channels=channels or ("dm",), owner="ada", **filters)


def team_wish(*channels, **filters):
    """Return a subscription of the team vision's."""
    return Subscription(
        channels=channels or ("vision",), scope=Scope.TEAM, owner="vision", **filters
    )


def test_user():
    """A user's wishes hold for that user's alerts, in any team, and for no other's."""
    alone = Alert("Disk full", origin=Origin(user="ada"))
    grace = Alert("Disk full", origin=Origin(user="grace", team="vision"))

    assert plan(ALERT, [wish("dm")]) == ("dm",)
    assert plan(alone, [wish("dm")]) == ("dm",)
    assert plan(grace, [wish("dm")]) == ()


def test_team():
    """A team's wishes hold for every alert raised for the team, and for no other."""
    grace = Alert("Disk full", origin=Origin(user="grace", team="vision"))
    teamless = Alert("Disk full", origin=Origin(user="ada"))
    elsewhere = Alert("Disk full", origin=Origin(user="ada", team="speech"))

    assert plan(ALERT, [team_wish()]) == ("vision",)
    assert plan(grace, [team_wish()]) == ("vision",)
    assert plan(teamless, [team_wish()]) == ()
    assert plan(elsewhere, [team_wish()]) == ()


def test_scopes_are_not_mixed_up():
    """A user who bears a team's name does not get the team's alerts."""
    alert = Alert("Disk full", origin=Origin(user="vision", team="ada"))

    assert plan(alert, [wish(), team_wish()]) == ()


def test_union():
    """Each channel gets the alert once, however many wishes name it, in their order."""
    wishes = [
        wish("dm", "inbox"),
        wish("phone", "dm"),
        team_wish("vision", "inbox"),
    ]

    assert plan(ALERT, wishes) == ("dm", "inbox", "phone", "vision")


def test_one_wish_is_enough():
    """A channel gets the alert when any wish for it lets it through."""
    wishes = [wish("dm", kinds=("crashed",)), wish("dm", tags=("gpu",))]

    assert plan(ALERT, wishes) == ("dm",)


@pytest.mark.parametrize(
    ("filters", "objection"),
    [
        ({}, ""),
        ({"min_level": AlertLevel.INFO}, ""),
        ({"min_level": AlertLevel.WARN}, ""),
        ({"min_level": AlertLevel.ERROR}, "WARN is below min_level ERROR"),
        ({"kinds": ["crashed", "script*"]}, ""),
        ({"kinds": "scriptable"}, ""),
        ({"kinds": ["crashed"]}, "kind 'scriptable' is not among 'crashed'"),
        ({"kinds": ["Scriptable"]}, "kind 'scriptable' is not among 'Scriptable'"),
        ({"projects": ["dev", "prod-*"]}, ""),
        ({"projects": ["*"]}, ""),
        ({"projects": ["prod"]}, "project 'prod-api' is not among 'prod'"),
        ({"projects": ["a", "b"]}, "project 'prod-api' is not among 'a', 'b'"),
        ({"tags": ["gpu"]}, ""),
        ({"tags": ["cpu", "n?ght"]}, ""),
        ({"tags": ["cpu"]}, "it has none of the tags 'cpu'"),
    ],
    ids=repr,
)
def test_filters(filters, objection):
    """A wish lets through what all of its filters let through, and says why not."""
    assert wish(**filters).objection(ALERT) == objection
    assert plan(ALERT, [wish(**filters)]) == (() if objection else ("dm",))


@pytest.mark.parametrize(
    ("subscription", "origin", "objection"),
    [
        (wish(), Origin(user="grace"), "the alert has user grace"),
        (wish(), Origin(), "the alert has no user"),
        (team_wish(), Origin(user="ada", team="speech"), "the alert has team speech"),
        (team_wish(), Origin(user="ada"), "the alert has no team"),
    ],
    ids=["other user", "no user", "other team", "no team"],
)
def test_objection_of_a_scope(subscription, origin, objection):
    """An alert of somebody else is objected to, and it is said whose it is."""
    assert subscription.objection(Alert("Disk full", origin=origin)) == objection


def test_subscription_in_code():
    """In code one word does for a list of it, and a level's name for the level."""
    subscription = wish(
        "dm", kinds="crashed", projects="prod-*", tags="gpu", min_level="error"
    )

    assert subscription == wish(
        "dm",
        kinds=("crashed",),
        projects=("prod-*",),
        tags=("gpu",),
        min_level=AlertLevel.ERROR,
    )


def test_subscription_of_a_wrong_level():
    """An unknown level is a mistake where the subscription is made, not at each alert."""
    with pytest.raises(ValueError, match="level must be one of"):
        wish(min_level="FATAL")


def test_alert_without_a_project():
    """An alert without a project passes where any project does, and nowhere else."""
    alert = Alert("Disk full", origin=Origin(user="ada"))

    assert not wish().objection(alert)
    assert wish(projects=["prod-*"]).objection(alert)


@settings(deadline=None)
@given(alerts, st.lists(st.sampled_from(["dm", "inbox", "phone"]), max_size=6))
def test_every_alert_has_a_plan(alert, channels):
    """Whoever wants everything of a user gets everything of that user, once."""
    everything = [
        Subscription(channels=channel, owner=alert.origin.user) for channel in channels
    ]

    assert plan(alert, everything) == tuple(dict.fromkeys(channels))
    assert plan(alert, []) == ()


NIGHT = QuietHours("22:00-09:00", time_zone="UTC")


def test_quiet_hours_hold():
    """In quiet hours an alert is held until they end, unless it is worse than they hold."""
    quiet = wish(quiet_hours=NIGHT)
    error = Alert("Disk full", level="ERROR", origin=ADA)

    assert routes(ALERT, [quiet], NOW) == (Route("dm", NOW + 3600),)
    assert routes(ALERT, [quiet], NOW + 3600) == (Route("dm"),)
    assert routes(error, [quiet], NOW) == (Route("dm"),)
    assert routes(error, [wish(quiet_hours=NIGHT, quiet_max_level="ERROR")], NOW) == (
        Route("dm", NOW + 3600),
    )


def test_the_sooner_of_two_wishes():
    """A channel that two wishes name gets the alert as soon as one of them lets it."""
    wishes = [wish(quiet_hours=NIGHT), wish(digest=60), wish("dm", "phone")]

    assert routes(ALERT, wishes, NOW) == (Route("dm"), Route("phone"))
    assert routes(ALERT, wishes[:2], NOW) == (Route("dm", digest=60),)
