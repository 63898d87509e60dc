import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tocsin import RetryLater
from tocsin_email._lookup import addresses

PATIENCE = 30.0  # seconds, for a busy machine; nothing here takes one


class NameServer:
    """Names are found when it speaks; until then it is silent, as one that is down."""

    def __init__(self):
        self.speaks = threading.Event()
        self.asked = 0
        self._find = socket.getaddrinfo

    def find(self, host, *args, **kwargs):
        if host == "localhost":
            self.asked += 1
            assert self.speaks.wait(PATIENCE)
        return self._find(host, *args, **kwargs)


def lookups():
    return [each for each in threading.enumerate() if each.name == "tocsin lookup"]


@pytest.fixture
def names(monkeypatch):
    names = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", names.find)
    yield names
    names.speaks.set()
    for thread in lookups():
        thread.join(PATIENCE)


def run(code):
    """Run code in a process of its own; return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return ran.stdout.strip()


def test_found():
    """An address is its own."""
    assert addresses("127.0.0.1", 25, timeout=PATIENCE) == ["127.0.0.1"]


def test_unknown(monkeypatch):
    """A name that does not exist raises what the system says, each time anew."""
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    asked = []

    def find(*args, **_):
        asked.append(args)
        raise unknown

    monkeypatch.setattr(socket, "getaddrinfo", find)

    for _ in range(2):
        with pytest.raises(socket.gaierror, match="not known"):
            addresses("mail.test", 25, timeout=PATIENCE)
        for thread in lookups():
            thread.join(PATIENCE)
    assert asked == [("mail.test", 25)] * 2


def test_silence(names, mail, send):
    """A name server that is silent takes no more than the attempt's time."""
    began = time.monotonic()

    with pytest.raises(RetryLater, match="in time, when being looked up") as told:
        send(mail, host="localhost", timeout=0.2)

    assert time.monotonic() - began < PATIENCE / 2
    assert "check host" in told.value.remedy


def test_no_more_threads(names, mail, send):
    """However many attempts are made meanwhile, one lookup waits; then they arrive."""
    for _ in range(3):
        with pytest.raises(RetryLater, match="in time"):
            send(mail, host="localhost", timeout=0.3)

    assert len(lookups()) == names.asked == 1
    names.speaks.set()
    send(mail, host="localhost", timeout=PATIENCE)
    assert len(mail.messages) == 1


def test_together(names):
    """Those who ask at once share what is found."""
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(addresses, "localhost", 25, timeout=PATIENCE) for _ in range(4)
        ]
        names.speaks.set()
        found = [each.result(PATIENCE) for each in asked]

    assert "127.0.0.1" in found[0]
    assert all(each == found[0] for each in found)


def test_forked():
    """A forked child does not wait for a lookup of its parent's, nor the end for either."""
    code = """
import os, socket, threading
from tocsin_email._lookup import addresses

find, silence = socket.getaddrinfo, threading.Event()
socket.getaddrinfo = lambda *_, **__: silence.wait()
try:
    addresses("127.0.0.1", 25, timeout=0.1)
except TimeoutError:
    print("late", flush=True)
if os.fork() == 0:
    socket.getaddrinfo = find
    print(addresses("127.0.0.1", 25, timeout=20), flush=True)
    os._exit(0)
os.wait()
"""

    assert run(code).splitlines() == ["late", "['127.0.0.1']"]


def test_last_moment():
    """At the interpreter's end, where no thread starts any more, it still looks."""
    code = """
import atexit
from tocsin_email._lookup import addresses

atexit.register(lambda: print(addresses("127.0.0.1", 25, timeout=20)))
"""

    assert run(code) == "['127.0.0.1']"
