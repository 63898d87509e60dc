from __future__ import annotations

import copy
import functools
import math
import pickle
import subprocess
import sys
import time
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import zones

from tocsin._quiet import QuietHours

FIRST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2040, 12, 31, tzinfo=UTC).timestamp())
HOUR = 3600

NIGHT = "22:00-07:00"


def is_quiet(intervals, zone, moment):
    """The rule in plain words: what the clock on the wall shows lies in an interval."""
    wall = datetime.fromtimestamp(math.floor(moment), zone).strftime("%H:%M")
    for interval in intervals:
        start, end = interval.split("-")
        if start < end and start <= wall < end:
            return True
        if start > end and (wall >= start or wall < end):
            return True
    return False


@functools.cache
def changes(name):
    """Return each second at which the zone changed its clocks."""
    zone = zoneinfo.ZoneInfo(name)

    def offset(second):
        return datetime.fromtimestamp(second, zone).utcoffset()

    found = []
    for start in range(FIRST, LAST, 12 * HOUR):
        before, after = start, start + 12 * HOUR
        if offset(before) == offset(after):
            continue
        while after - before > 1:
            middle = (before + after) // 2
            if offset(middle) == offset(start):
                before = middle
            else:
                after = middle
        found.append(after)
    return found


def seconds(*when, zone="UTC", fold=0):
    """Return the seconds since the epoch of what a clock on the wall shows."""
    there = zoneinfo.ZoneInfo(zone)
    return datetime(*when, tzinfo=there, fold=fold).timestamp()


clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
sharp = st.sampled_from(["00:00", "01:00", "01:30", "02:00", "02:30", "03:00", "22:00"])
starts = sharp | clocks
ends = starts | st.just("24:00")
some_intervals = st.lists(
    st.tuples(starts, ends)
    .filter(lambda both: both[0] != both[1] and both != ("00:00", "24:00"))
    .map("-".join),
    min_size=1,
    max_size=3,
)
anywhen = st.floats(FIRST, LAST)


@st.composite
def before_a_change(draw):
    """A zone, and a moment less than half a day before its clocks are changed."""
    name = draw(zones.filter(changes))
    change = draw(st.sampled_from(changes(name)))
    return name, change - draw(st.integers(0, 12 * HOUR))


def made(intervals, name):
    try:
        return QuietHours(intervals, time_zone=name)
    except ValueError:  # together they take up the whole day
        return None


@settings(deadline=None, max_examples=300)
@given(some_intervals, before_a_change() | st.tuples(zones, anywhen))
@example([NIGHT], ("Pacific/Apia", 1_325_239_200.0))
def test_the_rule(intervals, place):
    """It is quiet when the wall's clock says so, and until it first says otherwise."""
    name, now = place
    zone = zoneinfo.ZoneInfo(name)
    hours = made(intervals, name)
    if hours is None:
        return
    until = hours.until(now)

    assert (until is not None) is is_quiet(intervals, zone, now)
    if until is None:
        return
    assert until > now
    assert not is_quiet(intervals, zone, until)
    assert hours.until(until) is None
    assert is_quiet(intervals, zone, until - 1)
    minutes = range(math.floor(now), math.floor(until), 60)
    assert all(is_quiet(intervals, zone, minute) for minute in minutes)


@settings(deadline=None)
@given(zones, anywhen, st.floats(0, 1))
def test_the_end_is_the_same_all_along(name, now, part):
    """Later in the same quiet, it ends at the same moment."""
    hours = QuietHours([NIGHT, "12:00-13:30"], time_zone=name)
    until = hours.until(now)
    if until is None:
        return
    later = now + part * (until - now)

    assert hours.until(later) == (until if later < until else None)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ((2026, 1, 14, 21, 59, 59), None),
        ((2026, 1, 14, 22, 0), (2026, 1, 15, 7, 0)),
        ((2026, 1, 15, 0, 0), (2026, 1, 15, 7, 0)),
        ((2026, 1, 15, 6, 59, 59), (2026, 1, 15, 7, 0)),
        ((2026, 1, 15, 7, 0), None),
        ((2026, 1, 15, 12, 0), None),
        ((2026, 3, 28, 22, 0), (2026, 3, 29, 7, 0)),
        ((2026, 10, 24, 22, 0), (2026, 10, 25, 7, 0)),
    ],
    ids=str,
)
def test_night(now, until):
    """A night goes on past midnight, and is as long as the clocks make it."""
    hours = QuietHours(NIGHT, time_zone="Europe/Berlin")

    assert hours.until(seconds(*now, zone="Europe/Berlin")) == (
        until and seconds(*until, zone="Europe/Berlin")
    )


