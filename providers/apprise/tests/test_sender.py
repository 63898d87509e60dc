import base64
import socket
import subprocess
import sys
import threading

import pytest

from tocsin import (
    Ambiguous,
    Attachment,
    OutOfOrder,
    Rejected,
    RetryLater,
    Secret,
    SecretUnavailable,
)
from tocsin_apprise import Apprise


def test_what_arrives(double, sender, deliver):
    receipt = deliver(sender(), "Loss is NaN", "at step 300", "ERROR")

    ((path, headers, _),) = double.requests
    assert path == "/hook"
    assert headers["User-Agent"] == "Tocsin"
    assert double.payloads == [
        {
            "version": "1.0",
            "title": "Loss is NaN",
            "message": "at step 300\n\n2026-05-01 12:00:00 UTC",
            "attachments": [],
            "type": "failure",
        }
    ]
    assert "JSON" in receipt.place
    assert receipt.note == ""


@pytest.mark.parametrize(
    ("alert", "type_"),
    [
        ({}, "info"),
        ({"level": "WARN"}, "warning"),
        ({"level": "ERROR"}, "failure"),
        ({"kind": "resolved", "level": "ERROR"}, "success"),
        ({"kind": "finished"}, "success"),
    ],
)
def test_the_type_that_a_service_colours_by(double, sender, deliver, alert, type_):
    deliver(sender(), **alert)

    assert double.payloads[0]["type"] == type_


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (401, OutOfOrder),
        (403, OutOfOrder),
        (404, OutOfOrder),
        (302, OutOfOrder),
        (400, Rejected),
        (413, Rejected),
        (429, RetryLater),
        (500, RetryLater),
        (503, RetryLater),
        ("hang up", Ambiguous),
    ],
)
@pytest.mark.parametrize("schema", ["json", "xml", "gotify", "ntfy"])
def test_what_the_service_answers(*, double, sender, deliver, answer, outcome, schema):
    """Whatever it is, one request is made, and one outcome told."""
    double.answers = [answer]

    with pytest.raises(outcome) as raised:
        deliver(sender("Atopic12345", schema))

    assert type(raised.value) is outcome
    assert str(answer) in raised.value.reason or answer == "hang up"
    assert len(double.requests) == 1


def test_a_service_that_does_not_answer(double, sender, deliver):
    double.answers = ["hang"]

    with pytest.raises(Ambiguous):
        deliver(sender(), timeout=1.0)

    assert len(double.requests) == 1


def test_a_service_that_cannot_be_reached(deliver):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        sender = Apprise(url=Secret(f"json://127.0.0.1:{free.getsockname()[1]}")).open()

        with pytest.raises(RetryLater, match="cannot be reached"):
            deliver(sender)


def test_no_try_is_made_but_ours(double, sender, deliver):
    """Whatever the URL asks for: a failure is told, and once."""
    double.answers = [500] * 5
    query = "?retry=3&wait=0.1&optional=yes&overflow=split"

    with pytest.raises(RetryLater):
        deliver(sender(query=query))

    assert len(double.requests) == 1


def test_a_long_text_stays_one_message(double, sender, deliver):
    deliver(sender(query="?overflow=split"), "t" * 1000, "x " * 40_000)

    (payload,) = double.payloads
    assert len(payload["title"]) <= 250
    assert len(payload["message"]) <= 32768
    assert "more characters" in payload["message"]


def test_a_service_says_how_much_it_takes(sender):
    sms = Apprise(url=Secret("bulksms://ada:secret@+4915112345678")).open()

    assert (sender().limits.title, sender().limits.text) == (250, 32768)
    assert sms.limits.title is None
    assert sms.limits.text == 160


def test_two_messages_at_once_are_not_slowed(double, sender, deliver):
    """Apprise would wait more than five seconds between two; how often is our affair."""
    one = sender("Atopic12345", "gotify")
    one._service.plugin.request_rate_per_sec = 600

    for _ in range(2):
        deliver(one)

    assert len(double.requests) == 2


