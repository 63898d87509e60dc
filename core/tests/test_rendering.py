from __future__ import annotations

import html
import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import alerts, any_text

from tocsin import Alert, Attachment, Limits, Origin, Provider
from tocsin._rendering import Circumstances, render

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
BACKSLASHED = str.maketrans({mark: f"\\{mark}" for mark in r"_*[]()~`>#+-=|{}.!<&\\"})

_numbers = itertools.count()


def backslashed(text):
    """Escape as Telegram's MarkdownV2 does: nearly everything grows."""
    return text.translate(BACKSLASHED)


def entities(text):
    """Escape as Slack and HTML do: one character becomes up to five."""
    return html.escape(text, quote=False)


ESCAPES = {"nothing": str, "entities": entities, "backslashes": backslashed}

MEASURES = {
    "characters": len,
    "bytes": lambda text: len(text.encode()),
    "utf16": lambda text: len(text.encode("utf-16-le")) // 2,
}


def provider(*, templates=None, module=__name__, escape=str, **limits):
    """Return a provider's class with these limits."""
    members = {
        "__module__": module,
        "limits": Limits(**limits),
        "templates": templates or {},
        "escape": staticmethod(escape),
    }
    return type("Written", (Provider,), members)


def alert(*arguments, **options):
    """Return an alert that was raised just now."""
    return Alert(*arguments, created_at=NOW, **options)


def rendered(cls, alert, *, now=NOW, overrides="", **circumstances):
    given = Circumstances(now=now, **circumstances)
    return render(cls, alert, given, overrides=overrides)


def make_package(folder, templates):
    """Write a package with a folder of templates, and return its name."""
    name = f"written_{next(_numbers)}"
    (folder / name / "templates").mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    for file, source in templates.items():
        (folder / name / "templates" / file).write_text(source)
    return name


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return what makes a provider from its templates: part, then source."""

    def written(parts, *, suffix="txt", **options):
        files = {f"{part}.{suffix}": source for part, source in parts.items()}
        module = make_package(tmp_path, files)
        monkeypatch.syspath_prepend(tmp_path)
        names = {part: f"{part}.{suffix}" for part in parts}
        return provider(templates=names, module=module, **options)

    return written


long_texts = st.builds(lambda text, times: text * times, any_text, st.integers(1, 20))

long_alerts = st.builds(
    alert,
    long_texts,
    long_texts,
    fields=st.dictionaries(any_text, any_text, max_size=2),
    tags=st.lists(any_text, max_size=2),
    url=any_text,
    origin=st.builds(Origin, project=any_text, run=any_text, host=any_text),
)


@pytest.mark.parametrize("unit", MEASURES)
@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
@settings(deadline=None, max_examples=40)
@given(item=long_alerts, title=st.integers(50, 100), text=st.integers(80, 500))
def test_limits_of_the_plain_form(unit, escape, item, title, text):
    """The plain form is within its limits in the vendor's unit, for any text."""
    message = rendered(provider(unit=unit, title=title, text=text, escape=escape), item)

    measure = MEASURES[unit]
    assert 0 < measure(message.title) <= title
    assert 0 < measure(message.text) <= text
    assert 0 < measure(message.body) <= text


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """A package with a template for each part that has a limit."""
    folder = tmp_path_factory.mktemp("packaged")
    text = "*{{ title }}*\n{{ text }}\n{% for note in notes %}{{ note }}{% endfor %}"
    module = make_package(folder, {"title.txt": "! {{ title }}", "text.txt": text})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield module


@pytest.mark.parametrize("unit", MEASURES)
@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
@settings(deadline=None, max_examples=40)
@given(item=long_alerts, title=st.integers(60, 100), text=st.integers(150, 500))
def test_limits_of_templates(packaged, unit, escape, *, item, title, text):
    """A template's title and text are within their limits too, by cutting the alert's."""
    cls = provider(
        module=packaged,
        templates={"title": "title.txt", "text": "text.txt"},
        unit=unit,
        title=title,
        text=text,
        escape=escape,
    )
    message = rendered(cls, item, suppressed=3)

    measure = MEASURES[unit]
    assert measure(message.parts["title"]) <= title
    assert measure(message.parts["text"]) <= text
    assert message.parts["title"].startswith("! ")
    assert "3 more like it suppressed" in re.sub(r"\\", "", message.parts["text"])


@settings(deadline=None)
@given(long_alerts)
def test_no_escape_is_torn(item):
    """A cut is made before the escape: no half of an entity is left at the end."""
    message = rendered(provider(title=50, text=100, escape=entities), item)

    for part in (message.title, message.text, message.body):
        bare = re.sub("&(amp|lt|gt);", "", part)
        assert not set("&<>") & set(bare)


