from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import listed as any_listed

from tocsin import Alert, AlertLevel, Attachment, Origin
from tocsin._attachment import MAX_ATTACHMENT_BYTES
from tocsin._digest import MAX_LINES, Listed, combined
from tocsin._text import clean_line

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MNIST = Origin(
    user="ada", team="vision", project="mnist", run="r1", run_name="wise-owl"
)


def listed(title, *args, after=0, suppressed=0, **kwargs):
    """Return an alert of some seconds after noon."""
    kwargs = {"id": title[:1] or "none", "origin": MNIST} | kwargs
    created_at = NOON + timedelta(seconds=after)
    return Listed(Alert(title, *args, created_at=created_at, **kwargs), suppressed)


def lines(*args):
    return combined(args).text.split("\n")


def named(count):
    return [listed(f"title {number}", after=number) for number in range(count)]


@settings(deadline=None)
@given(
    st.lists(any_listed, min_size=2, max_size=5),
    st.sampled_from([1, 40]),
)
def test_anything(items, times):
    """Whatever goes in, one alert of bounded size comes out, and names what it can."""
    items = items * times
    alert = combined(items)
    in_time = sorted(
        (item.alert for item in items),
        key=lambda a: a.created_at.timestamp() if a.created_at else math.inf,
    )

    assert alert.kind == "digest"
    assert alert.wait_duration == 0
    assert alert.level is max(a.level for a in in_time)
    assert (alert.id, alert.created_at) == (in_time[0].id, in_time[0].created_at)
    assert len(alert.title) <= 150
    assert len(alert.text) <= (min(len(items), MAX_LINES) + 1) * 600 + 2000
    for text in (alert.title, *alert.text.split("\n")):
        assert clean_line(text) == text
    for a in (in_time[0], in_time[-1]):
        title = clean_line(a.title) or "(no title)"
        assert title[:50] in alert.text
        assert len(title) > 150 or title in alert.text
    assert set(alert.tags) == {tag for a in in_time for tag in a.tags}
    assert len(set(alert.tags)) == len(alert.tags)


@settings(deadline=None)
@given(st.lists(any_listed, min_size=2, max_size=5))
def test_attachments(items):
    """Attachments go along while they fit; of each it is told when it does not."""
    alert = combined(items)
    attached = [item for one in items for item in one.alert.attachments]
    size = sum(len(item.content) for item in alert.attachments)

    assert size <= MAX_ATTACHMENT_BYTES
    assert all(item in attached for item in alert.attachments)
    left_out = len(attached) - len(alert.attachments)
    assert ("Left out" in alert.text) is bool(left_out)
    assert alert.text.count(" bytes)") >= min(left_out, 20)


def test_example():
    """One line for each alert, in order of time, with what its own message would say."""
    alert = combined(
        [
            listed("Validation fell", "to 0.3\nfrom 0.9", "WARN", after=90),
            listed("Loss is NaN", "\n at step 12,400", "ERROR", suppressed=1300),
            listed("Done"),
        ]
    )

    assert alert == Alert(
        "3 alerts: Loss is NaN, Done and 1 more title",
        "ERROR 2026-11-23 12:00:00 UTC · Loss is NaN: at step 12,400 (+1,300 suppressed)\n"
        "INFO 2026-11-23 12:00:00 UTC · Done\n"
        "WARN 2026-11-23 12:01:30 UTC · Validation fell: to 0.3",
        "ERROR",
        0,
        kind="digest",
        origin=MNIST,
        id="L",
        created_at=NOON,
    )


def test_places():
    """Project and run are told where they differ, and belong to the digest otherwise."""
    other = Origin(user="ada", team="vision", project="cifar", run="r2", rank=0)
    bare = Origin(user="grace", team="vision")

    assert lines(
        listed("a"), listed("b", origin=attrs.evolve(MNIST, run_name="x"))
    ) == [
        "INFO 2026-11-23 12:00:00 UTC · a (wise-owl)",
        "INFO 2026-11-23 12:00:00 UTC · b (x)",
    ]
    items = [listed("a"), listed("b", "text", origin=other), listed("c", origin=bare)]
    assert lines(*items) == [
        "INFO 2026-11-23 12:00:00 UTC · a (mnist, wise-owl)",
        "INFO 2026-11-23 12:00:00 UTC · b (cifar, r2): text",
        "INFO 2026-11-23 12:00:00 UTC · c",
    ]
    assert combined(items).origin == Origin(team="vision")
    assert combined(items[:2]).origin == Origin(user="ada", team="vision")


