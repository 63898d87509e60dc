"""A planted secret is looked for in everything that an attempt leaves behind."""

import logging
import pickle
import traceback

import attrs
import pytest

from tocsin import Attachment, Earlier, Receipt, Secret
from tocsin_slack import Slack

FAULTS = [
    "",
    "ratelimited",
    "http_500",
    "redirect",
    "html",
    "hang",
    "close_after_read",
    "garbage",
    "ok_false:invalid_auth",
    "ok_false:invalid_blocks",
    "body:[1]",
]


@pytest.fixture
def canaries(slack, bot, webhook):
    """Return the secrets, in an object that no traceback shows."""
    return Canaries([slack.token, webhook.webhook_url.reveal().rpartition("/")[2]])


class Canaries:
    def __init__(self, secrets):
        self.secrets = secrets

    def are_in(self, text):
        return any(secret in text for secret in self.secrets)


@pytest.fixture
def log(caplog):
    """Record what any logger says, those of slack_sdk included, at any level."""
    for name in ("", "slack_sdk.web.base_client", "slack_sdk.webhook.client"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def everything(error):
    """Return all that a crash reporter could show of an error."""
    parts = []
    while error is not None:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        parts += [*told.format(), repr(error), repr(vars(error)), repr(error.args)]
        parts += [
            repr(frame.f_locals) for frame, _ in traceback.walk_tb(error.__traceback__)
        ]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def caught(deliver, *arguments, **more):
    try:
        return deliver(*arguments, **more)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
        return error


@pytest.mark.parametrize("fault", FAULTS)
def test_no_attempt_shows_a_secret(
    *, slack, provider, message, deliver, canaries, log, capfd, fault
):
    if fault:
        slack.fail_next(fault, location=f"{slack.origin}/elsewhere")

    timeout = 0.5 if fault == "hang" else 10.0
    result = caught(deliver, provider, message(), timeout=timeout)

    told = everything(result) if isinstance(result, Exception) else repr(result)
    out, err = capfd.readouterr()
    assert isinstance(result, Exception) is bool(fault)
    assert not canaries.are_in(told)
    assert not canaries.are_in(log.text + out + err)
    assert log.text == ""


@pytest.mark.parametrize("step", ["files.getUpload", "/upload/", "files.complete"])
def test_no_upload_shows_a_secret(*, slack, bot, message, deliver, canaries, log, step):
    slack.fail_next("close_after_read", on=f"/api/{step}" if "files" in step else step)

    error = caught(deliver, bot, message(attachments=Attachment("a.txt", b"x")))

    assert isinstance(error, Exception)
    assert not canaries.are_in(everything(error) + log.text)
    assert "/upload/v1/" not in everything(error)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "hang"])
def test_no_edit_shows_a_secret(*, slack, bot, message, deliver, canaries, log, fault):
    slack.fail_next(fault or "http_503", on="chat.update", location=slack.origin)
    there = Receipt(reference="1700000001.000001", place="C0ALERTS")

    result = caught(
        deliver, bot, message(), resolves=Earlier(message=message(), receipt=there)
    )

    told = everything(result) if isinstance(result, Exception) else repr(result)
    assert not canaries.are_in(told + log.text)


@pytest.mark.parametrize(
    "secret", ["xoxb-canary\nx", "xoxb-canary\u20ac", "xoxb-canary\x00"]
)
def test_a_token_that_fits_no_header_is_not_quoted(bot, message, deliver, secret):
    bot = attrs.evolve(bot, token=Secret(secret))

    error = caught(deliver, bot, message())

    assert type(error).__name__ == "OutOfOrder"
    assert "canary" not in everything(error)


@pytest.mark.parametrize("path", ["can ary", "can\x7fary", "can\u20acary"])
def test_a_url_that_fits_no_request_is_not_quoted(slack, message, deliver, path):
    webhook = Slack(webhook_url=Secret(f"{slack.origin}/services/{path}"))

    error = caught(deliver, webhook, message())

    assert type(error).__name__ == "OutOfOrder"
    assert "can" not in everything(error).replace("cannot", "").replace("can be", "")


def test_a_mistake_in_the_settings_is_not_quoted():
    with pytest.raises(ValueError, match="webhook_url") as raised:
        Slack(webhook_url=Secret("http://hooks.slack.com/canary-1"))

    frames = traceback.TracebackException.from_exception(
        raised.value, capture_locals=True
    ).stack[1:]
    assert "canary-1" not in str(raised.value)
    assert "canary-1" not in repr([frame.locals for frame in frames])


def test_neither_provider_nor_sender_shows_a_secret(provider, canaries):
    sender = provider.open()

    assert not canaries.are_in(repr(provider) + str(provider) + repr(sender))


def test_neither_provider_nor_sender_can_be_pickled(provider):
    for thing in (provider, provider.open()):
        with pytest.raises(TypeError, match="never pickled"):
            pickle.dumps(thing)


def test_no_check_shows_a_secret(slack, provider, canaries, log):
    slack.fail_next("ok_false:invalid_auth")

    result = caught(provider.check, 1.0)

    told = everything(result) if isinstance(result, Exception) else result
    assert not canaries.are_in(told + log.text)
