import re

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin import Alert, Delivery, Earlier, Message, Origin, Receipt
from tocsin_email import Email
from tocsin_email._letterhead import Letterhead
from tocsin_email._thread import ancestors, message_id

ANY = st.text(st.characters(exclude_categories=()))
EMAIL = Email(
    to="ada@example.org", sender="tocsin@example.org", host="smtp.example.org"
)
RUN = Origin(project="vision", run="r1")
FIRST = "<d1@example.org>"


def message(origin=RUN):
    return Message(
        alert=Alert("Loss is NaN", origin=origin), title="Loss", body="", text=""
    )


def delivery(**values):
    return Delivery(id="d2", channel="ops", **values)


def above(origin=RUN, threads="run", **values):
    letterhead = Letterhead.of(attrs.evolve(EMAIL, threads=threads))
    return ancestors(message(origin), delivery(**values), letterhead)


def earlier(reference):
    return Earlier(message=message(), receipt=Receipt(reference=reference))


def test_message_id():
    """A delivery's id is the Message-ID's, at the sender's domain."""
    assert message_id(delivery(), "example.org") == "<d2@example.org>"


@pytest.mark.parametrize("delivery_id", ["", "a b", "<>", "é", ".a", "x" * 500, "a\n"])
def test_odd_delivery_id(delivery_id):
    """An id that is none for a header is replaced by its digest."""
    odd = Delivery(id=delivery_id, channel="ops")

    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", message_id(odd, "example.org"))


def test_run():
    """The mails of one run answer to one root; those of no run, to none."""
    [root] = above()

    assert [root] == list(above())
    assert above(attrs.evolve(RUN, run="r2")) != (root,)
    assert above(attrs.evolve(RUN, project="speech")) != (root,)
    assert above(Origin(project="vision")) == ()


def test_alone():
    """Without threads a mail answers to none."""
    assert above(threads="") == ()


@pytest.mark.parametrize("threads", ["", "run"])
def test_reply(threads):
    """An all-clear answers to the mail that it is about, within the thread if any."""
    resolved = above(threads=threads, resolves=earlier(FIRST))

    assert resolved == (*above(threads=threads), FIRST)


def test_reply_to_a_digest():
    """Where the mail was part of another, it answers to that."""
    assert above(threads="", thread=Receipt(reference=FIRST)) == (FIRST,)


def test_nearest():
    """The mail itself is nearer than the first of its conversation."""
    both = {"thread": Receipt(reference="<d0@x>"), "resolves": earlier(FIRST)}

    assert above(threads="", **both) == (FIRST,)


@given(ANY)
@example("")
@example("1741964966.000100")
@example("<d1@example.org>\r\nBcc: eve@example.org")
@example("<" + "x" * 300 + "@example.org>")
@example("<損@example.org>")
@example("<a@b@c>")
def test_any_reference(reference):
    """What is no Message-ID, as of another provider, is not answered to."""
    for answered in above(threads="", resolves=earlier(reference)):
        assert re.fullmatch(r"<[!-~]+@[!-~]+>", answered)
        assert len(answered) < 500
        assert answered == reference
