import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin_slack._mrkdwn import bold, cut, enliven_broadcasts, escape, units

MENTION = re.compile(r"<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+)>")
hostile = st.lists(
    st.sampled_from(["<", ">", "&", "&lt;", "<@U1>", "<!here>", "!", "|", "*", "😀"])
    | st.text(max_size=3)
).map("".join)


@given(hostile)
@example("<<@U1>>")
@example("&lt;@U1&gt;")
@example("<@U1><!subteam^S1>")
def test_only_mentions_are_live_and_the_rest_reads_as_it_was(text):
    escaped = escape(text)

    assert not re.search(r"[<>]", MENTION.sub("", escaped))
    assert html.unescape(escaped) == text or "&" in text
    assert (
        escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
    )


@pytest.mark.parametrize(
    "mention", ["<@U012AB3CD>", "<@W012AB3CD>", "<!subteam^SAZ94GDB8>"]
)
def test_a_mention_stays_live(mention):
    assert escape(f"({mention})") == f"({mention})"


@pytest.mark.parametrize(
    "markup",
    [
        "<!channel>",
        "<!here|here>",
        "<!everyone>",
        "<#C012AB3CD>",
        "<@u012>",
        "<@U012|name>",
        "<@U012",
        "<@U>",
        "<https://example.com|click>",
        "<mailto:a@example.com>",
        "<!date^1^{date}|x>",
        "<!subteam^S012|@ops>",
    ],
)
def test_any_other_markup_is_inert(markup):
    escaped = escape(markup)

    assert "<" not in escaped
    assert html.unescape(escaped) == markup


@pytest.mark.parametrize("who", ["channel", "here", "everyone"])
def test_a_broadcast_comes_alive_only_when_it_is_let(who):
    assert enliven_broadcasts(escape(f"a <!{who}> b")) == f"a <!{who}> b"


@pytest.mark.parametrize(
    "text", ["&lt;!here&gt;", "<!here|now>", "<! here>", "<!subteam^x>", "<#C1>"]
)
def test_nothing_else_comes_alive_with_broadcasts(text):
    assert enliven_broadcasts(escape(text)) == escape(text)


@given(hostile)
def test_bold_is_never_broken_by_what_it_holds(text):
    lines = bold(escape(text)).split("\n")

    assert all(re.fullmatch(r"\*[^*\n]+\*|", line) for line in lines)


def test_bold_marks_each_line_and_keeps_mentions():
    assert bold(" a*b \n\n<@U1>") == "*a\u2217b*\n*<@U1>*"


@given(hostile, st.integers(1, 40))
def test_a_cut_keeps_to_the_limit_and_tears_nothing(text, limit):
    escaped = escape(text)
    kept = cut(escaped, limit)

    assert units(kept) <= limit
    if kept != escaped:
        assert kept.endswith("…")
        assert escaped.startswith(kept[:-1])
        assert not re.search(r"&(?!amp;|lt;|gt;)", kept)
        assert kept.count("<") == kept.count(">")
