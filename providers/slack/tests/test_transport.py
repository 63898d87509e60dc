import http.client
import socket
import ssl
import time
from urllib.request import Request

import pytest

from tocsin_slack import _transport
from tocsin_slack._answer import Answer, Lost
from tocsin_slack._transport import Deadline, is_proxied, post, reach
from tocsin_slack.testing import SlackDouble

SOON = 0.5


def a_post(url, body=b"x", **headers):
    return Request(url, data=body, headers=headers, method="POST")


def within(seconds, call):
    """Return what the call returns, which it must do in this time."""
    start = time.monotonic()
    result = call()
    assert time.monotonic() - start < seconds
    return result


@pytest.fixture
def silent():
    """Listen, take connections, and read nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def nobody():
    """Return the address of a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


def test_the_answer_has_status_headers_and_body(slack):
    answer = post(a_post(slack.base_url + "no.such"), Deadline.after(5))

    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert "not_authed" in answer.body


@pytest.mark.parametrize("target", ["same host", "another host"])
def test_a_redirect_is_an_answer_and_is_not_followed(slack, target):
    with SlackDouble() as other:
        goal = other if target == "another host" else slack
        slack.fail_next("redirect", location=f"{goal.origin}/meta-data")

        answer = post(
            a_post(slack.base_url + "x", Authorization="Bearer t"), Deadline.after(5)
        )

        assert answer.status == 302
        assert len(slack.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_an_error_status_is_an_answer(slack, status):
    slack.fail_next(f"http_{status}")

    assert post(a_post(slack.base_url), Deadline.after(5)).status == status


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_the_whole_time_is_bounded_however_the_server_answers(slack, fault):
    slack.fail_next(fault)

    lost = within(SOON + 1, lambda: post(a_post(slack.base_url), Deadline.after(SOON)))

    assert lost == Lost("unanswered", "the time was up")


def test_the_whole_time_is_bounded_when_the_server_does_not_read(silent):
    body = bytes(32 * 1024 * 1024)

    lost = within(SOON + 2, lambda: post(a_post(silent, body), Deadline.after(SOON)))

    assert lost == Lost("unanswered", "the time was up")


def test_a_deadline_that_is_over_sends_nothing(slack):
    lost = post(a_post(slack.base_url), Deadline.after(0))

    assert lost.fate == "unsent"
    assert slack.requests == []


@pytest.mark.parametrize("fault", ["close_after_read", "garbage"])
def test_an_answer_that_is_lost_is_unanswered_and_asked_for_once(slack, fault):
    slack.fail_next(fault)

    lost = post(a_post(slack.base_url), Deadline.after(5))

    assert lost.fate == "unanswered"
    assert len(slack.requests) == 1


def test_a_refused_connection_is_unsent(nobody):
    assert post(a_post(nobody), Deadline.after(5)) == Lost(
        "unsent", "Connection refused"
    )


def test_a_name_that_does_not_resolve_is_unsent(monkeypatch):
    def getaddrinfo(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    lost = post(a_post("https://slack.invalid/"), Deadline.after(5))

    assert lost == Lost("unsent", "Name or service not known")


def test_tls_that_fails_is_unsent(slack):
    url = slack.base_url.replace("http:", "https:")

    assert post(a_post(url), Deadline.after(5)).fate == "unsent"
    assert slack.requests == []


def test_certificates_and_names_are_verified():
    context = _transport._tls()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "request_",
    [
        a_post("http://127.0.0.1:1/", Authorization="Bearer a\nb"),
        a_post("http://127.0.0.1:1/", Authorization="Bearer \u20ac"),
        a_post("http://127.0.0.1:1/services/a b"),
    ],
)
def test_what_http_cannot_hold_is_unsendable(request_):
    assert post(request_, Deadline.after(5)).fate == "unsendable"


def test_no_more_of_an_answer_is_read_than_its_bound(monkeypatch, slack):
    monkeypatch.setattr(_transport, "MAX_BODY", 10)

    assert len(post(a_post(slack.base_url), Deadline.after(5)).body) == 10


def test_a_proxy_in_the_environment_is_used(monkeypatch, slack):
    monkeypatch.setenv("http_proxy", slack.origin)

    post(a_post("http://slack.example/api/auth.test"), Deadline.after(5))

    assert slack.requests[0].path == "http://slack.example/api/auth.test"
    assert is_proxied("http://slack.example/")


def test_a_proxy_that_opens_no_tunnel_leaves_it_unsent(monkeypatch, slack):
    monkeypatch.setenv("https_proxy", slack.origin)

    assert post(a_post("https://slack.example/"), Deadline.after(5)).fate == "unsent"


def test_a_host_that_needs_no_proxy_gets_none(monkeypatch, slack):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert isinstance(post(a_post(slack.base_url), Deadline.after(5)), Answer)
    assert not is_proxied(slack.base_url)


def test_reaching_a_host_sends_nothing(slack):
    assert reach(slack.base_url, Deadline.after(5)) is None
    assert slack.requests == []


def test_a_host_out_of_reach_is_said_to_be(nobody):
    assert reach(nobody, Deadline.after(5)) == Lost("unsent", "Connection refused")


def test_nothing_is_printed_although_http_client_is_told_to(monkeypatch, capfd, slack):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)

    post(a_post(slack.base_url, Authorization="Bearer t"), Deadline.after(5))

    assert capfd.readouterr().out == ""
