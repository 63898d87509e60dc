import re

import attrs
import pytest

from tocsin import Delivery, Origin
from tocsin_email._thread import message_id, root

RUN = Origin(project="vision", run="r1")


def test_message_id():
    """A delivery's id is the Message-ID's, at the sender's domain."""
    assert (
        message_id(Delivery(id="d2", channel="ops"), "example.org")
        == "<d2@example.org>"
    )


@pytest.mark.parametrize("delivery_id", ["", "a b", "<>", "é", ".a", "x" * 500, "a\n"])
def test_odd_delivery_id(delivery_id):
    """An id that is none for a header is replaced by its digest."""
    odd = Delivery(id=delivery_id, channel="ops")

    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", message_id(odd, "example.org"))


def test_run():
    """The mails of one run answer to one root; those of no run, to none."""
    first = root(RUN, "example.org")

    assert root(RUN, "example.org") == first
    assert root(attrs.evolve(RUN, run="r2"), "example.org") != first
    assert root(attrs.evolve(RUN, project="speech"), "example.org") != first
    assert root(Origin(project="vision"), "example.org") == ""
