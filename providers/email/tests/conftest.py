from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tocsin import Alert, Delivery
from tocsin._rendering import Circumstances, render
from tocsin_email import Email
from tocsin_email.testing import MailDouble

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


@pytest.fixture
def mail():
    with MailDouble() as double:
        yield double


@pytest.fixture
def channel():
    """Makes the settings of a channel that sends to a double."""

    def make(mail, **settings):
        values = {
            "to": "ada@example.org",
            "sender": "Tocsin <tocsin@example.org>",
            "host": mail.host,
            "port": mail.port,
            "ca_file": mail.ca_file,
        }
        return Email(**values | settings)

    return make


@pytest.fixture
def rendered():
    """Makes a message, as the courier does."""

    def make(title="Loss is NaN", text="at step 12,400", **alert):
        alert = {"created_at": NOW, "level": "ERROR"} | alert
        return render(Email, Alert(title, text, **alert), Circumstances(now=NOW))

    return make


@pytest.fixture
def delivery():
    def make(delivery_id="d1", **values):
        return Delivery(id=delivery_id, channel="ops", **{"timeout": 5.0} | values)

    return make


@pytest.fixture
def send(channel, rendered, delivery):
    """Makes one attempt over a connection of its own."""

    def attempt(mail, *, state=None, timeout=5.0, attachments=(), **settings):
        sender = channel(mail, **settings).open()
        message = rendered(attachments=attachments)
        try:
            return sender.deliver(message, delivery(state=state or {}, timeout=timeout))
        finally:
            sender.close()

    return attempt
