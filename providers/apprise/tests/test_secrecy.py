"""A planted secret is looked for in everything that an attempt leaves behind."""

import logging
import subprocess
import sys
import traceback

import pytest

from tocsin import Rejected, Secret
from tocsin_apprise import Apprise
from tocsin_apprise._redaction import fit

CANARIES = ["cnry-pa55", "cnry-path", "cnry/quoted", "cnry-query"]
REST = "cnry-path/{status}?+X-Token=cnry-query&-q=cnry%2Fquoted"
USER = "ada:cnry-pa55@"


@pytest.fixture
def log(caplog):
    """Record what any logger says, at any level."""
    for name in ("", "apprise", "urllib3", "requests"):
        caplog.set_level(1, name)
    return caplog


def everything(error):
    """Return all that a crash reporter could show of an error."""
    parts = []
    while error is not None:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        parts += [repr(frame.locals) for frame in told.stack[1:]]  # but for the test's
        parts += [str(error), repr(error), repr(vars(error)), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


@pytest.mark.parametrize("schema", ["json", "xml"])
@pytest.mark.parametrize("answer", [200, 302, 401, 404, 429, 500, "hang up", "hang"])
def test_no_attempt_shows_a_secret(
    *, double, sender, deliver, log, capfd, schema, answer
):
    double.answers = [answer]
    told = ""

    one = sender(REST.format(status=200), schema, USER)
    try:
        told = repr(deliver(one, timeout=1.0 if answer == "hang" else 30.0))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        told = everything(error)

    out, err = capfd.readouterr()
    assert told
    assert not [c for c in CANARIES if c in told + repr(one) + log.text + out + err]
    assert log.text == ""


def test_no_reason_shows_a_text(double, sender, deliver):
    double.answers = [400]

    with pytest.raises(Rejected) as raised:
        deliver(sender(), "Failed to send", "JSON")

    assert "Failed to send" not in raised.value.reason
    assert "HTTP 400" in raised.value.reason


def test_what_else_is_logged_is_left_alone(double, sender, deliver, log):
    """The program may use Apprise, and urllib3, by itself."""
    deliver(sender())
    logging.getLogger("apprise").warning("ours")
    logging.getLogger("urllib3.connectionpool").warning("ours too")

    assert [record.message for record in log.records] == ["ours", "ours too"]


def test_a_url_that_apprise_does_not_take_is_not_quoted(log, capfd):
    for url in ("nosuch://cnry-path", "tgram://cnry-path", "json://cnry-path:99999999"):
        try:
            told = repr(Apprise(url=Secret(url)).open())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            told = everything(error)
        assert "cnry" not in told + log.text + "".join(capfd.readouterr())


def test_a_mistake_in_the_settings_is_not_quoted():
    with pytest.raises(ValueError, match="must be an Apprise URL") as raised:
        Apprise(url=Secret("cnry-path"))

    assert "cnry" not in str(raised.value)


def test_a_url_is_a_secret():
    with pytest.raises(TypeError, match="url must be a Secret"):
        Apprise(url="json://localhost")


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("to T0K/C1: error=404", "slack://T0K/C1", "to …: error=404"),
        ("with p4 and p4ss", "json://a:p4@h", "with … and p4ss"),
        ("sent p%2Fs or p/s", "json://u:p%2Fs@h", "sent … or …"),
        ("Key ABC rejected", "x://abc", "Key … rejected"),
        ("Could not send: Loss is NaN", "x://y", "Could not send: …"),
        ("a\nb\r\n c" + "d" * 500, "x://y", "a b c" + "d" * 195),
    ],
)
def test_every_part_of_a_url_is_blotted_out(text, url, shown):
    assert fit(text, url, "Loss is NaN") == shown


EFFECTS = """
import asyncio, builtins, locale, logging, os, signal, sys, threading, warnings
def state():
    root = logging.getLogger()
    return (dict(os.environ), root.level, list(root.handlers), set(dir(builtins)),
            locale.setlocale(locale.LC_ALL), signal.getsignal(2), signal.getsignal(15),
            sys.excepthook, threading.excepthook, len(threading.enumerate()),
            logging.getLoggerClass(), logging.getLogger("apprise").level, os.getcwd(),
            os.umask(0o77), asyncio.get_event_loop_policy()._local.__dict__)
before = state()
from tocsin import Alert, Delivery, Message, Secret
from tocsin_apprise import Apprise
assert "apprise" not in sys.modules and "requests" not in sys.modules
sender = Apprise(url=Secret(sys.argv[1])).open()
message = Message(alert=Alert("t"), title="t", body="b", text="t b")
print(sender.deliver(message, Delivery(id="d", channel="c")).place)
after = state()
changed = [n for n, (a, b) in enumerate(zip(before[:13] + before[14:], after[:13] + after[14:])) if a != b]
assert not changed, changed
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="policies are deprecated there")
def test_what_is_the_interpreters_stays_as_it_was(double, tmp_path):
    """No thread, loop, handler, variable or locale is left of an attempt."""
    words = [sys.executable, "-c", EFFECTS, f"json://{double.host}/hook"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)}
    )

    assert done.returncode == 0, done.stderr
    assert "JSON" in done.stdout
    assert list(tmp_path.rglob("*")) == []
