import pytest
import requests

from tocsin import (
    Alert,
    AlertLevel,
    Delivery,
    Earlier,
    Message,
    OutOfOrder,
    Receipt,
    Secret,
)
from tocsin.testing import HttpDouble, ProviderSuite, Reply, attempt
from tocsin_ntfy import Ntfy
from tocsin_ntfy.testing import NtfyDouble


class TestNtfy(ProviderSuite):
    provider = Ntfy
    golden = "ntfy.json"
    broadcasts = ()  # a topic's readers all read it

    def table(self):
        return {"topic": "alerts", "token": self.secret, "url": self.double.url}

    def new_double(self):
        return NtfyDouble(token=self.secret)

    def parts(self, request):
        published = request.json()
        return {"title": published["title"], "text": published["message"]}


@pytest.fixture
def server():
    with NtfyDouble() as server:
        yield server


def topic(server, **settings):
    return Ntfy(**{"topic": "alerts", "url": server.url, **settings})


def test_the_level_is_a_priority_and_a_sign(server):
    for level in AlertLevel:
        attempt(topic(server), Alert("Disk", level=level))

    assert [(m.priority, m.tags) for m in server.messages] == [
        (3, ()),
        (4, ("warning",)),
        (5, ("rotating_light",)),
    ]


@pytest.mark.parametrize("character", ['"', "\\", "\n", "é", "🦉"])
def test_the_whole_is_within_what_the_server_reads(server, character):
    """However the text is spelt in JSON, the body is at most 8,192 bytes."""
    long = f"t{character * 9000}"
    url = f"https://example.com/{'x' * 280}"
    alert = Alert(long.replace("\n", "-"), long, fields={"f": long}, url=url)

    attempt(topic(server, topic="t" * 64), alert)

    (request,) = server.requests
    assert len(request.body) <= 8192


@pytest.mark.parametrize(
    ("url", "click"),
    [
        ("https://example.com/owl", "https://example.com/owl"),
        ("http://node7:6006/", "http://node7:6006/"),
        ("javascript:alert(1)", ""),
        (f"https://example.com/{'x' * 300}", ""),
    ],
)
def test_a_click_opens_the_link(server, url, click):
    attempt(topic(server), Alert("Disk", url=url))

    assert server.messages[0].click == click
    assert url in server.messages[0].message


def earlier(reference):
    alert = Alert("Loss is NaN")
    message = Message(alert=alert, title=alert.title, body="", text="")
    return Earlier(message=message, receipt=Receipt(reference=reference))


def test_what_is_over_takes_the_place_of_what_told_of_it(server):
    receipt = attempt(topic(server), Alert("Loss is NaN", level="ERROR"))
    over = Delivery(id="d-2", channel="phone", resolves=earlier(receipt.reference))

    attempt(topic(server), Alert("Resolved: Loss is NaN", kind="resolved"), over)

    (shown,) = server.shown("alerts")
    assert (shown.title, shown.tags) == ("Resolved: Loss is NaN", ("white_check_mark",))


@pytest.mark.parametrize("reference", ["", "1700000001.000001", "a/b"])
def test_what_another_service_delivered_has_no_place_here(server, reference):
    over = Delivery(id="d-2", channel="phone", resolves=earlier(reference))

    attempt(topic(server), Alert("Resolved: Loss is NaN", kind="resolved"), over)

    assert server.messages[0].sequence_id == ""


@pytest.mark.parametrize("name", ["", "a/b", "has space", "ü", "x" * 65, "a\n"])
def test_a_name_that_no_topic_has(name):
    with pytest.raises(ValueError, match="topic"):
        Ntfy(topic=name)


def test_a_name_that_the_server_keeps_for_itself(server):
    with pytest.raises(OutOfOrder, match="HTTP 400"):
        attempt(topic(server, topic="docs"), Alert("Disk"))


def test_a_topic_that_is_not_the_tokens():
    with (
        NtfyDouble(token="tk_1", writable=["mine"]) as server,
        pytest.raises(OutOfOrder, match="403: forbidden") as caught,
    ):
        attempt(topic(server, token=Secret("tk_1")), Alert("Disk"))

    assert "write to the topic" in caught.value.remedy


def test_a_server_below_a_path():
    """A reverse proxy may have put it there."""
    with HttpDouble(lambda _: Reply(json={"id": "m1"})) as proxy:
        attempt(topic(proxy, url=f"{proxy.url}/ntfy"), Alert("Disk"))
        attempt(topic(proxy, url=f"{proxy.url}/ntfy/"), Alert("Disk"))

    assert [request.path for request in proxy.requests] == ["/ntfy/", "/ntfy/"]


@pytest.mark.parametrize("url", ["http://ntfy.lan", "http://10.0.0.7:8080", "ntfy.sh"])
def test_nothing_travels_in_the_clear(url):
    """Not even without a token: who knows a topic's name reads it."""
    with pytest.raises(ValueError, match="https"):
        Ntfy(topic="alerts", url=url)


def test_a_check_asks_who_the_token_is():
    with NtfyDouble(token="tk_1") as server:
        said = topic(server, token=Secret("tk_1")).check(5.0)
        with pytest.raises(OutOfOrder, match="unauthorized"):
            topic(server, token=Secret("tk_2")).check(5.0)

    assert said == f"{server.url} knows the token as ada"
    assert server.messages == []


def test_a_check_without_a_token(server):
    said = topic(server).check(5.0)

    assert said.startswith(f"{server.url} answers;")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"topic": "a/b"}, 400, 40009),
        ({"topic": "a", "message": "x" * 4097}, 400, 40014),
        ({"topic": "a", "title": "x" * 8192}, 413, 41303),
        ({"topic": "a", "tags": "warning"}, 400, 40017),
        ([], 400, 40017),
    ],
)
def test_the_double_refuses_as_the_server_does(server, body, status, code):
    answer = requests.post(f"{server.url}/", json=body, timeout=5)

    told = answer.json()
    assert (answer.status_code, told["code"], told["http"]) == (status, code, status)
