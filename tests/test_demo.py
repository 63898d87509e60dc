"""The demo ends well, shows what arrived, and gives no secret away."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import attrs
import pytest
from support import ROOT

DEMO = ROOT / "examples" / "demo.py"
START, CRASH = "Training started", "warm-up failed: OverflowError: math range error"
FOR_TEAM = ["Loss curve", "Loss is rising", "Training stopped", CRASH]
FOR_ADA = sorted([START, *FOR_TEAM])

pytestmark = pytest.mark.slow


@attrs.define
class Article:
    """A message on the page, as it is shown."""

    heading: str = ""
    text: str = ""
    mail: str = ""
    mentions: list[str] = attrs.field(factory=list)
    pictures: list[str] = attrs.field(factory=list)


class Page(HTMLParser):
    """Reads the articles, by id, and what the page would fetch from elsewhere."""

    def __init__(self, html):
        super().__init__()
        self.articles = {}
        self.fetched = []
        self._article = Article()
        self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self._tag = tag
        if tag == "article":
            self._article = self.articles[given["id"]] = Article()
        elif tag == "iframe":
            self._article.heading = given["title"]
            self._article.mail = given["srcdoc"]
        elif tag == "img":
            self._article.pictures.append(given["src"])
        elif given.get("class") == "mention":
            self._article.mentions.append(given["title"])
        if tag != "a":
            self._note_fetched(given)

    def _note_fetched(self, given):
        urls = [given[name] for name in ("src", "href", "data") if name in given]
        self.fetched += [url for url in urls if not url.startswith("data:")]

    def handle_endtag(self, tag):
        if tag == "article":
            self._article = Article()

    def handle_data(self, data):
        self._article.text += data
        if self._tag == "b" and data.strip() and data != "tocsin":
            self._article.heading = self._article.heading or data

    def of(self, place):
        return [self.articles[name] for name in self.articles if name.startswith(place)]

    def about(self, title):
        return [one for one in self.articles.values() if title in one.heading]


@attrs.frozen
class Demo:
    done: subprocess.CompletedProcess[str]
    out: object
    home: object

    @property
    def page(self):
        return Page((self.out / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out, home = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("home")
    folders = {"HOME": str(home), "TMPDIR": str(home), "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, DEMO, "--out", out],
        env={**os.environ, **folders, "TOCSIN_MODE": "disabled"},
        cwd=home,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return Demo(done, out, home)


def test_it_ends_well(demo):
    """Every expectation holds, whatever settings of Tocsin's are around."""
    assert demo.done.returncode == 0, demo.done.stdout
    assert "✗" not in demo.done.stdout
    assert "index.html" in demo.done.stdout


def test_it_writes_nothing_elsewhere(demo):
    assert list(demo.home.iterdir()) == []


def test_the_table(demo):
    """Each alert is listed once, with a receipt for each of its channels."""
    table = demo.done.stdout.partition("Outcome")[2].partition("✓ ada has")[0]

    for title in FOR_ADA:
        assert table.count(title.partition(":")[0]) == 1  # a long one is folded
    assert table.count("✓") == 2 + 3 * len(FOR_TEAM)
    assert "1 more suppressed" in table


def test_who_gets_what(demo):
    """The INFO does not reach the team; what was raised again arrived once."""
    page = demo.page

    assert sorted(article.heading for article in page.of("dm-")) == FOR_ADA
    assert sorted(article.heading for article in page.of("team-")) == FOR_TEAM
    subjects = [article.heading for article in page.of("mail-")]
    for title in FOR_ADA:
        assert [title in subject for subject in subjects].count(True) == 1


def test_the_mention_calls_in_slack_and_nobody_in_the_mail(demo):
    direct, team, mail = demo.page.about("Loss is rising")

    assert direct.mentions == team.mentions == ["@U1234ABCD"]
    assert mail.mentions == []
    assert "U1234ABCD" in mail.text


def test_what_was_written_is_shown_as_it_was(demo):
    """A ">" is neither lost nor escaped twice."""
    for article in demo.page.about("Loss is rising"):
        assert "> 10x the best" in article.text


def test_the_plot_is_shown(demo):
    """In both channels and in the mail it is the file that the script drew."""
    plot = base64.b64encode((demo.out / "loss.png").read_bytes()).decode()
    url = f"data:image/png;base64,{plot}"
    direct, team, mail = demo.page.about("Loss curve")

    assert direct.pictures == team.pictures == [url]
    assert url in mail.mail
    assert "cid:" not in mail.mail


def test_the_crash_is_told(demo):
    """It says where it was, and what."""
    crashes = demo.page.about(CRASH)

    assert len(crashes) == 3
    for crash in crashes:
        assert "OverflowError: math range error" in crash.text
        assert "in evaluate" in crash.text


def test_the_page_needs_nothing_else(demo):
    page = demo.page

    assert page.fetched == []
    for mail in page.of("mail-"):
        assert Page(mail.mail).fetched == []


def test_no_secret_is_given_away(demo):
    """Not in the output, and not in any file, be it as it is or as SMTP encodes it."""
    planted = re.findall(
        r'^(?:TOKEN|PASSWORD) = "(.+?)"', DEMO.read_text(), re.MULTILINE
    )
    login = f"\0ada\0{planted[1]}"
    secrets = [
        *planted,
        *(base64.b64encode(s.encode()).decode() for s in [*planted, login]),
    ]
    files = [file for file in demo.out.rglob("*") if file.is_file()]
    written = {str(file): file.read_bytes() for file in files}
    written["the terminal"] = demo.done.stdout.encode()

    assert len(planted) == 2
    assert "tocsin.db" in {file.name for file in files}
    for name, content in written.items():
        for secret in secrets:
            assert secret.encode() not in content, name


def test_a_folder_of_someones_own_is_left_alone(tmp_path):
    """A folder that is not empty is refused, and keeps what it has."""
    (tmp_path / "thesis.tex").touch()

    done = subprocess.run(
        [sys.executable, DEMO, "--out", tmp_path],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )

    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
