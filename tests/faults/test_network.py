"""Services that are slow, rude, or not who they say they are."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import cycle

import pytest
from support import Service, bot_at, until

from tocsin import Alert, Status

A_MINUTE = "a date in a minute"
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"
HTML = "<!doctype html><title>Sign in</title><p>ok"


@pytest.fixture(params=["bot", "webhook"])
def channel(request):
    """Each of the two ways to reach Slack in turn."""
    return request.getfixturevalue(request.param)


def test_row_16_retry_after(*, notifier, slack, bot, inbox, mail, clock):
    """After a 429 with Retry-After 30 nothing is sent to that channel for 30 seconds,
    whoever delivers; the other channels flow."""
    one = notifier({"dm": bot, "inbox": inbox})
    other = notifier({"dm": bot, "inbox": inbox})
    slack.fail_next("ratelimited", retry_after=30)
    one.notify(Alert("a"))
    until(lambda: mail.messages and one.store().circuits())

    clock.advance(29)
    for each in (one, other):
        each.notify(Alert(f"b of {id(each)}"))
        assert each.flush(60)
    assert len(slack.requests) == 1
    until(lambda: len(mail.messages) == 3)

    clock.advance(2)
    assert other.flush(60)
    assert one.flush(60)
    assert len(slack.messages) == 3
    assert len(mail.messages) == 3


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (A_MINUTE, 30, 60),
        ("1e9", 3600, 3600),
        ("999999999999999999999", 3600, 3600),
        ("-5", 0, 2),
        ("0", 0, 2),
        (LONG_AGO, 0, 2),
        ("inf", 0, 2),
        ("nan", 0, 2),
        ("soon", 0, 2),
    ],
)
def test_row_17_what_retry_after_may_be(
    *, notifier, slack, channel, clock, retry_after, least, most
):
    """A date is understood, an hour is the most, and nonsense is no wish at all."""
    one = notifier({"dm": channel})
    if retry_after == A_MINUTE:
        date = datetime.now(UTC) + timedelta(minutes=1)
        retry_after = format_datetime(date, usegmt=True)
    slack.fail_next("ratelimited", retry_after=retry_after)
    result = one.notify(Alert("x"))
    assert until(lambda: one.flush(5))
    (delivery,) = result.wait(0)

    pause = delivery.due_at.timestamp() - clock.now
    assert least <= pause <= most
    assert len(slack.requests) == 1

    clock.advance(pause + 0.001)
    assert one.flush(60)
    assert len(slack.messages) == 1


def test_row_18_read_then_closed(notifier, slack, channel, settle):
    """A message whose answers are all lost comes three times at most, under one id, and
    ends as failed, saying so."""
    one = notifier({"dm": channel})
    slack.fail_next("close_after_read", times=9, arrives=True)

    (delivery,) = settle(one, one.notify(Alert("x")))

    assert delivery.status is Status.FAILED
    assert "may have arrived" in delivery.reason
    assert len(slack.messages) == 3
    assert len({post.client_msg_id for post in slack.messages}) == 1


def test_row_18_closed_once(notifier, slack, channel, settle):
    """A message whose answer was lost once is sent once more, and is delivered."""
    one = notifier({"dm": channel})
    slack.fail_next("close_after_read")

    (delivery,) = settle(one, one.notify(Alert("x")))

    assert delivery.status is Status.DELIVERED
    assert len(slack.requests) == 2


def drip(request):
    """Answer rightly, a byte a second."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n{"ok":true,"channel":"C","ts":"1"}'
    for byte in answer:
        if request.service.closing.wait(1):
            break
        request.wfile.write(bytes([byte]))


def hang(request):
    request.service.closing.wait(60)


@pytest.mark.parametrize("answer", [drip, hang])
def test_row_19_a_slow_http_server(notifier, answer):
    """An attempt ends when its time is up, whatever trickles in; the server is left."""
    with Service(answer) as service:
        one = notifier({"dm": bot_at(service.origin + "/")}, timeout="2s")
        took, delivery = timed_attempt(one)
        if answer is drip:
            until(lambda: service.requests[0].is_left, 30)

    assert took < 15
    assert delivery.status is Status.PENDING
    assert delivery.reason == "Slack did not answer: the time was up"


@pytest.mark.parametrize("fault", ["hang", "drip"])
@pytest.mark.parametrize("stage", ["greeting", "rcpt", "dot"])
def test_row_19_a_slow_mail_server(notifier, mail, inbox, fault, stage):
    """The same by mail, at each step of the talk."""
    one = notifier({"inbox": inbox}, timeout="1s")
    getattr(mail, fault)(stage)

    took, delivery = timed_attempt(one)

    assert took < 15
    assert delivery.status is Status.PENDING
    assert "in time" in delivery.reason or "took the mail" in delivery.reason


def timed_attempt(notifier):
    """Raise an alert; return how long its first attempt took, and the delivery."""
    result = notifier.notify(Alert("x"))
    began = time.monotonic()
    until(lambda: result.wait(0)[0].reason)
    took = time.monotonic() - began
    (delivery,) = result.wait(0)
    assert delivery.attempts == 1
    return took, delivery


CONNECTIONS = """
import json, sys, time, tocsin

ports, reasons = set(), set()

def note(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        ports.add(args[1][1] if event == "socket.connect" else args[1])

sys.addaudithook(note)
run = tocsin.init()
results = [run.alert(f"x {number}") for number in range(5)]
while not all(result.wait(0)[0].reason for result in results):
    time.sleep(0.01)
reasons = [result.wait(0)[0].reason for result in results]
run.finish(timeout=0)
print(json.dumps([sorted(ports), reasons]))
"""
METADATA = "http://169.254.169.254:81/latest/meta-data/iam/security-credentials/"


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_row_20_a_redirect_to_a_metadata_address(place, way):
    """No redirect is followed: nobody but the service itself is asked for anything."""
    statuses = cycle([301, 302, 303, 307, 308])
    with Service(lambda r: r.reply({}, next(statuses), Location=METADATA)) as service:
        url = f"{service.origin}/services/T/B/x"
        channels = {
            "bot": bot_at(service.origin + "/"),
            "webhook": {"provider": "slack", "webhook_url": url},
        }
        place.configure({"dm": channels[way]})
        ports, reasons = json.loads(place.run(CONNECTIONS))

    assert [f"http://127.0.0.1:{port}" for port in ports] == [service.origin]
    assert all("redirect" in reason for reason in reasons)
    assert len(service.requests) >= 5


@pytest.mark.parametrize(
    "fault",
    [
        "html",
        f"body:{HTML}",
        "body:",
        "body:{}",
        "body:OK",
        'body:{"ok": "true"}',
        'body:{"ok": 1}',
        'body:{"ok": false}',
        "ok_false:channel_not_found",
        "ok_false:a_word_of_tomorrow",
    ],
)
def test_row_21_a_200_that_is_none(notifier, slack, channel, fault):
    """An answer of status 200 is a success only in the service's own words."""
    one = notifier({"dm": channel})
    slack.fail_next(fault)
    result = one.notify(Alert("x"))
    assert one.flush(60)
    (delivery,) = result.wait(0)

    assert slack.messages == []
    assert delivery.status is not Status.DELIVERED
    assert delivery.reason
