from __future__ import annotations

import enum
import math
import time
import uuid
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from tocsin import Alert, AlertLevel, Attachment
from tocsin._alert import new_id

INFO, WARN, ERROR = AlertLevel

LEVEL_MESSAGE = "level must be one of 'INFO', 'WARN', or 'ERROR'"
WAIT_MESSAGE = "wait_duration must be an int, float, or datetime.timedelta"


class Foreign(enum.Enum):
    """Somebody else's levels, as `wandb.AlertLevel` is."""

    WARN = "WARN"
    FATAL = "FATAL"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("out of order")


class Hours:
    """A time of somebody's own."""

    def __init__(self, hours):
        self.hours = hours

    def total_seconds(self):
        return self.hours * 3600


class Plot:
    def savefig(self, file, *, format):  # noqa: A002 - matplotlib's own name
        file.write(b"a picture")


@pytest.mark.parametrize(
    ("given", "level"),
    [
        (None, INFO),
        ("", INFO),
        ("INFO", INFO),
        ("WARN", WARN),
        ("ERROR", ERROR),
        ("warn", WARN),
        ("eRRor", ERROR),
        (ERROR, ERROR),
        (Foreign.WARN, WARN),
    ],
)
def test_level(given, level):
    """A level is a member, a name in any case, a foreign member's value; nothing is INFO."""
    alert = Alert("Disk full", "", given)

    assert alert.level is level


@pytest.mark.parametrize(
    "given", ["FATAL", "INFO ", "1", 5, 1.5, [1], object(), Foreign.FATAL, b"INFO"]
)
def test_level_that_is_none(given):
    """What names no level is refused in W&B's words."""
    with pytest.raises(ValueError, match=f"^{LEVEL_MESSAGE}$"):
        Alert("Disk full", "", given)


def test_levels_are_ordered():
    """INFO < WARN < ERROR, and they are compared with nothing else."""
    assert sorted([ERROR, INFO, WARN]) == [INFO, WARN, ERROR]
    assert [level.severity for level in AlertLevel] == [0, 1, 2]
    assert INFO < WARN <= AlertLevel("WARN") < ERROR
    with pytest.raises(TypeError):
        assert WARN < "ERROR"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, 60),
        (0, 0),
        (0.0, 0),
        (5, 5),
        (0.25, 0.25),
        (timedelta(minutes=5), 300),
        (timedelta(0), 0),
        (Hours(2), 7200),
    ],
)
def test_wait_duration(given, seconds):
    """A wait is seconds, or knows its total_seconds(); None is 60 s, 0 is 0."""
    alert = Alert("Disk full", "", "INFO", given)

    assert alert.wait_duration == seconds
    assert type(alert.wait_duration) is float


@pytest.mark.parametrize(
    "given",
    ["300", b"300", [300], {}, Hours("x"), 1j],
    ids=lambda given: str(type(given)),
)
def test_wait_duration_of_a_wrong_type(given):
    """What is no time is refused in W&B's words."""
    with pytest.raises(TypeError, match=f"^{WAIT_MESSAGE}$"):
        Alert("Disk full", "", "INFO", given)


@pytest.mark.parametrize(
    "given",
    [-1, -0.001, math.nan, math.inf, -math.inf, 10**400, timedelta(-1), Hours(-1)],
)
def test_wait_duration_out_of_bounds(given):
    """A wait is never negative, never endless, never nan."""
    with pytest.raises(ValueError, match="wait_duration must be zero or more seconds"):
        Alert("Disk full", "", "INFO", given)


def test_title_alone():
    """All but the title may be left out."""
    alert = Alert("Disk full")

    assert (alert.title, alert.text, alert.level) == ("Disk full", "", INFO)
    assert (alert.kind, alert.key, alert.url) == ("scriptable", "", "")
    assert (alert.tags, alert.fields, alert.attachments) == ((), {}, ())


def test_title_is_never_cut():
    """A title may be as long as it likes: W&B's 64 characters are nobody's limit here."""
    title = "x" * 1_000_000

    assert Alert(title).title == title


def test_additions_are_keyword_only():
    """After W&B's four arguments nothing is taken by position."""
    with pytest.raises(TypeError, match="positional"):
        Alert("Disk full", "", "INFO", 60, "scriptable")


