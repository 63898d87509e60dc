"""One request: what it may take, how far it came, and what its answer means."""

import http.client
import logging
import os
import socket
import ssl
import threading
import time
from datetime import UTC, datetime

import attrs
import pytest
from certificate import CERTIFICATE
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin import Ambiguous, OutOfOrder, Rejected, RetryLater, Secret
from tocsin import _transport as transport
from tocsin.http import (
    Answer,
    Deadline,
    Service,
    confidential,
    is_confidential,
    retry_after,
)
from tocsin.testing import HttpDouble, Reply

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SOON = 0.4
SERVICE = Service("Beacon", remedies={401: "light it"}, said=["why"])


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def beacon():
    with HttpDouble(lambda _: Reply(json={"id": "m1", "deep": [{"n": 7}]})) as double:
        yield double


@pytest.fixture
def nobody():
    """Return the address of a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def caught(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except Exception as error:  # noqa: BLE001 - it is looked at
        return error


def test_an_answer(beacon):
    """Status, headers by name in lower case, body, and what JSON has at a path."""
    answer = SERVICE.post(beacon.url, json={"a": "ü"}, timeout=5)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.text_at("id") == "m1"
    assert answer.text_at("deep", 0, "n") == "7"
    assert answer.at("deep", 1, "n") is None
    assert beacon.requests[0].json() == {"a": "ü"}
    assert beacon.requests[0].headers["user-agent"].startswith("tocsin/")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"id": true}', b'{"id": {}}'])
def test_an_answer_without_its_proof(beacon, body):
    """What is not there is no success, and says so."""
    beacon.fail_next(Reply(body=body))
    answer = SERVICE.post(beacon.url, timeout=5)

    with pytest.raises(Ambiguous, match="not what it answers to a message"):
        answer.text_at("id")


def test_a_form_and_a_file(beacon):
    SERVICE.post(
        beacon.url,
        data={"a": "ü"},
        files={"f": ("é.png", b"\x89", "image/png")},
        timeout=5,
    )

    (request,) = beacon.requests
    assert request.form() == {"a": "ü"}
    assert request.files()["f"].content == b"\x89"


def test_the_services_words_and_the_remedy(beacon):
    beacon.fail_next(Reply(401, json={"why": "no\r\nlight" + "x" * 500}))

    error = caught(SERVICE.post, beacon.url, timeout=5)

    assert type(error) is OutOfOrder
    assert error.reason.startswith("Beacon answered HTTP 401: no light")
    assert len(error.reason) < 250
    assert error.remedy == "light it"


def test_a_judge_is_asked_first(beacon):
    def judge(answer):
        return Rejected("no") if answer.at("id") == "m1" else None

    strict = attrs.evolve(SERVICE, judge=judge)
    assert caught(strict.post, beacon.url, timeout=5).reason == "no"
    beacon.fail_next(Reply(503))
    assert type(caught(strict.post, beacon.url, timeout=5)) is RetryLater


def test_a_verdict_of_the_services_own(beacon):
    beacon.fail_next(Reply(400), Reply(202))
    own = attrs.evolve(SERVICE, verdicts={400: OutOfOrder, 202: Ambiguous})

    assert type(caught(own.post, beacon.url, timeout=5)) is OutOfOrder
    assert type(caught(own.post, beacon.url, timeout=5)) is Ambiguous


def test_only_some_statuses_are_a_yes(beacon):
    beacon.fail_next(Reply(202), Reply(200))
    accepting = attrs.evolve(SERVICE, success=[202])

    assert accepting.post(beacon.url, timeout=5).status == 202
    assert type(caught(accepting.post, beacon.url, timeout=5)) is Ambiguous


@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_code_outranks_the_status(beacon, status):
    codes = {7: (OutOfOrder, "open the gate"), "x": (Rejected, "")}
    coded = attrs.evolve(SERVICE, code=["error", "code"], codes=codes)
    for code, kind in ((7, OutOfOrder), ("x", Rejected)):
        beacon.fail_next(Reply(status, json={"error": {"code": code}}))
        assert type(caught(coded.post, beacon.url, timeout=5)) is kind
    beacon.fail_next(Reply(400, json={"error": {"code": [7]}}))
    assert type(caught(coded.post, beacon.url, timeout=5)) is Rejected


@pytest.mark.parametrize(
    ("wish", "after"),
    [(1.5, 1.5), (10**9, 3600), (0, 9), (-1, 9), ("2", 9), (True, 1), (None, 9)],
)
def test_a_wish_in_the_body(beacon, wish, after):
    """What is none leaves it to Retry-After."""
    waiting = attrs.evolve(SERVICE, after=["retry_after"])
    reply = Reply(429, json={"retry_after": wish}, headers={"Retry-After": "9"})
    beacon.fail_next(reply)

    assert caught(waiting.post, beacon.url, timeout=5).after == after


# --- time


@pytest.mark.parametrize("fault", ["hang", "drip", "drip body"])
def test_the_whole_time_is_bounded(beacon, fault):
    beacon.fail_next(fault)
    began = time.monotonic()

    error = caught(SERVICE.post, beacon.url, timeout=SOON)

    assert time.monotonic() - began < SOON + 5
    assert type(error) is Ambiguous
    assert error.reason == "Beacon did not answer: the time was up"


def test_a_server_that_does_not_read():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

        error = caught(SERVICE.post, url, data=bytes(32 * 1024 * 1024), timeout=SOON)

    assert type(error) is Ambiguous


def test_no_time_is_left(beacon):
    error = caught(SERVICE.post, beacon.url, timeout=Deadline.after(-1).left())

    assert type(error) is RetryLater
    assert beacon.requests == []


def test_an_answer_without_end(beacon, monkeypatch):
    """No more than the bound is read, and the connection is not used again."""
    monkeypatch.setattr(transport, "MAX_BODY", 10)

    assert len(SERVICE.post(beacon.url, timeout=5).body) == 10
    assert len(SERVICE.post(beacon.url, timeout=5).body) == 10
    assert beacon.connections == 2


# --- how far it came


@pytest.mark.parametrize("fault", ["close", "reset", "garbage", "truncated"])
def test_an_answer_that_is_lost(beacon, fault):
    """It is asked for once, over a new connection and over one that was kept."""
    beacon.fail_next(fault)
    assert type(caught(SERVICE.post, beacon.url, timeout=5)) is Ambiguous
    SERVICE.post(beacon.url, timeout=5)
    beacon.fail_next(fault)
    assert type(caught(SERVICE.post, beacon.url, timeout=5)) is Ambiguous
    assert len(beacon.requests) == 3


def test_nobody_listens(nobody):
    error = caught(SERVICE.post, nobody, timeout=5)

    assert type(error) is RetryLater
    assert error.reason == "Beacon was not reached: Connection refused"


def test_a_name_that_does_not_resolve(monkeypatch):
    def getaddrinfo(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    error = caught(SERVICE.post, "https://beacon.invalid/", timeout=5)

    assert type(error) is RetryLater
    assert error.reason == "Beacon was not reached: Name or service not known"


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Injected: 1", "\u20ac"])
def test_what_no_header_holds(beacon, value):
    error = caught(SERVICE.post, beacon.url, headers={"X-A": value}, timeout=5)

    assert type(error) is Rejected
    assert "could not be written" in error.reason
    assert beacon.requests == []


# --- addresses


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/api/",
        "http://127.0.0.1:8080/api/",
        "http://127.3.2.1/",
        "http://localhost/api/",
        "http://[::1]:80/",
    ],
)
def test_https_or_this_machine_is_confidential(url):
    assert is_confidential(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/api",
        "http://example.com/api/",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@example.com/",
        "https://user@example.com/",
        "http://localhost.example.com/",
        "http://10.0.0.1/",
        "https:///path",
        "https://example.com:port/",
        "http://[::1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
    ],
)
def test_anything_else_is_not(url):
    assert not is_confidential(url)
    assert type(caught(SERVICE.post, url, timeout=0.1)) is OutOfOrder


def test_an_address_as_a_setting():
    """A mistake is told when the setting is made; of a reference, when it is used."""

    @attrs.frozen
    class Settings:
        url: str | Secret = attrs.field(validator=confidential)

    Settings("https://example.com")
    Settings(Secret("https://example.com"))
    for value in ("http://example.com", Secret("http://example.com/canary")):
        with pytest.raises(
            ValueError, match="url must be an https:// address"
        ) as caught:
            Settings(value)
        assert "canary" not in str(caught.value)


def test_a_private_address(beacon):
    """What counts is where it connects to, whatever the name."""
    url = beacon.url.replace("127.0.0.1", "localhost")

    error = caught(SERVICE.post, url, timeout=5, allows_private=False)

    assert type(error) is RetryLater
    assert error.reason == "Beacon was not reached: its address is not public"
    assert beacon.connections == 0


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_what_is_public(address, is_public):
    assert transport._is_public(address) is is_public


def test_a_connection_that_is_kept_is_no_way_around(beacon):
    """One that was made for somebody who may is not used by somebody who may not."""
    SERVICE.post(beacon.url, timeout=5)

    error = caught(SERVICE.post, beacon.url, timeout=5, allows_private=False)

    assert type(error) is RetryLater
    assert len(beacon.requests) == 1


@pytest.mark.parametrize(
    "where", ["/hooks/1/{}", "/hooks?token={}&wait=true", "/bot{}/send"]
)
def test_a_service_that_repeats_a_part_of_the_address(where):
    """A webhook's address is the secret: a part of it is as good to whoever reads it."""
    token = "canary-7f3a9c51e2d84b06"
    words = Reply(400, json={"message": f"no such hook: {where.format(token)}"})
    service = Service("Hooks", said=["message"])

    with HttpDouble(lambda _: words) as double, pytest.raises(Rejected) as caught:
        service.post(double.url + where.format(token), json={}, timeout=10.0)

    assert token not in caught.value.reason
    assert caught.value.reason.startswith("Hooks answered HTTP 400: no such hook: /")


