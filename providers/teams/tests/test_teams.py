import pytest
import requests

from tocsin import (
    Alert,
    AlertLevel,
    Ambiguous,
    FromEnv,
    OutOfOrder,
    Secret,
)
from tocsin.testing import ProviderSuite, Reply, attempt
from tocsin_teams import Teams
from tocsin_teams.testing import Card, TeamsDouble


class TestTeams(ProviderSuite):
    provider = Teams
    golden = "teams.json"
    is_secret_in_url = True

    def table(self):
        return {"url": self.double.webhook_url}

    def new_double(self):
        return TeamsDouble(signature=self.secret)

    def parts(self, request):
        title, text = self.card(request).texts
        return {"title": title, "text": text}

    def called(self):
        card = self.card(self.messages()[-1])
        return [*card.mentions, *card.markdown]

    def card(self, request):
        return Card(request.json()["attachments"][0]["content"])


@pytest.fixture
def teams():
    with TeamsDouble() as teams:
        yield teams


def channel(teams):
    return Teams(url=Secret(teams.webhook_url))


@pytest.mark.parametrize(
    ("alert", "style"),
    [
        (Alert("Disk"), "accent"),
        (Alert("Disk", level=AlertLevel.WARN), "warning"),
        (Alert("Disk", level=AlertLevel.ERROR), "attention"),
        (Alert("Resolved: Disk", kind="resolved"), "good"),
    ],
)
def test_the_level_is_a_colour(teams, alert, style):
    attempt(channel(teams), alert)

    assert teams.cards[0].style == style


@pytest.mark.parametrize("character", ["x", '"', "é", "学", "🦉"])
def test_a_post_is_within_what_teams_takes(teams, character):
    """As it is sent, and as the UTF-16 that Teams may make of it."""
    long = f"t{character * 30_000}"
    url = f"https://example.com/{'x' * 1900}"

    attempt(channel(teams), Alert(long, long, fields={"f": long}, url=url))

    body = teams.requests[0].body
    assert len(body) < 20_000
    assert len(body.decode().encode("utf-16-le")) < 28 * 1024


@pytest.mark.parametrize(
    ("url", "links"),
    [
        ("https://example.com/owl", ("https://example.com/owl",)),
        ("javascript:alert(1)", ()),
        (f"https://example.com/{'x' * 2000}", ()),
    ],
)
def test_a_button_opens_the_link(teams, url, links):
    attempt(channel(teams), Alert("Disk", url=url))

    assert teams.cards[0].links == links


def test_a_workflow_that_is_turned_off(teams):
    teams.is_on = False

    with pytest.raises(OutOfOrder, match="400: WorkflowTriggerIsNotEnabled") as caught:
        attempt(channel(teams), Alert("Disk"))

    assert "anew" in caught.value.remedy


def test_a_workflow_that_is_gone(teams):
    gone = teams.webhook_url.replace("b7d1f0c2", "0")

    with pytest.raises(OutOfOrder, match="404: WorkflowNotFound") as caught:
        attempt(Teams(url=Secret(gone)), Alert("Disk"))

    assert "anew" in caught.value.remedy


def test_an_address_that_is_cut_off(teams):
    cut = teams.webhook_url.partition("&sig=")[0]

    with pytest.raises(OutOfOrder, match="401") as caught:
        attempt(Teams(url=Secret(cut)), Alert("Disk"))

    assert "whole address" in caught.value.remedy


def test_a_workflow_that_wants_another_form(teams):
    code = {"error": {"code": "TriggerInputSchemaMismatch"}}
    teams.fail_next(Reply(400, json=code))

    with pytest.raises(OutOfOrder) as caught:
        attempt(channel(teams), Alert("Disk"))

    assert "schema" in caught.value.remedy


@pytest.mark.parametrize("status", [200, 201, 204])
def test_only_accepted_is_a_yes(teams, status):
    """A sign-in page answers 200, and so does a flow that answers for itself."""
    teams.fail_next(Reply(status))

    with pytest.raises(Ambiguous) as caught:
        attempt(channel(teams), Alert("Disk"))

    assert "Response action" in caught.value.remedy


@pytest.mark.parametrize("url", ["http://example.com/hook?sig=x", "example.com"])
def test_nothing_travels_in_the_clear(url):
    with pytest.raises(ValueError, match="https"):
        Teams(url=Secret(url))


def test_a_reference_is_looked_at_when_something_is_sent(monkeypatch):
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", "http://example.com/hook?sig=x")
    referred = Teams(url=Secret(FromEnv("TEAMS_WEBHOOK_URL")))

    with pytest.raises(OutOfOrder, match="https"):
        attempt(referred, Alert("Disk"))


def test_a_check_starts_nothing(teams):
    assert channel(teams).check(5.0).startswith("127.0.0.1 answers")
    assert teams.requests == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "hi"}, 400),
        ({"type": "message", "attachments": []}, 400),
        ({"type": "message", "attachments": [{"contentType": "text/html"}]}, 400),
        ({"type": "message", "attachments": ["x" * 28 * 1024]}, 413),
        ([], 400),
    ],
)
def test_the_double_refuses_as_power_automate_does(teams, body, status):
    answer = requests.post(teams.webhook_url, json=body, timeout=5)

    assert answer.status_code == status
    assert answer.json()["error"]["code"]
    assert teams.cards == []
