"""Mail servers that take half of it, break off, or are somebody else."""

from __future__ import annotations

import logging

import pytest
from support import inbox_at

from tocsin import Alert, Status
from tocsin_email.testing import MailDouble


def test_row_22_some_recipients_are_put_off(notifier, mail, inbox, settle):
    """Only the recipient that the server put off is tried again."""
    mail.fail_next("rcpt", "451 4.3.0 try later", address="b@example.org")
    one = notifier({"inbox": inbox})

    (delivery,) = settle(one, one.notify(Alert("x")))

    assert delivery.status is Status.DELIVERED
    assert [received.recipients for received in mail.messages] == [
        ("a@example.org",),
        ("b@example.org",),
    ]


def test_row_22_some_recipients_are_refused(notifier, mail, inbox, settle):
    """A recipient that the server refuses for good is told, and nobody gets it twice."""
    mail.fail_next("rcpt", "550 5.1.1 no such user", address="b@example.org")
    one = notifier({"inbox": inbox})

    (delivery,) = settle(one, one.notify(Alert("x")))

    assert delivery.status is Status.DELIVERED
    assert "b@example.org" in delivery.receipt.note
    assert [received.recipients for received in mail.messages] == [("a@example.org",)]


def test_row_23_dropped_after_the_final_dot(notifier, mail, inbox, settle):
    """A mail that is sent again because its confirmation was lost has the same
    Message-ID."""
    mail.close_after_dot()
    one = notifier({"inbox": inbox})

    (delivery,) = settle(one, one.notify(Alert("x")))

    assert delivery.status is Status.DELIVERED
    assert len(mail.messages) == 2
    assert len({received.message["Message-ID"] for received in mail.messages}) == 1


@pytest.mark.parametrize(
    ("server", "changes", "words"),
    [
        pytest.param({"without": ["STARTTLS"]}, {}, "STARTTLS", id="stripped"),
        pytest.param(
            {"certificate_for": ["mail.example.org"]}, {}, "certificate", id="other"
        ),
        pytest.param({}, {"ca_file": ""}, "certificate", id="unknown"),
        pytest.param(
            {"tls": "implicit"},
            {"ca_file": "", "tls": "implicit"},
            "certificate",
            id="unknown, implicit",
        ),
    ],
)
def test_row_24_no_tls_or_a_wrong_certificate(
    *, notifier, place, caplog, server, changes, words
):
    """A server that is not who it should be, or in the clear, hears neither the password
    nor the mail, and the log and the history tell."""
    with MailDouble(username="ada", password="secret", **server) as mail:
        one = notifier({"inbox": inbox_at(mail, **changes)})
        (delivery,) = one.notify(Alert("x")).wait(60)

        assert mail.messages == []
        assert not {"AUTH", "MAIL", "DATA"} & set(mail.commands)
    assert delivery.status is Status.FAILED
    assert words in delivery.reason
    assert delivery.remedy
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(told) == 2  # of the delivery, and of the channel
    assert all(words in line for line in told)
    listed = place.tocsin("log", "--failed").stdout
    assert words in " ".join(listed.split())
