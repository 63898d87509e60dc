import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_email._mention import named

TEXT = st.text(st.sampled_from("<>&;@!|^ UWSA1lgt") | st.characters())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hey <@U0ADA>, it diverged", "Hey @U0ADA, it diverged"),
        ("<@W1|ada>", "@ada"),
        ("<!subteam^S1|@ml>", "@ml"),
        ("<!subteam^S1|ml on call>", "@ml on call"),
        ("<!subteam^S1>", "@S1"),
        ("<!channel> <!here> <!everyone>", "@channel @here @everyone"),
        ("<@U1><@U2>", "@U1@U2"),
    ],
)
def test_mention(text, shown):
    """A mention is shown as a name, in plain text and in HTML."""
    assert named(text) == shown
    assert named(html.escape(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "<b>",
        "<@ada>",
        "a <@ U1>",
        "<!doctype html>",
        "<@U1",
        "@U1>",
        "<@U1|<b>>",
        "<#C1>",
    ],
)
def test_other(text):
    """What is no mention stays as it is."""
    assert named(text) == text


@given(TEXT)
def test_inert(text):
    """What was inert in HTML stays so."""
    shown = named(html.escape(text))

    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown) == named(text)