# --- connections


def test_connections_are_kept_and_shared(beacon):
    """Each of eight threads makes ten requests: over eight connections at most."""

    def work():
        for _ in range(10):
            SERVICE.post(beacon.url, timeout=20)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(beacon.requests) == 80
    assert beacon.connections <= 8


def test_a_connection_that_idled_is_not_used_again(beacon, monkeypatch):
    """The server may be about to close it."""
    SERVICE.post(beacon.url, timeout=5)
    monkeypatch.setattr(transport, "IDLE", -1.0)
    SERVICE.post(beacon.url, timeout=5)

    assert beacon.connections == 2


def test_a_forked_child_has_connections_of_its_own(beacon):
    SERVICE.post(beacon.url, timeout=5)
    child = os.fork()
    if not child:
        is_well = SERVICE.post(beacon.url, timeout=20).status == 200
        os._exit(0 if is_well else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    SERVICE.post(beacon.url, timeout=5)

    assert beacon.connections == 2


def test_a_proxy_in_the_environment_is_used(beacon, monkeypatch):
    monkeypatch.setenv("http_proxy", beacon.url)
    clear = attrs.evolve(SERVICE, allows_clear_text=True)

    clear.post("http://beacon.example/x", timeout=5)

    assert beacon.requests[0].target == "http://beacon.example/x"


def test_a_proxy_that_comes_and_goes(beacon, monkeypatch):
    """What is remembered of the environment holds for that environment alone."""
    targets = []
    for changes in ({}, {"HTTP_PROXY": beacon.url}, {"no_proxy": "127.0.0.1"}):
        for name, value in changes.items():
            monkeypatch.setenv(name, value)
        SERVICE.post(f"{beacon.url}/x", data=b"1", timeout=5)
        targets.append(beacon.requests[-1].target)

    assert targets == ["/x", f"{beacon.url}/x", "/x"]


def test_a_head_and_a_short_body_are_one_packet():
    """A server that reads once has all of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        read = []

        def answer():
            connection, _ = server.accept()
            with connection:
                read.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a b?c=ü"
        SERVICE.post(url, data=b"short", timeout=20)
        thread.join()

    assert read[0].startswith(b"POST /a%20b?c=%C3%BC HTTP/1.1\r\n")
    assert read[0].count(b"Content-Length: 5\r\n") == 1
    assert read[0].endswith(b"\r\n\r\nshort")


@pytest.mark.parametrize("size", [0, 16_000, 16_384, 20_000, 300_000])
def test_a_body_of_any_size_arrives_whole(beacon, size):
    body = bytes(range(250)) * (size // 250)
    for _ in range(2):  # on a new connection, and on one that is kept
        SERVICE.post(beacon.url, data=body, timeout=20)

    assert [request.body for request in beacon.requests] == [body, body]


def test_a_proxy_that_opens_no_tunnel(beacon, monkeypatch):
    """Nothing was sent to the service: RetryLater."""
    monkeypatch.setenv("https_proxy", beacon.url)

    error = caught(SERVICE.post, "https://beacon.example/", timeout=5)

    assert type(error) is RetryLater


def test_no_password_is_taken_from_netrc(beacon, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))

    SERVICE.post(beacon.url, timeout=5)

    assert "authorization" not in beacon.requests[0].headers


def test_no_cookie_is_kept(beacon):
    beacon.fail_next(Reply(headers={"Set-Cookie": "session=canary; Path=/"}))
    for _ in range(2):
        SERVICE.post(beacon.url, timeout=5)

    assert "cookie" not in beacon.requests[1].headers


def test_nothing_is_logged_or_printed(beacon, monkeypatch, caplog, capfd):
    """Addresses may be secrets; what others do with urllib3 is still logged."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    caplog.set_level(logging.DEBUG)

    SERVICE.post(f"{beacon.url}/canary", headers={"A": "canary"}, timeout=5)

    assert "canary" not in caplog.text + "".join(capfd.readouterr())
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 0)
    import requests

    with requests.get(f"{beacon.url}/theirs", timeout=5):
        assert "/theirs" in caplog.text