def test_parts_of_a_second():
    """The last moment of the day is not quiet, and the first of the night is."""
    hours = QuietHours(NIGHT, time_zone="UTC")
    start = seconds(2026, 1, 14, 22)

    assert hours.until(math.nextafter(start, 0)) is None
    assert hours.until(start + 0.5) == start + 9 * HOUR
    assert hours.until(math.nextafter(start + 9 * HOUR, 0)) == start + 9 * HOUR


def test_end_that_does_not_exist():
    """An end in the hour that is left out is the change itself."""
    hours = QuietHours("22:00-02:30", time_zone="Europe/Berlin")
    change = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()

    assert hours.until(change - HOUR) == change
    assert hours.until(change) is None


def test_start_that_does_not_exist():
    """An interval that starts in the hour that is left out begins after it."""
    hours = QuietHours("02:30-04:00", time_zone="Europe/Berlin")
    change = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()

    assert hours.until(change - 1) is None
    assert hours.until(change) == change + HOUR


def test_interval_that_does_not_exist():
    """An interval within the hour that is left out is left out too."""
    hours = QuietHours("02:15-02:45", time_zone="Europe/Berlin")
    change = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp())

    assert {hours.until(s) for s in range(change - HOUR, change + HOUR, 60)} == {None}


def test_end_that_comes_twice():
    """In the hour that is repeated, the quiet ends at its first end, and comes again."""
    hours = QuietHours("22:00-02:30", time_zone="Europe/Berlin")
    first, second = (
        seconds(2026, 10, 25, 2, 30, zone="Europe/Berlin", fold=fold) for fold in (0, 1)
    )

    assert second - first == HOUR
    assert hours.until(first - 3 * HOUR) == first
    assert hours.until(first) is None
    assert hours.until(first + HOUR / 2) == second


def test_end_that_is_put_off():
    """When the clocks go back before the end is shown, the quiet goes on."""
    hours = QuietHours("22:00-03:00", time_zone="Europe/Berlin")
    start = seconds(2026, 10, 24, 22, zone="Europe/Berlin")

    assert hours.until(start) == start + 6 * HOUR


def test_clocks_that_change_by_half_an_hour():
    """On Lord Howe Island clocks are changed by half an hour."""
    hours = QuietHours("22:00-02:15", time_zone="Australia/Lord_Howe")
    spring = seconds(2026, 10, 3, 22, zone="Australia/Lord_Howe")
    autumn = seconds(2026, 4, 4, 22, zone="Australia/Lord_Howe")

    assert hours.until(spring) == spring + 4 * HOUR
    assert hours.until(autumn) == autumn + 4.75 * HOUR


def test_day_that_is_left_out():
    """On Samoa the night of the 29th of December 2011 ended on the 31st."""
    hours = QuietHours(NIGHT, time_zone="Pacific/Apia")
    start = seconds(2011, 12, 29, 22, zone="Pacific/Apia")

    assert hours.until(start) == start + 9 * HOUR
    assert start + 9 * HOUR == seconds(2011, 12, 31, 7, zone="Pacific/Apia")


@pytest.mark.parametrize(
    ("intervals", "until"),
    [
        (["22:00-07:00", "06:00-08:00"], 8),
        (["22:00-24:00", "00:00-07:00"], 7),
        (["07:00-09:30", "22:00-07:00"], 9.5),
        (["22:00-23:00", "01:00-07:00"], -1),
        (["22:00-00:00"], 0),
        (["0:00-6:00", "22:00 - 24:00"], 6),
        (["22:00-21:59"], 21 + 59 / 60),
    ],
    ids=str,
)
def test_several(intervals, until):
    """Intervals that overlap or touch are one; a gap between them is not quiet."""
    hours = QuietHours(intervals, time_zone="UTC")
    midnight = seconds(2026, 1, 15)

    assert hours.until(midnight - 2 * HOUR) == midnight + until * HOUR