@pytest.mark.parametrize("name", ["title", "text", "kind", "key", "url", "id"])
@pytest.mark.parametrize("value", [None, 5, b"bytes", ["x"]], ids=repr)
def test_strings_only(name, value):
    """What is to be a str is nothing else, and the error says which argument was not."""
    arguments = {"title": "Disk full", name: value}

    with pytest.raises(TypeError, match=f"^{name} must be a str"):
        Alert(**arguments)


def test_new_id_is_a_uuid_of_version_7():
    """An id is 32 hexadecimal digits of a UUID of RFC 9562's version 7."""
    value = new_id()

    parsed = uuid.UUID(value)
    assert parsed.hex == value
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_new_ids_sort_by_time():
    """An id begins with the milliseconds at which it was made."""
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(100)]
    after = time.time_ns() // 1_000_000

    stamps = [int(value[:12], 16) for value in ids]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= stamps[-1] <= after


def test_new_ids_differ():
    """No two ids are the same, those of one millisecond included."""
    ids = {new_id() for _ in range(10_000)}

    assert len(ids) == 10_000


@pytest.mark.parametrize("own", ["job-7", "A_b-9", "0"])
def test_own_id(own):
    """An id of one's own is ASCII letters, digits, - and _."""
    assert Alert("Disk full", id=own).id == own


@pytest.mark.parametrize("own", ["a b", "a/b", "ä", "a\n", "-", "../x", "\u0661"])
def test_own_id_of_other_characters(own):
    """Any other character in an id is refused, and shown."""
    with pytest.raises(ValueError, match="id must be ASCII letters"):
        Alert("Disk full", id=own)


def test_fields_are_printed():
    """Names and values of fields become strings, in the order given."""
    alert = Alert("Loss", fields={"loss": 0.5, 3: None, "when": timedelta(seconds=1)})

    assert list(alert.fields.items()) == [
        ("loss", "0.5"),
        ("3", "None"),
        ("when", "0:00:01"),
    ]


def test_fields_are_copied():
    """What happens to the mapping later does not change the alert."""
    fields = {"loss": 0.5}
    alert = Alert("Loss", fields=fields)
    fields["loss"] = 0.1

    assert alert.fields == {"loss": "0.5"}


def test_broken_str():
    """A value whose __str__ raises is told by its type, and loses nothing else."""
    alert = Alert("Loss", fields={"a": Broken(), "b": 1}, tags=[Broken(), "x"])

    assert alert.fields == {"a": "<a Broken that cannot be printed>", "b": "1"}
    assert alert.tags == ("<a Broken that cannot be printed>", "x")


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        ("night", ("night",)),
        (["night", 7], ("night", "7")),
        ((word for word in ["a", "b"]), ("a", "b")),
        ([], ()),
    ],
    ids=["one", "list", "generator", "none"],
)
def test_tags(given, tags):
    """Tags are one word, or as many as there are."""
    assert Alert("Loss", tags=given).tags == tags


@pytest.mark.parametrize(
    "item",
    ["plot.png", b"bytes", Attachment("a.txt", b""), Plot()],
    ids=["path", "bytes", "attachment", "figure"],
)
def test_attachments(item):
    """One thing to attach is as good as a list of it; it is not looked at yet."""
    assert Alert("Loss", attachments=item).attachments == (item,)
    assert Alert("Loss", attachments=[item]).attachments == (item,)


@pytest.mark.parametrize("given", [5, [5], [None], [["a.png"]]], ids=repr)
def test_attachments_that_are_none(given):
    """What cannot be attached is a mistake at the call."""
    with pytest.raises(TypeError):
        Alert("Loss", attachments=given)


def test_created_at_has_a_zone():
    """A time without its zone is no time: it is refused at the call."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake

    with pytest.raises(ValueError, match="time zone"):
        Alert("Disk full", created_at=naive)


def test_created_at_of_any_zone():
    """A time with a zone is kept as it is."""
    created_at = datetime(2026, 1, 1, tzinfo=UTC)

    assert Alert("Disk full", created_at=created_at).created_at is created_at


def test_alert_is_a_value():
    """An alert does not change, equals its like, and can be a key."""
    alert = Alert("Disk full", fields={"free": 0}, id="a")

    assert alert == Alert("Disk full", fields={"free": "0"}, id="a")
    assert {alert: 1}[attrs.evolve(alert)] == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        alert.title = "Disk empty"