def test_reaching_a_host_sends_nothing(beacon, nobody):
    said = SERVICE.reach(beacon.url, timeout=5)

    assert said == "127.0.0.1 answers; the rest shows with a message"
    assert beacon.requests == []
    assert type(caught(SERVICE.reach, nobody, timeout=5)) is RetryLater


# --- TLS


@pytest.fixture
def pem(tmp_path):
    path = tmp_path / "beacon.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest.fixture
def secure(pem):
    """Return the address of a service that speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with HttpDouble(context=context) as double:
        yield double


@pytest.fixture
def _anew(monkeypatch):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    transport._tls.cache_clear()
    yield
    transport._tls.cache_clear()
    transport.close()


@pytest.mark.usefixtures("_anew")
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_trusted_certificate(secure, monkeypatch, pem, name):
    monkeypatch.setenv(name, str(pem))

    assert SERVICE.post(secure.url, timeout=20).status == 200


@pytest.mark.usefixtures("_anew")
def test_any_other_certificate(secure):
    """It stops the request before anything leaves."""
    error = caught(SERVICE.post, secure.url, timeout=20)

    assert type(error) is RetryLater
    assert "certificate is not trusted" in error.reason
    assert secure.requests == []


def test_certificates_and_names_are_verified():
    context = transport._tls()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


# --- Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", None),
        ("0.01", 0.01),
        ("1.5", 1.5),
        ("1e9", 3600),
        ("99999999999999999999", 3600),
        ("Fri, 01 May 2026 12:00:30 GMT", 30),
        ("Fri, 01 May 2026 12:00:30 -0000", 30),
        ("Fri, 01 May 2099 12:00:00 GMT", 3600),
        ("Fri, 01 May 2026 12:00:00 GMT", None),
        ("Fri, 01 May 2026 11:59:59 GMT", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(value, NOW) == seconds


@given(st.text())
@example("Fri, 31 Feb 2026 12:00:00 GMT")
@example("Fri, 01 May 2026 12:00:00 +9999")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
def test_no_retry_after_is_beyond_bounds(value):
    seconds = retry_after(value, NOW)

    assert seconds is None or 0 < seconds <= 3600


@given(st.integers(100, 599), st.binary())
def test_every_answer_has_an_outcome(status, body):
    answer = Answer(service=SERVICE, status=status, headers={}, body=body)

    failure = SERVICE.failure(answer)

    assert (failure is None) == (200 <= status < 300)
