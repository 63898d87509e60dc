"""The least that an alert could cost: what each part of it is measured against."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from calls import Calls

if TYPE_CHECKING:
    from collections.abc import Sequence

_SET_BY_HTTP = {"Host", "Content-Length"}


def locked_dict() -> Calls:
    """Note a time under a lock: the least that a throttle in memory could cost."""
    lock, seen = threading.Lock(), dict[int, float]()

    def make(number: int) -> None:
        with lock:
            seen[number % 100] = time.time()

    return Calls(make)


def log_call() -> Calls:
    """Log a line whose handling is another thread's."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    logger = logging.getLogger("benchmark")
    logger.propagate = False
    logger.addHandler(logging.handlers.QueueHandler(records))

    def make(number: int) -> None:
        logger.warning("Loss is NaN at %d", number)

    def rest(_: Sequence[object]) -> None:
        while not records.empty():
            records.get()

    return Calls(make, rest)


def wal_insert() -> Calls:
    """Insert a row and commit it: the least that keeping an alert could cost."""
    database = sqlite3.connect("floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE alerts (id INTEGER PRIMARY KEY, text TEXT)")
    statement = "INSERT INTO alerts (text) VALUES (?)"

    def make(number: int) -> None:
        database.execute(statement, (f"Loss is {number:08d}." * 20,))

    return Calls(make)


def posting_threads(count: str, url: str, file: str) -> Calls:
    """Post the request that is in the file, by a session of requests in each thread."""
    from concurrent.futures import Future, ThreadPoolExecutor, wait

    import requests

    head, _, body = Path(file).read_bytes().partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:]]
    headers = {name: value for name, value in lines if name not in _SET_BY_HTTP}
    threads, mine = ThreadPoolExecutor(int(count)), threading.local()

    def post() -> None:
        session = getattr(mine, "session", None)
        if session is None:
            session = mine.session = requests.Session()
        session.post(url, data=body, headers=headers, timeout=30).raise_for_status()

    def rest(results: Sequence[object]) -> None:
        futures = [result for result in results if isinstance(result, Future)]
        for future in wait(futures).done:
            future.result()

    return Calls(lambda _: threads.submit(post), rest)


def reused_connection(port: str, file: str) -> Calls:
    """Send the mail that is in the file again and again, over one connection."""
    import email
    import smtplib
    from email import policy

    from sinks import HOST

    message = email.message_from_bytes(Path(file).read_bytes(), policy=policy.SMTP)
    connection = smtplib.SMTP(HOST, int(port), timeout=30)
    return Calls(lambda _: connection.send_message(message))
