from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from email.utils import parsedate_to_datetime

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin import Alert, Attachment, Delivery, Earlier, Origin, Receipt
from tocsin._rendering import Circumstances, render
from tocsin_email import Email
from tocsin_email._letterhead import Letterhead
from tocsin_email._mention import named
from tocsin_email._message import compose, without_attachments

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
EMAIL = Email(
    to=["Ada <ada@example.org>", "grace@example.org"],
    sender="Tocsin <tocsin@example.org>",
    host="smtp.example.org",
)
HEADERS = {
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "From",
    "To",
    "Subject",
    "List-Id",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "Importance",
    "X-Priority",
    "X-Tocsin-Level",
    "X-Tocsin-Project",
    "X-Tocsin-Run",
    "MIME-Version",
    "Content-Type",
}
ANY = st.text(st.characters(exclude_categories=()))
PNG = Attachment("loss.png", b"\x89PNG")
INJECTION = "\r\nBcc: eve@example.org\r\n\r\n<b>.\r\n.\r\n"
MEGABYTE = 1_000_000
PLAIN = ["multipart/alternative", "text/plain", "text/html"]
SHOWN = ["multipart/related", "text/html", "image/png"]


def rendered(title="Loss is NaN", text="", **alert):
    alert = {"created_at": NOW} | alert
    return render(Email, Alert(title, text, **alert), Circumstances(now=NOW))


def raw(message, delivery_id="d1", email=EMAIL, **delivery):
    delivery = Delivery(id=delivery_id, channel="ops", **delivery)
    return compose(message, delivery, Letterhead.of(email))


def composed(message, delivery_id="d1", email=EMAIL, **delivery):
    sent = raw(message, delivery_id, email, **delivery)
    return message_from_bytes(sent, policy=default)


def earlier(message, reference="<d0@example.org>"):
    return Earlier(message=message, receipt=Receipt(reference=reference))


def assert_sound(sent):
    """Say that a mail has each header once, and only ours, in lines that may be sent."""
    head, _, _ = sent.partition(b"\r\n\r\n")
    names = re.findall(rb"^([^ \t:]+):", head.replace(b"\r\n", b"\n"), re.MULTILINE)
    assert len(names) == len(set(names))
    assert {name.decode() for name in names} <= HEADERS
    assert max(map(len, sent.split(b"\r\n"))) <= 998
    assert sent.isascii()
    assert sent.count(b"\n") == sent.count(b"\r") == sent.count(b"\r\n")


def body(mail, kind):
    part = mail.get_body((kind,))
    return part.get_content().replace("\r\n", "\n").rstrip("\n")


def subject(sent):
    return str(make_header(decode_header(message_from_bytes(sent)["Subject"])))


def types(mail):
    return [part.get_content_type() for part in mail.walk()]


