from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from tocsin import Secret
from tocsin_slack import Slack
from tocsin_slack._resolved import compose_resolved
from tocsin_slack.testing import live_markup

BOT = Slack(token=Secret("xoxb-1"), channel="C1")
WHEN = datetime(2026, 11, 23, 19, 32, 59, tzinfo=timezone(timedelta(hours=9)))


def texts(blocks):
    return [
        item["text"]
        for block in blocks
        for item in block.get("elements", [block.get("text")])
    ]


def test_it_is_as_it_was_but_ticked_in_green_and_with_the_time(message):
    payload = compose_resolved(
        message("Loss is NaN", "at step 7", "ERROR", fields={"lr": 0.1}), BOT, WHEN
    )

    [attachment] = payload["attachments"]
    assert texts(payload["blocks"]) == [
        "*✅ Loss is NaN*",
        "at step 7",
        "Resolved 2026-11-23 10:32 UTC",
    ]
    assert attachment["blocks"][0]["fields"][0]["text"] == "*lr*\n0.1"
    assert attachment["color"] == "#2eb886"


def test_the_text_says_so_too(message):
    text = compose_resolved(message("Loss is NaN"), BOT, WHEN)["text"]

    assert text.startswith("✅ [INFO] Loss is NaN")
    assert text.endswith("\n\nResolved 2026-11-23 10:32 UTC")


def test_a_long_text_is_cut_so_that_it_still_says_so(message):
    long = attrs.evolve(message(), text="x" * 5000)

    text = compose_resolved(long, BOT, WHEN)["text"]

    assert len(text) == 4000
    assert text.endswith("x…\n\nResolved 2026-11-23 10:32 UTC")


def test_it_gives_whatever_an_edit_would_set_back_or_keep(message):
    payload = compose_resolved(message(), BOT, WHEN)

    assert set(payload) == {"text", "blocks", "attachments", "parse", "link_names"}
    assert payload["parse"] == "none"
    assert payload["link_names"] is False


def test_a_message_without_a_layout_stays_without_one(message):
    plain = attrs.evolve(message("Loss is NaN"), parts={})

    payload = compose_resolved(plain, BOT, WHEN)

    assert payload["blocks"] == payload["attachments"] == []
    assert payload["text"].startswith("✅ [INFO] Loss is NaN")


def test_a_title_that_a_template_left_empty_is_the_alerts(message, tmp_path):
    (tmp_path / "title.mrkdwn").write_text("")

    payload = compose_resolved(message("a", overrides=str(tmp_path)), BOT, WHEN)

    assert texts(payload["blocks"])[0] == "*✅ a*"


@pytest.mark.parametrize(("broadcast", "live"), [(True, ["<!here>"] * 2), (False, [])])
def test_a_broadcast_looks_as_it_did(message, broadcast, live):
    settings = attrs.evolve(BOT, broadcast=broadcast)

    payload = compose_resolved(message("<!here> down"), settings, WHEN)

    assert live_markup(payload) == live


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (None, "Resolved"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "Resolved 2026-01-02 03:04 UTC"),
        (
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
            "Resolved 9999-12-31T23:59:59.999999-01:00",
        ),
    ],
)
def test_any_time_can_be_told(message, when, said):
    assert texts(compose_resolved(message(), BOT, when)["blocks"])[-1] == said
