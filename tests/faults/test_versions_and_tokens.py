"""A database of an older version, an alert of a newer one, and a token that is revoked."""

from __future__ import annotations

import json
import sqlite3

from support import bot_at
from test_schema import VERSION_1

from tocsin import Alert, Origin
from tocsin._envelope import encode

RAISE = "import tocsin; run = tocsin.init(); run.alert({!r}); run.finish(timeout=20)"


def old_database(place, *envelopes):
    """Write a database as the first version did, with a pending delivery of each alert."""
    state = place.path / "state"
    state.mkdir()
    namespace = str(place.path / "tocsin.toml")
    with sqlite3.connect(state / "tocsin.db") as db:
        db.executescript(VERSION_1)
        db.execute("PRAGMA user_version = 1")
        for seq, envelope in enumerate(envelopes, 1):
            alert_id = json.loads(envelope)["id"]
            db.execute(
                "INSERT INTO alerts VALUES (?, ?, ?, 1e9, 0, NULL, ?)",
                (seq, alert_id, namespace, envelope),
            )
            db.execute(
                "INSERT INTO deliveries (alert, position, namespace, channel, status, due) "
                "VALUES (?, 0, ?, 'out', 'pending', 1e9)",
                (seq, namespace),
            )
    db.close()


def test_row_33_an_older_database_and_a_newer_alert(place):
    """What an older version left is delivered; what a newer one wrote is kept for it."""
    origin = Origin(user="ada")
    old = encode(Alert("old", id="old", origin=origin))
    newer = json.loads(encode(Alert("newer", id="newer", origin=origin)))
    old_database(place, old, json.dumps({**newer, "version": 99, "mood": "blue"}))

    place.run(RAISE.format("new"))

    assert {line["title"] for line in place.delivered()} == {"old", "new"}
    with sqlite3.connect(place.path / "state" / "tocsin.db") as db:
        kept = db.execute(
            "SELECT status FROM deliveries JOIN alerts ON seq = alert WHERE id = 'newer'"
        ).fetchall()
        (envelope,) = db.execute(
            "SELECT envelope FROM alerts WHERE id = 'newer'"
        ).fetchone()
    db.close()
    assert kept == [("pending",)]
    assert json.loads(envelope)["mood"] == "blue"


def test_row_34_a_token_is_revoked(place, slack):
    """It is final, the channel is out of order and told, what is behind it waits; with a
    new token a replay sends it, and what waited goes too."""
    place.configure({"dm": bot_at(slack.base_url)}, submit_timeout="10s")
    slack.revoke()
    process = place.python(
        "import tocsin; run = tocsin.init(); print(run.alert('first').wait(20)[0].id);"
        "run.alert('second'); run.finish()"
    )
    delivery_id, errors = process.communicate(timeout=60)

    assert "channel 'dm' is out of order" in errors
    assert "token_revoked" in errors
    doctor = " ".join(place.tocsin("doctor").stdout.split())
    assert "out of order" in doctor
    assert "token_revoked" in doctor
    assert slack.messages == []

    slack.rotate("xoxb-a-new-one")
    place.configure(
        {"dm": {**bot_at(slack.base_url), "token": "xoxb-a-new-one"}},
        submit_timeout="10s",
    )
    place.tocsin("replay", delivery_id.strip())
    place.tocsin("drain")
    assert {post.blocks[0]["text"]["text"] for post in slack.messages} == {
        "*first*",
        "*second*",
    }
