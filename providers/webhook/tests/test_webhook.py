import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import ClassVar

import attrs
import pytest
from standardwebhooks import Webhook as Receiver

from tocsin import Alert, OutOfOrder, RetryLater, Secret
from tocsin.testing import HttpDouble, ProviderSuite, Reply, attempt
from tocsin_webhook import Webhook
from tocsin_webhook._signature import signed

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_KEY = "whsec_" + base64.b64encode(b"the one before, 24 bytes").decode()


class TestWebhook(ProviderSuite):
    provider = Webhook
    secret = KEY
    golden = "webhook.json"
    broadcasts = ()
    malformed: ClassVar = {}  # any 2xx is success: standardwebhooks.com

    def table(self):
        url = f"{self.double.url}/hook"
        return {"url": url, "secret": self.secret, "allow_private": True}

    def answer(self, request):
        return Reply(204)

    def parts(self, request):
        data = request.json()["data"]
        rest = [*data["fields"].values(), *data["tags"], *data["notes"]]
        return {"title": data["title"], "text": data["text"], "rest": "\n".join(rest)}

    def test_an_address_in_the_clear(self):
        """Whoever allows private addresses allows http:// too: see below for the others."""


@pytest.fixture
def hook():
    with HttpDouble() as double:
        yield double


@pytest.fixture
def webhook(hook):
    return Webhook(url=Secret(f"{hook.url}/x"), secret=Secret(KEY), allow_private=True)


def test_the_vector_of_the_standard():
    """The package signs as the standard's own example."""
    at = datetime.fromtimestamp(1614265330, UTC)
    body = '{"test": 2432232314}'

    assert (
        Receiver(KEY).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_receiver_verifies(hook, webhook):
    """The exact bytes that arrive are signed, non-ASCII text included."""
    attempt(webhook, Alert("Loss ist ∞", "ö"))

    (request,) = hook.requests
    content = Receiver(KEY).verify(request.body, dict(request.headers))
    assert content["type"] == "alert.scriptable"
    assert content["data"]["title"] == "Loss ist ∞"


def test_while_the_secret_changes(hook, webhook):
    """Either secret verifies."""
    attempt(attrs.evolve(webhook, previous_secret=Secret(OLD_KEY)), Alert("Disk full"))

    (request,) = hook.requests
    for key in (KEY, OLD_KEY):
        Receiver(key).verify(request.body, dict(request.headers))


def test_the_id_is_that_of_the_delivery():
    """It is the same at every attempt, has no full stop, and is another for another."""
    ids = [signed(b"", one, [])["webhook-id"] for one in ("a.b", "a.b", "a.c")]

    assert ids[0] == ids[1] != ids[2]
    assert "." not in ids[0]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_*", "not base64 at all!?"])
def test_a_secret_that_is_none(hook, webhook, secret):
    with pytest.raises(OutOfOrder, match="no secret of Standard Webhooks") as caught:
        attempt(attrs.evolve(webhook, secret=Secret(secret)), Alert("Disk full"))

    assert caught.value.__context__ is None
    assert hook.requests == []


def test_private_addresses_are_refused(hook):
    """What counts is where it connects to."""
    url = hook.url.replace("127.0.0.1", "localhost")

    with pytest.raises(RetryLater, match="its address is not public"):
        attempt(Webhook(url=Secret(url)), Alert("Disk full"))
    assert hook.connections == 0


def test_an_address_in_the_clear_is_a_mistake():
    with pytest.raises(ValueError, match="url must be an https:// address"):
        Webhook(url=Secret("http://example.com"))


@pytest.mark.parametrize(
    "line", ["X-A", "X A: 1", "X-A: \u20ac", "X-A: a\r\nb", "Host: x", "webhook-id: 1"]
)
def test_headers_that_are_none(line):
    with pytest.raises(ValueError, match="header"):
        Webhook(url=Secret("https://example.com"), headers=[line])


def test_headers_and_a_token(hook, webhook):
    more = attrs.evolve(
        webhook, headers=("X-Env: prod",), access_token=Secret("canary")
    )
    attempt(more, Alert("Disk full"))

    assert hook.requests[0].headers["x-env"] == "prod"
    assert hook.requests[0].headers["authorization"] == "Bearer canary"


# --- as W&B

PAYLOAD = '{"text": "${alert_title} in ${project_name}", "n": [1, "${alert_text}"]}'


def test_a_payload_of_wandb(hook, webhook):
    """Text that looks like JSON, or like a variable, stays text."""
    hostile = '", "admin": true, "x": "${event_author}'
    ours = attrs.evolve(webhook, wandb_payload=PAYLOAD, wandb_secret=Secret("s"))
    attempt(ours, Alert("Loss is NaN", hostile))

    (request,) = hook.requests
    assert request.json() == {"text": "Loss is NaN in ", "n": [1, hostile]}
    expected = hmac.new(b"s", request.body, hashlib.sha256).digest()
    assert request.headers["x-wandb-signature"] == base64.b64encode(expected).decode()


@pytest.mark.parametrize("payload", ["{", '{"a": "${moon}"}', "[" * 100_000])
def test_a_payload_that_is_none(payload):
    with pytest.raises(ValueError, match="the payload"):
        Webhook(url=Secret("https://example.com"), wandb_payload=payload)


def test_the_payload_is_json_whatever_it_says(hook, webhook):
    attempt(webhook, Alert('{"', "\x00\ud800\u2028", fields={"a": "b"}))

    assert json.loads(hook.requests[0].body)["data"]["fields"] == {"a": "b"}