@settings(deadline=None)
@given(alerts)
def test_any_alert_is_rendered(item):
    """Whatever is in an alert, what goes out can be encoded and has no controls."""
    message = rendered(provider(), item, suppressed=1, suppressed_since=NOW)

    texts = [
        message.title,
        message.text,
        message.body,
        *message.notes,
        *itertools.chain.from_iterable(message.context),
        *message.alert.tags,
        *message.alert.fields,
        *message.alert.fields.values(),
    ]
    for text in texts:
        assert text.encode().decode() == text
        assert not CONTROLS.search(text)
    assert len(message.title.splitlines()) == 1


@settings(deadline=None)
@given(long_alerts)
def test_nothing_is_cut_that_fits(item):
    """A limit that the whole reaches exactly changes nothing."""
    whole = rendered(provider(escape=entities), item)
    cls = provider(text=len(whole.text), title=len(whole.title), escape=entities)
    message = rendered(cls, item)

    assert message.title == whole.title
    assert message.text == whole.text
    assert message.body == whole.body


def test_plain_form():
    """The plain form has the level and title, then all that is known, in paragraphs."""
    item = alert(
        "Disk full",
        "90 %\nof it",
        "ERROR",
        fields={"free": 0, "disk": "sda"},
        url="https://example.org",
        origin=Origin(project="prod", run="r1", run_name="night", host="h", rank=0),
    )
    message = rendered(provider(), item, suppressed=1200)

    assert message.title == "Disk full"
    assert message.body == (
        "90 %\nof it\n\n"
        "free: 0\ndisk: sda\n\n"
        "https://example.org\n\n"
        "1,200 more like it suppressed.\n\n"
        "prod · night · h · 0 · 2027-01-15 08:00:00 UTC"
    )
    assert message.text == f"[ERROR] Disk full\n\n{message.body}"
    assert message.parts == {}


def test_plain_form_of_a_title_alone():
    """What is not known leaves no gap."""
    message = rendered(provider(), alert("Disk full"))

    assert message.text == "[INFO] Disk full\n\n2027-01-15 08:00:00 UTC"


@pytest.mark.parametrize("title", ["", " ", "\n", "\u202e"], ids=ascii)
def test_no_title(title):
    """A message always has a title."""
    assert rendered(provider(), alert(title)).title == "(no title)"


def test_title_is_one_line():
    """A title with line ends cannot begin a header, or a line, of its own."""
    message = rendered(provider(), alert("a\r\nBcc: all@example.org\n\nb"))

    assert message.title == "a Bcc: all@example.org b"


def test_context():
    """What is known of where and when comes by name, in order; the rest is left out."""
    origin = Origin(user="ada", team="vision", project="prod", run="r", rank=0)
    message = rendered(provider(), alert("Loss", level="WARN", origin=origin))

    assert message.context == (
        ("Level", "WARN"),
        ("Project", "prod"),
        ("Run", "r"),
        ("Team", "vision"),
        ("Rank", "0"),
        ("Time", "2027-01-15 08:00:00 UTC"),
    )


@pytest.mark.parametrize(
    ("age", "is_late"),
    [
        (timedelta(0), False),
        (timedelta(minutes=10), False),
        (timedelta(minutes=10, seconds=1), True),
        (timedelta(days=3), True),
        (timedelta(hours=-1), False),
    ],
    ids=str,
)
def test_late(age, is_late):
    """A message that is rendered over 10 minutes after it happened says when that was."""
    message = rendered(provider(), alert("Loss"), now=NOW + age)

    note = "Delivered late: it happened at 2027-01-15 08:00:00 UTC."
    assert message.notes == ((note,) if is_late else ())
    assert (note in message.text) is is_late


@pytest.mark.parametrize(
    ("count", "since", "notes"),
    [
        (0, None, ()),
        (0, NOW, ()),
        (1, None, ("1 more like it suppressed.",)),
        (
            12_345,
            NOW,
            ("12,345 more like it suppressed since 2027-01-15 08:00:00 UTC.",),
        ),
    ],
)
def test_suppressed(count, since, notes):
    """A message tells how many like it were suppressed, and since when."""
    message = rendered(
        provider(), alert("Loss"), suppressed=count, suppressed_since=since
    )

    assert message.notes == notes


def test_empty_text_is_not_cut():
    """With no text there is nothing to mark as missing, whatever else is too long."""
    item = alert("Loss", fields={"log": "x" * 1000})
    message = rendered(provider(text=200), item)

    assert "0 more characters" not in message.text
    assert "log: xxx" in message.text


def test_text_goes_before_fields():
    """A field that is too long does not push the alert's own text out."""
    item = alert("Loss", "the loss is nan", fields={"log": "x" * 1000})
    message = rendered(provider(text=200), item)

    assert "the loss is nan" in message.text
    assert "the loss is nan" in message.body


