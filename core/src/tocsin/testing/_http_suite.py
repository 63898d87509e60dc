"""What every provider of an HTTP service has to do."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, ClassVar, get_args

import pytest

from tocsin._alert import Alert, Origin
from tocsin._errors import (
    Ambiguous,
    ConfigError,
    DeliveryError,
    OutOfOrder,
    Rejected,
    RetryLater,
)
from tocsin.http import MAX_RETRY_AFTER
from tocsin.testing._attempts import configured
from tocsin.testing._double import Fault, HttpDouble, Reply
from tocsin.testing._local_suite import LocalProviderSuite, advise, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tocsin._provider import Limits
    from tocsin.testing._double import Received

_SOON = 0.5  # seconds that an attempt has which meets a slow server
_PATIENCE = 10.0  # seconds that any other may take on a busy machine

STATUSES: Mapping[int, type[DeliveryError]] = {
    301: RetryLater,
    302: RetryLater,
    303: RetryLater,
    307: RetryLater,
    308: RetryLater,
    400: Rejected,
    401: OutOfOrder,
    403: OutOfOrder,
    404: OutOfOrder,
    405: OutOfOrder,
    407: OutOfOrder,
    408: RetryLater,
    410: OutOfOrder,
    413: Rejected,
    415: Rejected,
    422: Rejected,
    425: RetryLater,
    429: RetryLater,
    500: RetryLater,
    501: RetryLater,
    502: RetryLater,
    503: RetryLater,
    504: Ambiguous,
    507: RetryLater,
    521: RetryLater,
}
"""What an answer of each status means, where a service says nothing else."""

_MALFORMED: Mapping[str, Reply] = {
    "nothing": Reply(200),
    "an empty object": Reply(200, json={}),
    "null": Reply(200, body=b"null", headers={"Content-Type": "application/json"}),
    "a list": Reply(200, json=[1]),
    "half an object": Reply(200, body=b'{"id": "'),
    "a sign-in page": Reply(
        200, body=b"<html><form>Sign in to the Wi-Fi</form></html>"
    ),
    "no text": Reply(200, body=b"\xff\xfe\x00\xd8"),
    "very deep": Reply(200, body=b"[" * 100_000),
}

_INJECTED = "x-injected"


class ProviderSuite(LocalProviderSuite):
    """The checks of a provider that speaks to an HTTP service.

    Derive a test class from it, set `provider`, and define `table`, `answer` and `parts`::

        class TestGotify(ProviderSuite):
            provider = Gotify
            golden = "gotify.json"

            def table(self):
                return {"url": self.double.url, "token": self.secret}

            def answer(self, request):
                return Reply(200, json={"id": 7})

            def parts(self, request):
                return {"title": request.json()["title"], "text": request.json()["message"]}

    The service is a server on the loopback, `double`; with `new_double` it is one of your own,
    and `answer` is not needed. Every check says what is to be done
    when it fails.
    """

    double: HttpDouble
    """The service: `double.url`, and what it got."""
    statuses: ClassVar[Mapping[int, type[DeliveryError]]] = {}
    """What a status means where it is something else than in `STATUSES`."""
    malformed: ClassVar[Mapping[str, Reply]] = _MALFORMED
    """Answers with a good status that are not the service's yes. Empty for a service that
    says yes by the status alone."""
    most_bytes: ClassVar[int | None] = None
    """How large the body of a request may be."""
    is_secret_in_url: ClassVar[bool] = False
    """The service wants it there, as with webhooks."""

    def answer(self, request: Received) -> Reply:
        """Return the service's yes, to any request that it takes."""
        raise NotImplementedError("define answer(), or new_double()")

    def parts(self, request: Received) -> Mapping[str, str]:
        """Return the parts of a message by name, as they were sent."""
        raise NotImplementedError("define parts()")

    def is_message(self, request: Received) -> bool:
        """Whether a request is a message, and not one before or after it."""
        return request.method != "GET"

    def new_double(self) -> HttpDouble:
        """Return the service; one that answers with `answer` unless you override it."""
        return HttpDouble(self.answer)

    # --- what the checks share

    @pytest.fixture(autouse=True)
    def _serve(self, _stage: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        with self.new_double() as self.double:
            yield

    def messages(self) -> list[Received]:
        """Return the requests that are messages."""
        return [request for request in self.double.requests if self.is_message(request)]

    def received(self) -> Sequence[Mapping[str, str]]:
        return [self.parts(request) for request in self.messages()]

    def payload(self) -> object:
        request = self.messages()[-1]
        kind = request.headers.get("content-type", "").partition(";")[0]
        try:
            body = request.json()
        except ValueError:
            body = request.form() if kind else request.body.decode("utf-8", "replace")
        target = request.target.replace(self.double.url, "")
        return {"method": request.method, "target": target, "type": kind, "body": body}

    def failing(self, failure: Reply | Fault, *, timeout: float = 10.0) -> Exception:
        """Have the service fail once; return the error that came of it.

        Raises:
            AssertionError: It was taken for a success.

        """
        self.double.fail_next(failure)
        result = outcome(self.make(), Alert("Disk full"), timeout=timeout)
        advise(
            isinstance(result, Exception),
            f"{failure!r} was taken for a success: {result!r}",
            "return a Receipt only of what the service's documentation calls success: take "
            "its proof with answer.text_at(…), or give the tocsin.http.Service a `success`, "
            "or a `judge` that returns answer.unlike()",
        )
        assert isinstance(result, Exception)
        return result

    def expect(self, error: Exception, kind: type[DeliveryError], when: str) -> None:
        """Check that an error is of the kind that it should be.

        Raises:
            AssertionError: It is another.

        """
        is_exact = type(error) is kind or (
            isinstance(error, kind)
            and not (kind is Rejected and isinstance(error, OutOfOrder))
        )
        advise(
            is_exact,
            f"{when} gave {error!r}, and should give {kind.__name__}",
            "send with tocsin.http.Service; give it `verdicts` for a status that means "
            "something else here, and say so in `statuses` of the test class",
        )
        if isinstance(error, DeliveryError):
            advise(
                error.reason.strip(),
                f"{when} gave an error without a reason",
                "say what failed",
            )

    def expect_one_request(self, when: str) -> None:
        """Check that one attempt made one request.

        Raises:
            AssertionError: It made none, or several.

        """
        made = len(self.messages())
        advise(
            made == 1,
            f"{when}: {made} requests for one attempt",
            "make each request once: Tocsin tries again, and waits, when it has to",
        )

    def _check_sizes(self, limits: Limits) -> None:
        super()._check_sizes(limits)
        size = len(self.messages()[-1].body)
        advise(
            self.most_bytes is None or size <= self.most_bytes,
            f"a request has {size} bytes, and may have {self.most_bytes}",
            "state limits for title and text that leave room for all that is around them, "
            "and for what JSON makes of quotation marks; leave out what is too large",
        )

    # --- outcomes

    @pytest.mark.parametrize("status", STATUSES)
    def test_what_a_status_means(self, status: int) -> None:
        """Each status is one of the outcomes of an attempt, after one request."""
        kind = {**STATUSES, **self.statuses}[status]

        error = self.failing(Reply(status, json={}))

        self.expect(error, kind, f"HTTP {status}")
        self.expect_one_request(f"HTTP {status}")

    @pytest.mark.parametrize("fault", get_args(Fault))
    def test_an_answer_that_is_lost(self, fault: Fault) -> None:
        """The message may have arrived: Ambiguous, after one request, in time."""
        is_slow = fault in {"hang", "drip", "drip body"}
        began = time.monotonic()

        error = self.failing(fault, timeout=_SOON if is_slow else _PATIENCE)

        took = time.monotonic() - began
        self.expect(error, Ambiguous, f"an answer that is lost ({fault})")
        self.expect_one_request(f"an answer that is lost ({fault})")
        advise(
            took < _PATIENCE / 2,
            f"an attempt of {_SOON} s took {took:.1f} s ({fault})",
            "send with tocsin.http, and pass timeout=delivery.timeout: it bounds the whole",
        )

    def test_a_service_that_is_not_there(self) -> None:
        """Nothing was sent: RetryLater."""
        provider = self.make()
        self.double.__exit__()
        try:
            error = outcome(provider, Alert("Disk full"), timeout=5.0)
        finally:
            self.double = self.new_double().__enter__()
        advise(isinstance(error, Exception), "success without a service", "send it")
        assert isinstance(error, Exception)
        self.expect(error, RetryLater, "a refused connection")

    @pytest.mark.parametrize(
        ("value", "least", "most"),
        [
            ("7", 7.0, 7.0),
            ("0.5", 0.5, 0.5),
            ("an hour from now", 3000.0, 3600.0),
            ("1000000", MAX_RETRY_AFTER, MAX_RETRY_AFTER),
            ("-5", None, None),
            ("soon", None, None),
            ("nan", None, None),
        ],
    )
    def test_retry_after(
        self, value: str, least: float | None, most: float | None
    ) -> None:
        """The service's wish is kept, in seconds or as a date, up to an hour."""
        if value == "an hour from now":
            value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

        error = self.failing(Reply(429, json={}, headers={"Retry-After": value}))

        after = getattr(error, "after", None)
        is_kept = (
            after is None if least is None else after is not None and least <= after
        )
        advise(
            is_kept and (most is None or (after or 0.0) <= most),
            f"Retry-After: {value} gave after={after!r}",
            "pass after=tocsin.http.retry_after(…), or send with tocsin.http",
        )

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_no_redirect_is_followed(self, status: int) -> None:
        """Where an answer points, nothing is sent: it would take the secrets along."""
        with HttpDouble(self.answer) as other:
            self.failing(Reply(status, headers={"Location": f"{other.url}/meta-data"}))

            advise(
                not other.requests and len(self.messages()) == 1,
                f"a redirect (HTTP {status}) was followed",
                "send with tocsin.http, or switch redirects off",
            )

    def test_a_yes_that_is_none(self) -> None:
        """A good status with a body that is not the service's is no success."""
        if not self.malformed:
            pytest.skip("the service says yes by its status alone")
        for what, reply in self.malformed.items():
            error = self.failing(reply)
            advise(
                isinstance(error, DeliveryError),
                f"{what} as an answer gave {error!r}",
                "take what proves success from the answer with answer.text_at(…), which "
                "raises Ambiguous where it is not",
            )

    # --- secrets and injection

    @pytest.mark.parametrize(
        "failure",
        [
            Reply(401, json={"error": "bad token"}),
            Reply(429, json={}),
            Reply(500, body=b"<html>"),
            Reply(302, headers={"Location": "http://127.0.0.1:1/"}),
            "close",
            "garbage",
        ],
        ids=str,
    )
    def test_no_failure_shows_a_secret(
        self,
        failure: Reply | Fault,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """What is told of a failure has no secret in it, nor has the log of any library."""
        caplog.set_level(logging.DEBUG)
        error = self.failing(failure)

        self.check_secrecy(self.make(), error, caplog, capfd)

    def test_a_service_that_repeats_the_secret(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A reason that quotes the service is told without the secret."""
        caplog.set_level(logging.DEBUG)
        words = f"the token {self.secret} is not valid"
        body = {"error": words, "message": words, "description": words, "detail": words}
        self.double.fail_next(Reply(400, json=body))
        record = self.through_tocsin(Alert("Disk full"))

        told = Rejected(record.reason, remedy=record.remedy)
        self.check_secrecy(self.make(), told, caplog, capfd)

    def test_no_secret_is_in_the_address(self) -> None:
        """Servers and proxies log addresses: the secret is in a header or the body."""
        if self.is_secret_in_url:
            pytest.skip("the service wants it there")
        self.send(Alert("Disk full"))

        for request in self.double.requests:
            advise(
                self.secret not in request.target,
                "a secret is in the address of a request",
                "put it into a header; where the service wants it there, set "
                "is_secret_in_url = True",
            )

    def test_no_header_is_injected(self) -> None:
        """Line ends in an alert make no header of their own."""
        line = f"a\r\n{_INJECTED}: 1\r\n\r\nb"
        alert = Alert(
            line,
            line,
            fields={line: line},
            tags=[line],
            url=f"https://example.com/{line}",
            id="a",
            origin=Origin(user=line, project=line, run_name=line, host=line, team=line),
        )

        self.send(alert)

        advise(
            all(_INJECTED not in request.headers for request in self.double.requests),
            "an alert's text became a header",
            "put text into the body; encode what has to be in a header (RFC 2047, RFC 8187)",
        )

    def test_an_address_in_the_clear(self) -> None:
        """Nothing is sent to an http:// address of another machine, or it is a mistake."""
        clear = "http://192.0.2.1:9"
        table = {
            name: value.replace(self.double.url, clear)
            if isinstance(value, str)
            else value
            for name, value in self.table().items()
        }
        if table == self.table():
            pytest.skip("no setting is an address")
        try:
            provider = configured(self.provider, table)
        except ConfigError:
            return
        error = outcome(provider, Alert("Disk full"), timeout=0.2)
        advise(
            isinstance(error, Rejected),
            f"{clear} was sent to, or tried: {error!r}",
            "validate the setting with tocsin.http.confidential; without a secret in it, a "
            "Service with allows_clear_text may, and then override this check",
        )

    # --- connections

    def test_connections_are_kept(self) -> None:
        """Ten messages one after the other go over one connection."""
        provider = self.make()
        for number in range(10):
            outcome(provider, Alert(f"alert {number}"))

        advise(
            self.double.connections <= 2,  # noqa: PLR2004 - one may have been lost
            f"10 messages went over {self.double.connections} connections",
            "send with tocsin.http, which keeps them",
        )
