import pytest
import tocsin
from tocsin import testing

from tocsin_gotify import Gotify
from tocsin_gotify.testing import GotifyDouble


class TestGotify(testing.ProviderSuite):
    """What every provider has to do."""

    provider = Gotify
    golden = "gotify.json"
    broadcasts = ()  # no text calls anyone in this service

    def table(self):
        return {"url": self.double.url, "token": self.secret}

    def new_double(self):
        return GotifyDouble(self.secret)

    def parts(self, request):
        sent = request.json()
        return {"title": sent["title"], "text": sent["message"]}


@pytest.fixture
def server():
    with GotifyDouble() as server:
        yield server


def test_the_level_is_the_priority(server):
    channel = Gotify(url=server.url, token=server.token)

    for level in tocsin.AlertLevel:
        testing.attempt(channel, tocsin.Alert("Disk full", level=level))

    assert [message["priority"] for message in server.messages] == [2, 5, 8]


@pytest.mark.parametrize(
    ("url", "click"),
    [("https://example.com/owl", "https://example.com/owl"), ("javascript:0", None)],
)
def test_a_click_opens_the_link(server, url, click):
    channel = Gotify(url=server.url, token=server.token)

    testing.attempt(channel, tocsin.Alert("Disk full", url=url))

    extras = server.messages[0]["extras"]
    assert extras.get("client::notification", {}).get("click", {}).get("url") == click


def test_a_check_asks_for_the_version(server):
    channel = Gotify(url=f"{server.url}/", token=server.token)

    assert channel.check(5.0).startswith("Gotify 2.6.1 answers")


def test_a_token_that_is_not_valid(server):
    channel = Gotify(url=server.url, token=tocsin.Secret("another"))

    with pytest.raises(tocsin.OutOfOrder, match="401") as caught:
        testing.attempt(channel, tocsin.Alert("Disk full"))

    assert "make an application" in caught.value.remedy