@pytest.mark.parametrize(
    ("titles", "title"),
    [
        (["a", "a"], "2 alerts: a"),
        (["a", "b", "a"], "3 alerts: a, b"),
        (["a", "b", "c"], "3 alerts: a, b and 1 more title"),
        (["a", "b", "c", "d", "c"], "5 alerts: a, b and 2 more titles"),
        (["two\nlines", ""], "2 alerts: two lines, (no title)"),
        (["a" * 98, "b"], f"2 alerts: {'a' * 98} and 1 more title"),
        (
            ["a" * 200, "b", "c"],
            f"3 alerts: {'a' * 77}… [123 more characters] and 2 more titles",
        ),
        (["a", "b" * 200], "2 alerts: a and 1 more title"),
        (["a"] * 1200, "1,200 alerts: a"),
    ],
    ids=range(9),
)
def test_title(titles, title):
    """The title counts the alerts, names the first two titles, and counts the others."""
    assert combined([listed(one) for one in titles]).title == title


def test_one_hundred_are_listed():
    """Up to a hundred alerts have a line each."""
    assert len(lines(*named(100))) == 100


def test_more_than_a_hundred():
    """Of more, the first and the last fifty have one; the others are counted."""
    items = named(412)
    items[60:110] = [
        listed("bad", "", "WARN", after=n, suppressed=100) for n in range(60, 110)
    ]

    text = lines(*items)

    assert len(text) == 101
    assert text[49] == "INFO 2026-11-23 12:00:49 UTC · title 49"
    assert text[50] == "… 312 more: 50 WARN, 262 INFO (+5,000 suppressed) …"
    assert text[51] == "INFO 2026-11-23 12:06:02 UTC · title 362"
    assert lines(*named(101))[50] == "… 1 more: 1 INFO …"


def test_order():
    """The order is that of the moments, whatever the zone; those without one come last."""
    there = timezone(timedelta(hours=5))
    berlin = ZoneInfo("Europe/Berlin")
    times = {
        "d": None,
        "b": datetime(2026, 10, 25, 2, 10, tzinfo=berlin, fold=1),
        "c": datetime(2026, 10, 25, 6, 30, tzinfo=there),
        "a": datetime(2026, 10, 25, 2, 50, tzinfo=berlin),
    }
    items = [
        Listed(Alert(name, id=name, created_at=when)) for name, when in times.items()
    ]

    alert = combined(items)

    assert alert.text.split("\n") == [
        "INFO 2026-10-25 00:50:00 UTC · a",
        "INFO 2026-10-25 01:10:00 UTC · b",
        "INFO 2026-10-25 01:30:00 UTC · c",
        "INFO · d",
    ]
    assert (alert.id, alert.created_at) == ("a", times["a"])


def test_ends_of_time():
    """A moment that has no place in UTC's calendar is told as it is."""
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-11)))
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=11)))

    text = combined(
        [Listed(Alert("a", created_at=when)) for when in (last, first)]
    ).text

    assert text == (
        "INFO 0001-01-01T00:00:00+11:00 · a\nINFO 9999-12-31T23:59:59.999999-11:00 · a"
    )


def test_long_texts():
    """Of a text it has the first line with something in it, and only so much."""
    text = lines(listed("a", "\r\n \u2028" + "word " * 100 + "\nnever"), listed("b"))[0]

    assert "never" not in text
    assert text.startswith("INFO 2026-11-23 12:00:00 UTC · a: word word")
    assert text.endswith(" more characters]")
    assert len(text) <= len("INFO 2026-11-23 12:00:00 UTC · a: ") + 200


def test_what_is_common():
    """Its address is that of all; its tags are all of theirs, each once, in order."""
    same = [
        listed("a", url="u", tags=["x", "y"]),
        listed("b", url="u", tags=["z", "x"]),
    ]

    assert combined(same).url == "u"
    assert combined([*same, listed("c")]).url == ""
    assert combined(same).tags == ("x", "y", "z")


def test_level():
    """It is as bad as the worst of them."""
    items = [listed("a", level="INFO"), listed("b", level="WARN")]

    assert combined(items).level is AlertLevel.WARN


def test_attachments_that_are_left_out():
    """What is beyond the bound is named with its size; what still fits goes along."""
    half = bytes(6_000_000)
    plot, log, note = (
        Attachment("plot\n.png", half),
        Attachment("log.txt", half),
        Attachment("note.txt", b"x"),
    )

    alert = combined(
        [listed("a", attachments=[plot]), listed("b", attachments=[log, note])]
    )

    assert alert.attachments == (plot, note)
    assert alert.text.split("\n")[2:] == [
        "",
        (
            "Left out, beyond the 10 MB that one message may carry: log.txt "
            "(6,000,000 bytes)."
        ),
    ]


def test_many_attachments_that_are_left_out():
    """When many are left out, the first twenty are named and the others counted."""
    content = bytes(11_000_000)
    large = [Attachment(f"{n}.bin", content) for n in range(21)]

    text = combined(
        [listed("a", attachments=[Attachment("\n", content), *large]), listed("b")]
    ).text

    assert ": (no name) (11,000,000 bytes), 0.bin (11,000,000 bytes), " in text
    assert text.endswith("18.bin (11,000,000 bytes), 2 more (22,000,000 bytes).")


def test_only_values():
    """What was never copied is not read: a digest is made of values alone."""
    alert = combined([listed("a", attachments=["/etc/passwd"]), listed("b")])

    assert alert.attachments == ()
