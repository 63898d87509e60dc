import re
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import Alert, AlertLevel, Attachment, Origin, Secret
from tocsin._rendering import Circumstances, render
from tocsin_slack import Slack
from tocsin_slack._blocks import compose, plain, rich
from tocsin_slack._progress import Progress
from tocsin_slack._resolved import compose_resolved
from tocsin_slack.testing import live_markup, violations

MENTION = re.compile(r"<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+)>")
BOT = Slack(token=Secret("xoxb-1"), channel="C1")
LOUD = attrs.evolve(BOT, broadcast=True)

nasty = st.sampled_from(
    [
        "<!channel>",
        "<@U012AB3CD>",
        "<https://example.com|here>",
        "&lt;!here&gt;",
        "@here",
        "*",
        "```",
        "\x00",
        "\ud83d",
        "😀",
        "\u202e",
        "e\u0301",
        "\r\n",
    ]
)
any_text = st.builds(
    lambda parts, times: "".join(parts) * times,
    st.lists(nasty | st.text(st.characters(exclude_categories=[])), max_size=8),
    st.sampled_from([1, 1, 1, 20, 400]),
)
short_text = any_text.map(lambda text: text[:300])
alerts = st.builds(
    Alert,
    any_text,
    any_text,
    st.sampled_from(AlertLevel),
    fields=st.dictionaries(short_text, any_text, max_size=24),
    url=short_text | short_text.map(lambda text: f"https://example.com/{text}"),
    tags=st.lists(short_text, max_size=2),
    origin=st.builds(Origin, project=short_text, run=short_text, host=short_text),
)


def rendered(alert):
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    return render(Slack, alert, Circumstances(now=now, suppressed=2))


def texts(blocks):
    """Return every text of the blocks, in order."""
    objects = []
    for block in blocks:
        objects += [block["text"]] if "text" in block else []
        objects += block.get("fields", []) + block.get("elements", [])
    return [item["text"] for item in objects]


def assert_inert(payload, allowed=MENTION):
    for markup in live_markup(payload):
        is_our_link = markup.startswith("<https://example.com/")
        assert allowed.fullmatch(markup) or is_our_link


@given(alerts, st.lists(short_text, max_size=3))
@settings(max_examples=50, deadline=None)
def test_any_alert_becomes_what_slack_takes_with_nothing_live_but_mentions(
    alert, names
):
    message = rendered(alert)

    for payload in (rich(message, map(ascii, names)), plain(message)):
        assert violations(payload) == []
        assert len(payload["text"].encode("utf-16-le")) <= 8000
        assert_inert(payload)


@given(alerts, st.datetimes(timezones=st.timezones()), st.booleans())
@settings(max_examples=50, deadline=None)
def test_any_message_can_be_edited_to_say_that_it_is_over(alert, when, is_plain):
    message = rendered(alert)
    earlier = attrs.evolve(message, parts={} if is_plain else message.parts)

    payload = compose_resolved(earlier, BOT, when)

    assert violations(payload | {"channel": "C1", "ts": "1.2"}) == []
    assert payload["text"].startswith("✅")
    assert "\n\nResolved " in payload["text"]
    assert_inert(payload)


@given(alerts)
@settings(max_examples=30, deadline=None)
def test_a_broadcast_is_all_that_the_settings_can_let_through(alert):
    payload = compose(rendered(alert), LOUD, Progress())

    assert violations(payload) == []
    assert_inert(payload, re.compile(rf"{MENTION.pattern}|<!(channel|here|everyone)>"))


@pytest.mark.parametrize("letter", ["x", "😀", "<", "\ud800"])
def test_a_megabyte_is_cut_to_size_and_says_so(letter):
    message = rendered(Alert("title", letter * 1_000_000))

    payload = rich(message)

    assert violations(payload) == []
    assert "more characters]" in texts(payload["blocks"])[1]


def test_the_title_is_bold_the_text_below_and_all_else_in_a_coloured_attachment():
    message = rendered(
        Alert(
            "Loss is NaN",
            "at step 7",
            "WARN",
            fields={"lr": 0.1},
            url="https://wandb.ai/run",
            origin=Origin(project="vision"),
        )
    )

    payload = rich(message)

    attachment = payload["attachments"][0]
    assert texts(payload["blocks"]) == ["*Loss is NaN*", "at step 7"]
    assert texts(attachment["blocks"])[0] == "*lr*\n0.1"
    (button,) = attachment["blocks"][1]["elements"]
    assert (button["text"]["text"], button["url"]) == (
        "Open wandb.ai",
        "https://wandb.ai/run",
    )
    assert "WARN · project vision" in texts(attachment["blocks"])[-1]
    assert attachment["color"] == "#daa038"
    assert payload["text"] == message.text


def test_each_level_has_a_colour_of_its_own():
    colours = {
        rich(rendered(Alert("t", level=level)))["attachments"][0]["color"]
        for level in AlertLevel
    }

    assert len(colours) == 3


def test_an_asterisk_in_the_title_does_not_end_the_bold():
    payload = rich(rendered(Alert("rm *.ckpt for <@U1>\r\nand go")))

    assert texts(payload["blocks"]) == ["*rm \u2217.ckpt for <@U1> and go*"]
    assert "rm *.ckpt" in payload["text"]