def test_none():
    """Without an interval it is never quiet."""
    assert QuietHours(()).until(LAST) is None


@pytest.fixture
def machine_in(monkeypatch):
    """Return how to put this process into another time zone."""

    def put(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "UTC"])
def test_own_zone(machine_in, zone):
    """Without a zone it is the machine's own, changes of its clocks included."""
    machine_in(zone)
    named = QuietHours(["22:00-02:30", "12:00-13:00"], time_zone=zone)
    own = QuietHours(["22:00-02:30", "12:00-13:00"])
    moments = [
        change + minutes * 60
        for change in [LAST - 24 * HOUR, *changes(zone)[-20:]]
        for minutes in range(-8 * 60, 8 * 60, 25)
    ]

    assert [own.until(m) for m in moments] == [named.until(m) for m in moments]


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ("abc", "'abc' is no interval of the day: write it as \"22:00-07:00\""),
        ("", "'' is no interval"),
        ("22:00", "'22:00' is no interval"),
        ("22-07", "'22-07' is no interval"),
        ("22:00-07:00 ", "is no interval"),
        ("22:00-07:00\n", "is no interval"),
        ("-1:00-07:00", "is no interval"),
        ("\u0662\u0662:00-07:00", "is no interval"),
        (["22:00-07:00", "x"], "'x' is no interval"),
        (
            "25:00-07:00",
            "'25:00-07:00' has a time that no day has: write 00:00 to 23:59",
        ),
        ("22:60-07:00", "has a time that no day has"),
        ("22:00-07:60", "has a time that no day has"),
        ("24:00-07:00", "has a time that no day has"),
        ("22:00-24:01", "or 24:00 as an end"),
        (
            "08:00-08:00",
            "'08:00-08:00' ends when it starts: write two times that differ",
        ),
        ("00:00-24:00", "the whole day never end: leave some of it out"),
        (["08:00-20:00", "19:00-08:00"], "the whole day never end"),
    ],
    ids=str,
)
def test_mistakes(intervals, message):
    """What is no interval, or is the whole day, says what to write instead."""
    with pytest.raises(ValueError, match=message):
        QuietHours(intervals)


@pytest.mark.parametrize(
    "name",
    ["Europe/Berlim", "Europe", "../UTC", "/etc/localtime", "x" * 300, "\0", "\ud800"],
    ids=ascii,
)
def test_unknown_zone(name):
    """A zone that is not there is named, and it is said what to do."""
    with pytest.raises(ValueError, match="there is no time zone") as caught:
        QuietHours(NIGHT, time_zone=name)

    assert repr(name) in str(caught.value)
    assert "pip install tzdata" in str(caught.value)


def test_types():
    """What is to be text is text."""
    with pytest.raises(TypeError, match="intervals"):
        QuietHours([5])
    with pytest.raises(TypeError, match="time_zone"):
        QuietHours(NIGHT, time_zone=timedelta(hours=1))


def test_value():
    """It is a value: equal by what it says, printed as it is made, copied and pickled."""
    hours = QuietHours(NIGHT, time_zone="Europe/Berlin")
    now = seconds(2026, 1, 15)

    assert repr(hours) == (
        "QuietHours(intervals=('22:00-07:00',), time_zone='Europe/Berlin')"
    )
    assert hours == QuietHours([NIGHT], time_zone="Europe/Berlin")
    assert hours != QuietHours(NIGHT)
    for twin in (copy.deepcopy(hours), pickle.loads(pickle.dumps(hours))):
        assert twin == hours
        assert hash(twin) == hash(hours)
        assert twin.until(now) == hours.until(now)


def test_the_import_is_cheap():
    """The zones are imported when hours are in one, and not before."""
    code = (
        "import sys, tocsin._quiet as q; q.QuietHours('22:00-07:00').until(0);"
        "print('zoneinfo' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "False"