def test_notes_outlive_a_long_text():
    """A text is cut before what stands around it: fields, link, notes, context."""
    item = alert("Loss", "x" * 10_000, fields={"loss": "nan"}, url="https://a.example")
    message = rendered(provider(text=300), item, suppressed=7)

    for part in (message.text, message.body):
        assert "loss: nan" in part
        assert "https://a.example" in part
        assert "7 more like it" in part
        assert part.endswith("2027-01-15 08:00:00 UTC")


def test_long_title_leaves_room():
    """A title of any length takes at most half of the plain form."""
    message = rendered(provider(text=400), alert("x" * 10_000, "the text"))

    assert message.text.startswith("[INFO] xxx")
    assert "the text" in message.text


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
def test_a_megabyte(packaged, escape):
    """A megabyte of anything is cut to its limit, and that ends."""
    cls = provider(
        module=packaged, templates={"text": "text.txt"}, text=3000, escape=escape
    )
    message = rendered(cls, alert("<&>" * 100_000, "a.<b> " * 170_000))

    assert 1000 < len(message.parts["text"]) <= 3000
    assert 1000 < len(message.text) <= 3000


def test_attachments():
    """A message carries the attachments that were copied, with names fit for a header."""
    item = Attachment("a\r\n\ud800b\u202e.png", b"x", "image/png")
    message = rendered(provider(), alert("Loss", attachments=[item, "not/copied.png"]))

    (attachment,) = message.attachments
    assert (attachment.content, attachment.content_type) == (b"x", "image/png")
    assert "\n" not in attachment.name
    assert attachment.name.encode()


def test_parts(written):
    """Each template is a part of the message, with the alert's own values in it."""
    cls = written(
        {
            "text": "{{ title }}|{{ text }}|{{ level }}|{{ url }}|{{ tags|join(',') }}",
            "more": "{% for name, value in fields.items() %}{{ name }}={{ value }};"
            "{% endfor %}{% for name, value in context %}{{ name }},{% endfor %}"
            "{{ origin.host }} {{ alert.kind }} {{ attachments|length }}",
        }
    )
    item = alert(
        "a",
        "b",
        "WARN",
        url="u",
        tags=["x", "y"],
        fields={"f": 1},
        origin=Origin(host="h"),
    )

    assert rendered(cls, item).parts == {
        "text": "a|b|WARN|u|x,y",
        "more": "f=1;Level,Host,Time,h scriptable 0",
    }


TEMPLATE_CODE = (
    "{{ 7*7 }}{% for a in range(9) %}{% endfor %}{# no #}\n# for x in y\n%}}"
)


@pytest.mark.parametrize("suffix", ["txt", "html"])
def test_text_is_never_a_template(written, suffix):
    """What an alert says is printed, not run."""
    cls = written({"text": "{{ title }}|{{ text }}|{{ fields.f }}"}, suffix=suffix)
    item = alert("{{ 7*7 }}", TEMPLATE_CODE, fields={"f": "{{ 7*7 }}"})
    message = rendered(cls, item)

    assert message.parts["text"] == f"{{{{ 7*7 }}}}|{TEMPLATE_CODE}|{{{{ 7*7 }}}}"
    assert "49" not in message.text


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("<b>{{ text }}</b>", "<b>\\<i\\> \\& x</b>"),
        ("{{ text | upper }}", "\\<I\\> \\& X"),
        ("{{ '<' ~ text }}", "\\<\\<i\\> \\& x"),
        ("{{ fields.a }}", "\\<u\\>"),
        ("{% set copy = text %}{{ copy }}", "\\<i\\> \\& x"),
        ("{% set copy %}{{ text }}{% endset %}{{ copy }}", "\\<i\\> \\& x"),
        (
            "{% macro show(x) %}*{{ x }}*{% endmacro %}{{ show(text) }}",
            "*\\<i\\> \\& x*",
        ),
        ("{{ tags | join(' ') }}", "\\<t\\>"),
        ("{% if text %}{{ 1 + 1 }}{% endif %}", "2"),
    ],
)
def test_own_escape(written, source, part):
    """Whatever a template prints is escaped once by the provider; its own text is not."""
    cls = written(
        {"part": source}, escape=lambda text: re.sub("[<>&]", r"\\\g<0>", text)
    )
    item = alert("t", "<i> & x", fields={"a": "<u>"}, tags=["<t>"])

    assert rendered(cls, item).parts == {"part": part}