def test_slack_looks_for_no_names_and_no_addresses_in_any_text():
    payload = rich(rendered(Alert("@here", "@channel #general https://example.com")))

    blocks = payload["blocks"] + payload["attachments"][0]["blocks"]
    objects = [block["text"] for block in blocks if "text" in block]
    objects += [item for block in blocks for item in block.get("elements", [])]
    assert all(item["verbatim"] for item in objects)
    assert payload["parse"] == "none"
    assert payload["link_names"] is False
    assert payload["unfurl_links"] is payload["unfurl_media"] is False


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "/runs/7",
        "https://",
        "http://[::1",
        "slack://open",
        "https://example.com/a b",
    ],
)
def test_what_is_no_web_address_is_shown_as_text(url):
    payload = rich(rendered(Alert("t", url=url)))

    assert url in texts(payload["attachments"][0]["blocks"])
    assert live_markup(payload) == []


def test_a_link_that_is_too_long_is_shown_as_text_and_cut():
    payload = rich(rendered(Alert("t", url=f"https://example.com/{'x' * 3000}")))

    assert texts(payload["attachments"][0]["blocks"])[0].endswith("x…")
    assert live_markup(payload) == []


def test_fields_that_do_not_fit_are_counted():
    payload = rich(rendered(Alert("t", fields={f"name {n}": n for n in range(33)})))

    shown = payload["attachments"][0]["blocks"]
    assert [len(block["fields"]) for block in shown if "fields" in block] == [10, 10]
    assert "13 more fields" in texts(shown)


def test_a_long_field_is_cut_and_crowds_out_the_next_ones_visibly():
    fields = {"trace": "x" * 9000, "more": "y" * 9000, "lr": 0.1}

    blocks = rich(rendered(Alert("t", fields=fields)))["attachments"][0]["blocks"]

    assert [len(text) for text in texts(blocks)[:2]] == [2000, 1000]
    assert "1 more field" in texts(blocks)


def test_fields_without_a_name_or_a_value_are_no_empty_texts():
    named = rich(rendered(Alert("t", fields={"": "b", "a": ""})))
    empty = rich(rendered(Alert("t", fields={"": ""})))

    assert texts(named["attachments"][0]["blocks"])[:2] == ["b", "*a*"]
    assert violations(empty) == []


def test_suppressed_ones_are_told_in_the_context():
    context = texts(rich(rendered(Alert("t")))["attachments"][0]["blocks"])[-1]

    assert context.startswith("2 more like it suppressed.\n")


def test_tags_stand_in_the_context():
    context = texts(
        rich(rendered(Alert("t", tags=("a", "<b>"))))["attachments"][0]["blocks"]
    )[-1]

    assert context.endswith(" · tags a, &lt;b&gt;")


def test_attachments_that_stay_behind_are_named():
    message = rendered(Alert("t"))
    names = ["plot <1>.png", "x" * 9000]

    rich_texts = texts(rich(message, names)["attachments"][0]["blocks"])
    plain_text = plain(message, names)["text"]

    assert rich_texts[-1].startswith("Not attached: plot &lt;1&gt;.png, xxx")
    assert rich_texts[-1] in plain_text
    assert violations(plain(message, names)) == []


def test_a_template_that_failed_leaves_the_plain_form():
    message = attrs.evolve(rendered(Alert("t", "text")), parts={})

    payload = compose(message, BOT, Progress())

    assert payload["text"] == message.text
    assert "blocks" not in payload
    assert "attachments" not in payload


def test_a_refused_layout_leaves_the_plain_form():
    payload = compose(rendered(Alert("t")), BOT, Progress(is_plain=True))

    assert "blocks" not in payload


@pytest.mark.parametrize("broadcast", ["<!channel>", "<!here>", "<!everyone>"])
def test_a_broadcast_is_live_only_where_the_settings_allow_it(broadcast):
    message = rendered(Alert(broadcast, f"{broadcast}!", fields={"a": broadcast}))

    quiet = compose(message, BOT, Progress())
    loud = compose(message, LOUD, Progress())

    assert live_markup(quiet) == []
    assert live_markup(loud) == [broadcast] * 6
    assert texts(loud["blocks"]) == [f"*{broadcast}*", f"{broadcast}!"]


def test_an_operator_replaces_a_template_by_its_file_name(tmp_path, message):
    (tmp_path / "title.mrkdwn").write_text(":fire: {{ title }}")

    payload = rich(message("a < b", overrides=str(tmp_path)))

    assert texts(payload["blocks"])[0] == "*:fire: a &lt; b*"


def test_templates_that_print_nothing_leave_no_empty_block(tmp_path, message):
    (tmp_path / "context.mrkdwn").write_text("")
    (tmp_path / "text.mrkdwn").write_text("")

    payload = rich(message("t", "text", overrides=str(tmp_path)))

    assert violations(payload) == []
    assert texts(payload["blocks"]) == ["*t*"]
    assert payload["attachments"] == []


def test_attachments_of_the_alert_are_no_attachments_of_slack():
    message = rendered(Alert("t", attachments=Attachment("a.png", b"x")))

    assert len(rich(message)["attachments"]) == 1