@given(
    st.fixed_dictionaries(
        {"title": ANY, "text": ANY},
        optional={"url": ANY, "fields": st.dictionaries(ANY, ANY)},
    ),
    st.builds(Origin, project=ANY, run=ANY),
)
@example({"title": "Loss", "text": "損" * MEGABYTE}, Origin())
@example({"title": "Loss", "text": "x" * MEGABYTE}, Origin())
@example({"title": "Loss", "text": ".\né.\n\n" * (MEGABYTE // 10)}, Origin())
@example({"title": "x" * MEGABYTE, "text": "\0\ud800\u202e" * 1000}, Origin())
@example({"title": "Loss"}, Origin(project="p" * 10_000, run="損" * 10_000))
@example(
    {"title": INJECTION, "text": INJECTION, "fields": {INJECTION: INJECTION}},
    Origin(project=INJECTION, run=INJECTION),
)
@example({"title": "=?utf-8?q?=0D=0ABcc=3A_eve?="}, Origin(project="=?", run="=?"))
@settings(deadline=None, max_examples=80)
def test_any_text(alert, origin):
    """Any text gives a mail that reads back as it was: no header more, no line too long."""
    message = rendered(**alert, origin=origin)

    sent = raw(message)

    assert_sound(sent)
    mail = message_from_bytes(sent, policy=default)
    assert message.alert.text in message.parts["text"]
    assert body(mail, "plain") == named(message.parts["text"])
    assert body(mail, "html") == named(message.parts["html"])
    assert subject(sent) == named(message.parts["title"])


@given(
    st.builds(rendered, ANY, ANY, origin=st.builds(Origin, project=ANY, run=ANY)),
    st.builds(rendered, ANY, ANY, origin=st.builds(Origin, project=ANY)),
    ANY | ANY.map("<{}@example.org>".format),
    st.booleans(),
)
@example(rendered(), rendered("x" * 10_000), "<" + "x" * 2000 + "@example.org>", True)
@example(rendered(INJECTION), rendered(INJECTION), f"<a@b{INJECTION}>", True)
@example(rendered(), rendered("損" * 1000), "<" + "x" * 200 + "@example.org>", False)
@settings(deadline=None, max_examples=80)
def test_any_reply(message, first, reference, has_parts):
    """An all-clear to any mail is as sound, and has the mail's subject."""
    if not has_parts:
        first = attrs.evolve(first, parts={})

    sent = raw(message, resolves=earlier(first, reference))

    assert_sound(sent)
    assert subject(sent) == f"Re: {subject(raw(first))}"
    mail = message_from_bytes(sent, policy=default)
    for kind in ("plain", "html"):
        assert "This is over: [INFO] " in body(mail, kind)


@given(name=ANY, content_type=ANY, content=st.binary(max_size=200))
@example("a\r\nBcc: eve@example.org.png", "image/png\r\nBcc: eve@example.org", b"")
@example("../../etc/passwd", "text/plain; charset=x", b"\r\n.\r\n")
@example("損失" * 500 + ".png", "message/rfc822", b"From: eve")
@example('a"; filename="b.exe', "multipart/mixed", b"--")
@settings(deadline=None, max_examples=80)
def test_any_attachment(name, content_type, content):
    """Any file travels whole, under a name that is a name, and is a file to the reader."""
    message = rendered(attachments=[Attachment(name, content, content_type)])

    sent = raw(message)

    mail = message_from_bytes(sent, policy=default)
    assert set(mail.keys()) <= HEADERS
    assert max(map(len, sent.split(b"\r\n"))) <= 998
    *_, part = mail.walk()
    assert part.get_payload(decode=True) == content
    assert part.get_filename().isprintable()
    assert not set(part.get_filename()) & set("/\\")
    assert "Bcc" not in part


def test_file_name():
    """A long name is cut before its ending."""
    mail = composed(rendered(attachments=[Attachment("損" * 300 + ".csv", b"")]))

    [part] = mail.iter_attachments()
    assert part.get_filename() == "損" * 96 + ".csv"


@pytest.mark.parametrize(
    ("attachments", "tree"),
    [
        ((), PLAIN),
        (
            (PNG,),
            ["multipart/alternative", "text/plain", *SHOWN],
        ),
        (
            (PNG, Attachment("log.csv", b"a,b")),
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                *SHOWN,
                "text/csv",
            ],
        ),
        (
            (Attachment("plot.svg", b"<svg/>"),),
            ["multipart/mixed", *PLAIN, "image/svg+xml"],
        ),
    ],
)
def test_tree(attachments, tree):
    """Text stands before HTML; images are part of the HTML, other files are attached."""
    assert types(composed(rendered(attachments=attachments))) == tree


def test_images():
    """The HTML refers to each image by the id that the image has."""
    attachments = [Attachment("notes.txt", b""), PNG, Attachment("b.gif", b"GIF")]

    mail = composed(rendered(attachments=attachments))

    ids = [part["Content-ID"][1:-1] for part in mail.walk() if part["Content-ID"]]
    assert re.findall('src="cid:([^"]*)"', body(mail, "html")) == ids
    assert len(ids) == 2


def test_image_that_is_not_shown():
    """An image that a template of one's own does not show is attached."""
    message = attrs.evolve(
        rendered(attachments=[PNG]),
        parts={"title": "T", "text": "t", "html": "cid:attachment-1@tocsin"},
    )

    [part] = composed(message).iter_attachments()
    assert part.get_filename() == "loss.png"


def test_plain_form():
    """When a template failed, the plain form stands in both parts."""
    message = attrs.evolve(rendered("Loss <b>", "a\n  b & c"), parts={})

    mail = composed(message)

    assert mail["Subject"] == "[INFO] Loss <b>"
    assert body(mail, "plain") == message.text
    assert "Loss &lt;b&gt;\n\na\n  b &amp; c" in body(mail, "html")
    assert "<pre" in body(mail, "html")


def test_message_id():
    """A delivery's mails are the same, under one Message-ID at the sender's domain."""
    assert composed(rendered(), "a1.ops")["Message-ID"] == "<a1.ops@example.org>"
    assert raw(rendered(attachments=[PNG])) == raw(rendered(attachments=[PNG]))


def test_date():
    """The date is when it happened, not when it is sent."""
    created_at = datetime(2026, 3, 14, 10, tzinfo=timezone(timedelta(hours=2)))

    mail = composed(rendered(created_at=created_at))

    assert parsedate_to_datetime(mail["Date"]) == created_at


@pytest.mark.parametrize(
    ("level", "importance"), [("INFO", None), ("WARN", None), ("ERROR", "high")]
)
def test_importance(level, importance):
    """An error is urgent; the level is there for filters."""
    mail = composed(rendered(level=level))

    assert mail["Importance"] == importance
    assert mail["X-Tocsin-Level"] == level


def test_thread():
    """The mails of one run answer to one root; those of no run, to none."""
    run = Origin(project="vision", run="r1")
    one = composed(rendered("a", origin=run), "d1")
    two = composed(rendered("b", origin=run), "d2")

    assert one["References"] == one["In-Reply-To"] == two["References"]
    assert composed(rendered())["References"] is None


def test_no_thread():
    """Where no threads are wanted, a mail stands alone."""
    run = Origin(project="vision", run="r1")

    mail = composed(rendered(origin=run), email=attrs.evolve(EMAIL, threads=""))

    assert mail["References"] is mail["In-Reply-To"] is None


def test_all_clear():
    """What says that an alert is over is a reply to the alert's mail."""
    run = Origin(project="vision", run="r1")
    first = rendered("Loss is NaN", level="ERROR", origin=run)

    mail = composed(rendered("Over", origin=run), resolves=earlier(first))

    assert mail["Subject"] == "Re: [ERROR] Loss is NaN · vision"
    assert mail["In-Reply-To"] == "<d0@example.org>"
    [root] = composed(first)["References"].split()
    assert mail["References"].split() == [root, "<d0@example.org>"]
    assert body(mail, "plain").startswith(
        "This is over: [ERROR] Loss is NaN · vision\n\n[INFO] Over"
    )


def test_all_clear_in_html():
    """The HTML says so at its top, whatever template it is of."""
    first = rendered("<b>Loss", "")

    page = body(composed(rendered(), resolves=earlier(first)), "html")
    bare = attrs.evolve(rendered(), parts={"html": "<p>mine</p>"})
    own = body(composed(bare, resolves=earlier(first)), "html")

    assert "This is over: [INFO] &lt;b&gt;Loss</div>" in page
    assert page.index("<body") < page.index("This is over") < page.index("<table")
    assert own.index("This is over") < own.index("<p>mine</p>")


def test_all_clear_is_not_urgent():
    """That an error is over is nothing to be woken for."""
    mail = composed(rendered(level="ERROR"), resolves=earlier(rendered()))

    assert mail["Importance"] is mail["X-Priority"] is None
    assert mail["X-Tocsin-Level"] == "ERROR"


def test_all_clear_for_a_digest():
    """Where the alert was part of another mail, the subject is its own."""
    mail = composed(rendered("Over"), thread=Receipt(reference="<d0@example.org>"))

    assert mail["In-Reply-To"] == mail["References"] == "<d0@example.org>"
    assert mail["Subject"] == "[INFO] Over"


def test_mentions():
    """Mentions, which Slack alone would read, are names in all parts."""
    mail = composed(rendered("<@U0ADA>: NaN", "Hey <!subteam^S1|@ml>"))

    assert mail["Subject"] == "[INFO] @U0ADA: NaN"
    for kind in ("plain", "html"):
        assert "Hey @ml" in body(mail, kind)
        assert "<@U0ADA" not in body(mail, kind)


@pytest.mark.parametrize(
    ("project", "list_id"),
    [
        ("", r"<tocsin\.example\.org>"),
        ("vision", r"<vision\.tocsin\.example\.org>"),
        ("My Project", r"<my-project-[0-9a-f]{6}\.tocsin\.example\.org>"),
        ("損失", r"<[0-9a-f]{6}\.tocsin\.example\.org>"),
    ],
)
def test_list_id(project, list_id):
    """A project's mails have an id of their own to filter by."""
    mail = composed(rendered(origin=Origin(project=project)))

    assert re.fullmatch(list_id, mail["List-Id"])
    assert mail["X-Tocsin-Project"] == (project or None)


def test_subject():
    """The subject is the level, the title and the project, cut to a sensible length."""
    origin = Origin(project="vision" * 20)

    shown = composed(rendered("Loss " * 100, origin=origin))["Subject"]

    assert shown.startswith("[INFO] Loss Loss")
    assert "more characters] · visionvision" in shown
    assert len(shown) <= 150


def test_text():
    """The plain part has all there is to know, fields and notes and context."""
    message = render(
        Email,
        Alert(
            "Loss is NaN",
            "at step 12,400",
            level="WARN",
            fields={"Rate": "3e-4"},
            tags=["gpu"],
            url="https://example.org/run",
            origin=Origin(project="vision", host="node-1"),
            created_at=NOW,
        ),
        Circumstances(now=NOW, suppressed=3),
    )

    assert body(composed(message), "plain") == (
        "[WARN] Loss is NaN\n\nat step 12,400\n\nRate: 3e-4\n\n"
        "https://example.org/run\n\n3 more like it suppressed.\n\n"
        "-- \nProject: vision\nHost: node-1\nTime: 2026-03-14 15:09:26 UTC\nTags: gpu"
    )


def test_html_is_inert():
    """Nothing in an alert is markup."""
    evil = "<script>alert(1)</script>\"'"
    message = rendered(
        evil,
        evil,
        fields={evil: evil},
        tags=[evil],
        url=f"https://example.org/{evil}",
        attachments=[Attachment(evil + ".png", b"", "image/png")],
        origin=Origin(project=evil, run_name=evil, host=evil),
    )

    assert "<script" not in body(composed(message), "html")


@pytest.mark.parametrize(
    ("url", "is_link"),
    [
        ("https://example.org/run", True),
        ("HTTP://example.org", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        (" javascript:alert(1)//https://", False),
        ("see the wiki", False),
    ],
)
def test_link(url, is_link):
    """Only an address of the web becomes a button; others are shown."""
    html = body(composed(rendered(url=url)), "html")

    assert ("<a href=" in html) == is_link
    assert url.strip() in html


def test_internationalized():
    """A mailbox that is not ASCII stands in the header as it is."""
    email = attrs.evolve(EMAIL, to=["ünï@example.org"])

    sent = raw(rendered(), email=email)

    assert "\r\nTo: ünï@example.org\r\n".encode() in sent


def test_without_attachments():
    """In the place of attachments that are too large there is a list of them."""
    message = without_attachments(rendered(attachments=[PNG]))

    mail = composed(message)

    assert "cid:" not in body(mail, "html")
    [part] = mail.iter_attachments()
    assert part.get_filename() == "left-out.txt"
    assert "loss.png: 4 bytes" in part.get_content()