def test_html_is_escaped_as_html(written):
    """A template called *.html is escaped as HTML, and by nothing else."""
    cls = written({"part": "<b>{{ text }}</b>"}, suffix="html", escape=backslashed)
    message = rendered(cls, alert("t", "<script>.'\""))

    assert message.parts == {"part": "<b>&lt;script&gt;.&#39;&#34;</b>"}
    assert "\\<script\\>" in message.text


def test_override(written, tmp_path):
    """A file of the operator's replaces the provider's of that name, and no other."""
    cls = written({"title": "ours {{ title }}", "text": "ours {{ text }}"})
    overrides = tmp_path / "overrides"
    overrides.mkdir()
    (overrides / "text.txt").write_text("theirs {{ text }}")
    message = rendered(cls, alert("a", "b"), overrides=str(overrides))

    assert message.parts == {"title": "ours a", "text": "theirs b"}


def test_no_override(written, tmp_path):
    """A folder of overrides that is not there changes nothing."""
    cls = written({"text": "ours {{ text }}"})
    message = rendered(cls, alert("a", "b"), overrides=str(tmp_path / "gone"))

    assert message.parts == {"text": "ours b"}


FAILING = {
    "a syntax error": ("{{ text", "TemplateSyntaxError"),
    "an unknown tag": ("{% nosuchtag %}", "nosuchtag"),
    "an undefined name": ("{{ txet }}", "'txet' is undefined"),
    "an undefined attribute": ("{{ alert.nothing }}", "nothing"),
    "an unknown filter": ("{{ text | nosuchfilter }}", "nosuchfilter"),
    "a division by zero": ("{{ 1 // 0 }}", "ZeroDivisionError"),
    "a missing include": ("{% include 'gone.txt' %}", "gone.txt"),
    "endless recursion": (
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "RecursionError",
    ),
    "a way out of the sandbox": (
        "{{ alert.__class__.__mro__ }}",
        "SecurityError",
    ),
    "a change": ("{{ fields.clear() }}", "SecurityError"),
    "a hundred million characters": (
        "{% for a in range(10000) %}{% for b in range(100) %}"
        + "x" * 100
        + "{% endfor %}{% endfor %}",
        "prints more than 10,000,000 characters",
    ),
    "too wide a range": ("{% for a in range(10 ** 9) %}x{% endfor %}", "OverflowError"),
    "more than the limit without the text": (
        "x" * 5000,
        "text.txt prints more than 3000 characters",
    ),
}


@pytest.mark.parametrize(("source", "reason"), FAILING.values(), ids=FAILING.keys())
def test_failing_template(written, source, reason):
    """With a template that fails the plain form is sent, and it says why it is plain."""
    cls = written({"title": "{{ title }}", "text": source}, text=3000)
    message = rendered(cls, alert("a", "the text"), suppressed=1)

    first, note = message.notes
    assert first == "1 more like it suppressed."
    assert note.startswith("A template failed (")
    assert reason in note
    assert message.parts == {}
    assert "the text" in message.text
    assert note in message.text


def test_failing_template_is_placed(written):
    """The note names the file and the line, so that the operator finds it."""
    cls = written({"part": "fine\nfine\n{% endif %}\n"})
    message = rendered(cls, alert("a"))

    assert "part.txt, line 3" in message.notes[0]


@pytest.mark.parametrize(
    "source",
    [
        "fine\n{{ text",
        "{{ fields[text] }}",
        "{% include text %}",
        "{{ text | int(0) + [] }}",
    ],
)
def test_note_of_a_failure_is_short(written, source):
    """A note is one clean line of bounded length, whatever the error says."""
    cls = written({"part": source})
    (note,) = rendered(cls, alert("a", "\x1b[31m\u202e\ud800 canary\n" * 1000)).notes

    assert len(note.splitlines()) == 1
    assert len(note) < 1000
    assert note.encode()
    assert "\x1b" not in note


@pytest.mark.parametrize("module", ["no_such_package_at_all", "html"])
def test_provider_without_its_folder(module):
    """A provider whose package has no templates sends the plain form."""
    message = rendered(provider(templates={"text": "t.txt"}, module=module), alert("a"))

    assert message.parts == {}
    assert message.notes[0].startswith("A template failed (")


def test_missing_file(written):
    """A provider that names a file it has not got sends the plain form."""
    cls = written({"text": "{{ text }}"})
    cls.templates = {"text": "gone.txt"}
    message = rendered(cls, alert("a"))

    assert message.parts == {}
    assert "gone.txt" in message.notes[0]


@settings(deadline=None)
@given(any_text)
def test_measures(text):
    """Each unit counts as its vendor does."""
    text = text.encode("utf-8", "replace").decode()
    measured = {unit: Limits(unit=unit).measure(text) for unit in MEASURES}

    assert measured == {unit: measure(text) for unit, measure in MEASURES.items()}