def test_a_wait_that_a_service_asks_for_is_ours(double, sender, deliver):
    """It is not slept through in the attempt, and nothing is sent."""
    one = sender()
    send = one._service.plugin.send
    one._service.plugin.send = lambda **words: (
        one._service.plugin.throttle(wait=90) or send(**words)
    )

    with pytest.raises(RetryLater) as raised:
        deliver(one)

    assert raised.value.after == 90
    assert double.requests == []


def test_some_of_several_targets(double, sender, deliver):
    """Who has it would get it again: then it is not tried for hours."""
    double.answers = [200, 500]

    with pytest.raises(Ambiguous, match="some of the targets"):
        deliver(sender("one/two", "ntfy"))

    assert len(double.requests) == 2


def test_attachments(double, sender, deliver, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plot = Attachment("../a b?,loss.png", b"\x89PNG")

    deliver(sender(), attachments=plot)

    (sent,) = double.payloads[0]["attachments"]
    assert base64.b64decode(sent["base64"]) == b"\x89PNG"
    assert sent["mimetype"] == "image/png"
    assert sent["filename"] == "../a b?,loss.png"
    assert list(tmp_path.iterdir()) == []


def test_attachments_that_a_service_does_not_take(double, sender, deliver):
    receipt = deliver(
        sender("Atopic12345", "gotify"), attachments=Attachment("loss.png", b"1")
    )

    assert "loss.png" in receipt.note
    assert len(double.requests) == 1


@pytest.mark.parametrize("url", ["nosuch://host", "json://", "tgram://x", "://"])
def test_a_url_that_apprise_does_not_take(url):
    with pytest.raises(OutOfOrder) as raised:
        Apprise(url=Secret(url)).open()

    assert "appriseit.com" in raised.value.remedy
    assert url not in str(raised.value)


def test_a_check_asks_nobody(double):
    provider = Apprise(url=Secret(f"json://{double.host}/hook"))

    assert "JSON" in provider.check(1.0)
    assert double.requests == []


def test_a_url_that_has_changed(double, deliver, tmp_path):
    """A reference is resolved at each attempt; the open sender follows."""
    from tocsin import FromFile

    file = tmp_path / "url"
    file.write_text(f"json://{double.host}/one")
    sender = Apprise(url=Secret(FromFile(str(file)))).open()
    deliver(sender)
    file.write_text(f"json://{double.host}/two")
    deliver(sender)
    file.unlink()

    assert [path for path, _, _ in double.requests] == ["/one", "/two"]
    with pytest.raises(SecretUnavailable):
        deliver(sender)


def test_many_channels_at_once(double, sender, deliver):
    """Each is told of its own failure, and of no other's."""
    statuses = [400, 401, 429, 503] * 4
    senders = [sender(f"hook-{n}/{status}") for n, status in enumerate(statuses)]
    start = threading.Barrier(len(senders))
    told = {}

    def attempt(number):
        start.wait(60)
        for _ in range(3):
            with pytest.raises((Rejected, RetryLater)) as raised:
                deliver(senders[number], f"alert {number}")
            told.setdefault(number, set()).add(raised.value.reason)

    threads = [threading.Thread(target=attempt, args=[n]) for n in range(len(senders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(told) == list(range(16))
    for number, reasons in told.items():
        (reason,) = reasons
        assert f"HTTP {statuses[number]}" in reason
    assert not [t for t in threading.enumerate() if "ThreadPool" in t.name]


def test_mail_of_the_process_is_as_it_was():
    """Apprise changes how the whole process writes mail; that is undone."""
    code = """
import warnings; warnings.simplefilter("ignore")
from email import charset
was = dict(charset.CHARSETS)
from tocsin_apprise._service import Service
Service("json://localhost")
assert charset.CHARSETS == was
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
