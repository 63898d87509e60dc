"""A file of an older version becomes one of ours, with everything that is in it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import attrs
import pytest
from conftest import Recorder
from storing import NOW, claim_one, claims, deliver, status, submission, submit

from tocsin import (
    Alert,
    Attachment,
    Deferred,
    Ending,
    Notifier,
    Origin,
    Receipt,
    Settings,
    Status,
    StoreBusy,
    StoreError,
    Subscription,
)
from tocsin._envelope import encode
from tocsin._report import alert_of
from tocsin._retry import Failed
from tocsin._run_record import RunRecord
from tocsin._store import Granted, Known, Withheld
from tocsin._store._schema import VERSION
from tocsin._store.sqlite import SqliteStore
from tocsin._throttle import NONE_SUPPRESSED, Suppression, throttle_key

VERSION_1 = """
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    submitted_at REAL NOT NULL,
    suppressed INTEGER NOT NULL,
    suppressed_since REAL,
    envelope TEXT NOT NULL,
    UNIQUE (id, namespace)
);
CREATE INDEX alerts_submitted ON alerts (namespace, submitted_at);
CREATE TABLE attachments (
    alert INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (alert, position)
) WITHOUT ROWID;
-- due is when it may be claimed next: for a claimed one, when its lease runs out
CREATE TABLE deliveries (
    alert INTEGER NOT NULL,
    position INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    due REAL,
    token INTEGER NOT NULL DEFAULT 0,
    claims INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    ambiguous INTEGER NOT NULL DEFAULT 0,
    first_attempt_at REAL,
    settled_at REAL,
    state TEXT NOT NULL DEFAULT '{}',
    receipt TEXT,
    reason TEXT NOT NULL DEFAULT '',
    remedy TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (alert, position)
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (namespace, channel, due)
    WHERE status = 'pending';
CREATE INDEX deliveries_failed ON deliveries (namespace, alert)
    WHERE status = 'failed';
CREATE TABLE windows (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    admitted_at REAL NOT NULL,
    level TEXT NOT NULL,
    suppressed INTEGER NOT NULL DEFAULT 0,
    suppressed_since REAL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE TABLE adopted (
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (id, namespace)
) WITHOUT ROWID;
CREATE TABLE holds (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (namespace, channel)
) WITHOUT ROWID;
CREATE TABLE namespaces (
    namespace TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID;
PRAGMA application_id = 0x746F6373;
PRAGMA user_version = 1;
"""
"""What the first version of the store made."""

VERSION_2 = """
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    submitted_at REAL NOT NULL,
    suppressed INTEGER NOT NULL,
    suppressed_since REAL,
    envelope TEXT NOT NULL,
    plan TEXT NOT NULL DEFAULT '[]',
    resolves INTEGER
);
CREATE TABLE attachments (
    alert INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (alert, position)
) WITHOUT ROWID;
CREATE TABLE deliveries (
    alert INTEGER NOT NULL,
    position INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    due REAL,
    token INTEGER NOT NULL DEFAULT 0,
    claims INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    ambiguous INTEGER NOT NULL DEFAULT 0,
    first_attempt_at REAL,
    settled_at REAL,
    state TEXT NOT NULL DEFAULT '{}',
    receipt TEXT,
    reason TEXT NOT NULL DEFAULT '',
    remedy TEXT NOT NULL DEFAULT '',
    not_before REAL,
    digest TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (alert, position)
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (namespace, channel, due)
    WHERE status = 'pending';
CREATE INDEX deliveries_failed ON deliveries (namespace, alert)
    WHERE status = 'failed';
CREATE TABLE windows (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    admitted_at REAL NOT NULL,
    level TEXT NOT NULL,
    suppressed INTEGER NOT NULL DEFAULT 0,
    suppressed_since REAL,
    alert INTEGER,
    closes_at REAL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE TABLE adopted (
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (id, namespace)
) WITHOUT ROWID;
CREATE TABLE namespaces (
    namespace TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE ids (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    alert INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;
CREATE TABLE enqueued (alert INTEGER NOT NULL);
CREATE TABLE circuits (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    failures INTEGER NOT NULL,
    until REAL NOT NULL,
    since REAL,
    is_out_of_order INTEGER NOT NULL,
    reason TEXT NOT NULL,
    remedy TEXT NOT NULL,
    PRIMARY KEY (namespace, channel)
) WITHOUT ROWID;
CREATE TABLE digests (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    id TEXT NOT NULL,
    until REAL NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (namespace, channel)
) WITHOUT ROWID;
CREATE TABLE conversations (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    name TEXT NOT NULL,
    token INTEGER NOT NULL,
    until REAL NOT NULL,
    receipt TEXT,
    at REAL NOT NULL,
    PRIMARY KEY (namespace, channel, name)
) WITHOUT ROWID;
CREATE TABLE silences (
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    title TEXT NOT NULL,
    project TEXT NOT NULL,
    team TEXT NOT NULL,
    max_level TEXT NOT NULL,
    starts_at REAL NOT NULL,
    ends_at REAL NOT NULL,
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;
CREATE VIEW admissions AS SELECT
    id, namespace, submitted_at, suppressed, suppressed_since, envelope, plan,
    NULL AS key, NULL AS level
FROM alerts;
CREATE TRIGGER admit INSTEAD OF INSERT ON admissions BEGIN
    SELECT RAISE(IGNORE) WHERE EXISTS (
        SELECT 1 FROM windows WHERE namespace = NEW.namespace AND key = NEW.key
    );
    INSERT INTO alerts (
        id, namespace, submitted_at, suppressed, suppressed_since, envelope, plan
    ) VALUES (
        NEW.id, NEW.namespace, NEW.submitted_at, NEW.suppressed,
        NEW.suppressed_since, NEW.envelope, NEW.plan
    );
    INSERT OR REPLACE INTO windows (namespace, key, admitted_at, level, alert)
    VALUES (
        NEW.namespace, NEW.key, NEW.submitted_at, NEW.level, last_insert_rowid()
    );
END;
INSERT INTO enqueued VALUES (0);
PRAGMA application_id = 0x746F6373;
PRAGMA user_version = 2;
"""
"""What the second version of the store made."""

LOST = Alert("lost", id="lost")  # it was adopted, and then suppressed
ORIGIN = Origin(user="ada")


def put(db, table, **values):
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))


def keep(db, seq, *deliveries, attachments=(), suppressed=NONE_SUPPRESSED, **alert):
    """Write an alert with its deliveries as the first version did."""
    made = Alert(f"title {seq}", "text", id=f"{seq}", origin=ORIGIN, **alert)
    put(
        db,
        "alerts",
        seq=seq,
        id=made.id,
        namespace="tests",
        submitted_at=NOW + seq,
        suppressed=suppressed.count,
        suppressed_since=suppressed.since,
        envelope=encode(made),
    )
    for position, item in enumerate(attachments):
        put(
            db,
            "attachments",
            alert=seq,
            position=position,
            name=item.name,
            content_type=item.content_type,
            content=item.content,
        )
    for position, values in enumerate(deliveries):
        known = {"channel": "inbox", "status": "pending", "due": NOW} | values
        put(
            db,
            "deliveries",
            alert=seq,
            position=position,
            namespace="tests",
            **known,
        )


@pytest.fixture
def path(tmp_path):
    """A file that the first version left, with something of everything in it."""
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "tocsin.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(VERSION_1)
        put(db, "namespaces", namespace="tests", config="/tocsin.toml", seen_at=NOW)
        keep(db, 1, {}, attachments=[Attachment("a.txt", b"\0")], fields={"step": 3})
        tried = {
            "attempts": 2,
            "ambiguous": 1,
            "first_attempt_at": NOW,
            "due": NOW + 5,
            "state": json.dumps({"owed": ["x"]}),
            "reason": "no answer",
        }
        keep(db, 2, tried, {"channel": "other"})
        claimed = {"token": 77, "claims": 3, "attempts": 3, "first_attempt_at": NOW}
        keep(db, 3, {**claimed, "due": NOW + 30})
        receipt = attrs.asdict(Receipt(reference="42", permalink="https://x/42"))
        done = {"due": None, "settled_at": NOW + 2, "attempts": 1}
        arrived = {**done, "status": "delivered", "receipt": json.dumps(receipt)}
        refused = {**done, "status": "failed", "reason": "no", "remedy": "do"}
        keep(
            db,
            4,
            arrived,
            {**refused, "channel": "other"},
            suppressed=Suppression(3, NOW - 9),
        )
        put(
            db,
            "windows",
            namespace="tests",
            key=throttle_key(Alert("open")),
            admitted_at=NOW,
            level="WARN",
            suppressed=5,
            suppressed_since=NOW + 1,
        )
        put(db, "adopted", id=LOST.id, namespace="tests", at=NOW)
        put(db, "holds", namespace="tests", channel="held", until=NOW + 99)
    db.close()
    return str(path)


@pytest.fixture
def old(path):
    store = SqliteStore(path, "tests")
    yield store
    store.close()


def version(path):
    with sqlite3.connect(path) as db:
        (found,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return found


def test_everything_is_kept(old, path):
    """History, deliveries in every state, counts and attachments are as they were."""
    records = {record.alert.id: record for record in old.history(limit=9)}

    assert list(records) == ["1", "2", "3", "4"]
    assert records["1"].alert.fields == {"step": "3"}
    assert records["4"].suppressed == Suppression(3, NOW - 9)
    assert status(old, "2") == {"inbox": "pending", "other": "pending"}
    arrived, refused = old.deliveries("4")
    assert arrived.status is Status.DELIVERED
    assert arrived.receipt == Receipt(reference="42", permalink="https://x/42")
    assert (refused.status, refused.reason, refused.remedy) == (
        Status.FAILED,
        "no",
        "do",
    )
    assert [one.suppression for one in old.untold()] == [Suppression(5, NOW + 1)]
    assert old.find("4") == ["4.inbox", "4.other"]
    assert old.namespaces()[0].config == "/tocsin.toml"
    assert old.pending() == 4
    assert version(path) == VERSION


def test_deliveries_go_on(old):
    """What was pending is claimed with its progress; a lease and a hold still hold."""
    first, second = claims(old, NOW + 9)

    assert first.alert.attachments == (Attachment("a.txt", b"\0"),)
    assert (second.progress.attempt, second.progress.ambiguous) == (3, 1)
    assert second.progress.first_attempt_at == NOW
    assert second.progress.state == {"owed": ["x"]}
    assert claim_one(old, NOW + 30).alert.id == "3"
    submit(old, Alert("new"), NOW + 50, plan=["held"])
    assert claims(old, NOW + 98, "held") == []
    assert len(claims(old, NOW + 99, "held")) == 1


def test_who_held_a_lease_may_settle(old):
    """A worker that was under way when another process changed the file is heard."""
    claim = claim_one(old, NOW + 30)
    stale = attrs.evolve(claim, places=((3, 0),), token=77)

    assert claim.alert.id == "1"
    assert deliver(old, stale, NOW + 30)
    assert status(old, "3") == {"inbox": "delivered"}


def test_the_throttle_goes_on(old):
    """An open window suppresses, and the next admission tells of all."""
    alert = Alert("open", level="WARN")

    assert isinstance(submit(old, alert, NOW + 59), Withheld)
    verdict = submit(old, alert, NOW + 60)
    assert verdict.suppressed == Suppression(6, NOW + 1)


def test_what_was_known_is_known(old):
    """An alert is the same one after the change, and an adopted one stays adopted."""
    again = old.submit(submission(Alert("x", id="4"), "inbox"), NOW, timeout=5)
    adopted = old.submit(submission(LOST, "inbox", is_adopted=True), NOW + 1, timeout=5)

    assert again == Known(channels=("inbox", "other"))
    assert adopted == Known(channels=())


def test_it_works_on(old):
    """New alerts are admitted, replayed, resolved and forgotten like any other."""
    assert isinstance(submit(old, Alert("new", id="n")), Granted)
    claim = claim_one(old, NOW)
    assert old.requeue("4.other", NOW + 9)
    assert claim_one(old, NOW + 9, "other").alert.id == "2"
    assert claim_one(old, NOW + 9, "other").alert.id == "4"
    deliver(old, claim, NOW)
    over = submission(Alert("new", kind="resolved"), "inbox")
    assert old.resolve(over, NOW + 1, timeout=5) == ("inbox",)
    old.settle(claim_one(old, NOW + 31), Failed(reason="no"), NOW + 31)
    assert old.prune(NOW + 9999) >= 1


def test_what_was_admitted_before_has_nothing_to_resolve(old):
    """Whom an alert of the first version went to is not known: nobody is told twice."""
    over = submission(Alert("open", kind="resolved"), "inbox")

    assert old.resolve(over, NOW + 1, timeout=5) == ()


CHANGE = """
import sys
from tocsin._store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], "tests")
sys.stdin.readline()
print(store.pending(timeout=60), len(store.history(limit=9)))
"""


def test_processes_change_it_at_once(path):
    """Whoever is first changes it, once; the others wait, and find it done."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CHANGE, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    done = [process.communicate(timeout=120) for process in processes]

    assert [output.split() for output, _ in done] == [["4", "4"]] * 4, done


def test_a_change_that_fails(old, path):
    """A change that fails in the middle leaves the file as it was; then it is done."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE silences (somebody TEXT)")
    with pytest.raises(StoreError, match="silences already exists"):
        old.pending()

    assert version(path) == 1
    with sqlite3.connect(path) as again:
        again.execute("DROP TABLE silences")
    assert old.pending() == 4
    for connection in (db, again):
        connection.close()


def test_a_caller_does_not_wait_for_it(old, path):
    """Whoever has little time is told that the store is busy, and changes nothing."""
    with pytest.raises(StoreBusy, match="older version"):
        old.submit(submission(Alert("new"), "inbox"), NOW, timeout=0.05)

    assert version(path) == 1
    assert isinstance(submit(old, Alert("new")), Granted)


def test_an_alert_in_the_meantime(path, inbox):
    """The caller's alert is put aside, and sent once the background changed the file."""
    settings = Settings(
        user="ada",
        channels={"inbox": Recorder(inbox)},
        subscriptions=[Subscription(channels=["inbox"])],
    )
    notifier = Notifier(settings, namespace="tests")
    result = notifier.notify(Alert("in the meantime"))

    assert isinstance(result, Deferred)
    assert result.wait(30)[0].status is Status.DELIVERED
    notifier.flush(30)
    notifier.close()
    assert sorted(inbox.titles) == ["in the meantime", "title 1", "title 2", "title 3"]
    assert version(path) == VERSION


def test_an_alert_of_a_newer_version(store, tmp_path):
    """It is kept as it is, looked at once an hour, and sent by who can read it."""
    submit(store, Alert("t", id="1"))
    envelope = {"version": 99, "id": "1", "title": "from the future"}

    def rewrite(text):
        with store._database.transaction(5) as db:
            db.execute("UPDATE alerts SET envelope = ?", (text,))

    rewrite(json.dumps(envelope))
    assert claims(store, NOW + 1) == []
    assert store.next_due(["inbox"]) == NOW + 3601
    for hour in range(30):  # more often than anything is claimed without an outcome
        assert claims(store, NOW + 3601 * (1 + hour)) == []
    rewrite(encode(Alert("readable", id="1")))
    assert claims(store, NOW + 3601 * 30 + 3599) == []
    claim = claim_one(store, NOW + 3601 * 31)
    assert (claim.alert.title, claim.progress.attempt) == ("readable", 1)


# --- the second version


@pytest.fixture
def second(tmp_path):
    """A file that the second version left, with an alert that waits and an open window."""
    path = tmp_path / "second.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(VERSION_2)
        keep(db, 1, {})
        put(db, "ids", namespace="tests", id="1", alert=1)
        db.execute("UPDATE enqueued SET alert = 1")
        put(
            db,
            "windows",
            namespace="tests",
            key=throttle_key(Alert("open")),
            admitted_at=NOW,
            level="WARN",
            suppressed=5,
            suppressed_since=NOW + 1,
            alert=1,
        )
    db.close()
    store = SqliteStore(str(path), "tests")
    yield store
    store.close()


def test_the_second_version(second, tmp_path):
    """What it kept goes on; then there is room for runs, and for witnesses of an end."""
    assert isinstance(submit(second, Alert("open", level="WARN"), NOW + 1), Withheld)
    assert claim_one(second, NOW + 1).alert.id == "1"
    assert version(tmp_path / "second.db") == VERSION

    record = RunRecord(
        origin=Origin(run="r1"), started_at=NOW, beat_at=NOW, progress_at=NOW
    )
    second.put_run(record)
    assert second.runs() == [record]
    ending = Ending(state="failed", is_alone=False)
    for rank in (0, 1):
        alert = alert_of(ending, attrs.evolve(ORIGIN, rank=rank), NOW)
        submit(second, alert, NOW + 1)
    assert len(claim_one(second, NOW + 2).echoes) == 1


def test_both_have_the_same_tables(second, path, tmp_path):
    """Whatever version a file was made by, it ends up like one that is made anew."""

    def tables(store):
        store.pending()
        with store._database.connection(5) as db:
            found = db.execute("SELECT name FROM sqlite_master").fetchall()
            names = sorted(name for (name,) in found if not name.startswith("sqlite_"))
            return {
                name: [row[1:3] for row in db.execute(f"PRAGMA table_info({name})")]
                for name in names
            }

    first = SqliteStore(path, "tests")
    new = SqliteStore(str(tmp_path / "new.db"), "tests")
    try:
        assert tables(second) == tables(new)
        assert {n: set(c) for n, c in tables(first).items()} == {
            n: set(c) for n, c in tables(new).items()
        }
    finally:
        first.close()
        new.close()
