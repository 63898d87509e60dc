"""The addresses of a host, looked up within a time.

`socket.getaddrinfo` cannot be told how long it may take, nor be stopped: with a name server
that is silent it takes half a minute, with some other service of names for ever. So it runs
in a thread, and whoever has no time left goes on without it. At most one is under way for a
host: who asks for the same meanwhile waits for that one, so that no number of attempts
leaves more threads behind than there are mail servers. (A lookup that never ends is waited
for in vain, then, until the program ends; without the thread it would hold a worker as long.)
The threads are daemons: the end of the program does not wait for them.

A forked child has none of its parent's threads: it goes by its own process id, and asks
anew.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - getaddrinfo would import it when a fork may come
import os
import socket
import threading
from concurrent.futures import Future

_Key = tuple[int, str, int]
_Lookup = Future[list[str]]
_under_way: dict[_Key, _Lookup] = {}


def addresses(host: str, port: int, *, timeout: float) -> list[str]:
    """Return the addresses of a host, the best first.

    Raises:
        TimeoutError: They were not had within so many seconds.
        OSError: There are none.

    """
    key = os.getpid(), host, port
    ours = _Lookup()
    lookup = _under_way.setdefault(key, ours)  # atomic: a lock could be held at a fork
    if lookup is ours:
        _start(key, lookup)
    return lookup.result(timeout)


def _start(key: _Key, lookup: _Lookup) -> None:
    thread = threading.Thread(
        target=_look_up, args=(key, lookup), name="tocsin lookup", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # the interpreter is shutting down: look here
        _look_up(key, lookup)


def _look_up(key: _Key, lookup: _Lookup) -> None:
    try:
        _, host, port = key
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        lookup.set_exception(error)
    else:
        lookup.set_result([str(address[0]) for *_, address in found])
    finally:
        del _under_way[key]
