"""A command as a child, whose output goes on to ours and is kept on the way."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING

from tocsin._supervisor._tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DRAIN = 1.0
"""Seconds for which a child that has ended may leave its output to others."""

_CHUNK = 256 * 1024
_PIPE = 1024 * 1024  # bytes that a pipe holds, so that the child need not wait for us
_SLICE = 0.05
_STDOUT, _STDERR = 1, 2
_STOPS = {"SIGTSTP", "SIGTTIN", "SIGTTOU"}


class Child:
    """A command that runs in our process group, with our standard input.

    Its output goes through a terminal of its own where ours goes to a terminal, and
    through a pipe where it does not.
    """

    def __init__(self, relays: Sequence[Relay], tail: Tail, pid: int) -> None:
        self.pid = pid
        self.tail = tail
        self.began = time.monotonic()
        self.status: int | None = None
        """How it ended, as wait(2) has it."""
        self._relays = relays
        self._continued_at = 0.0

    @property
    def heard_at(self) -> float:
        """When it last printed something, or else began; on the monotonic clock."""
        heard = (relay.heard_at for relay in self._relays)
        return max(self.began, self._continued_at, *heard)

    def note_continued(self) -> None:
        """Note that it was stopped until now, and could print nothing."""
        self._continued_at = time.monotonic()

    def poll(self) -> str:
        """Note it if the child ended; return the terminal's signal that stopped it."""
        if self.status is not None:
            return ""
        pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            name = signal.Signals(os.WSTOPSIG(status)).name
            return name if name in _STOPS else ""
        if pid:
            self.status = status
        return ""

    def send(self, number: int) -> None:
        """Send it a signal."""
        if self.status is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, number)

    def resize(self) -> None:
        """Let its terminals be as large as ours."""
        for relay in self._relays:
            relay.resize()

    def drain(self) -> None:
        """Wait until all of its output has come, but not for long."""
        until = time.monotonic() + DRAIN
        for relay in self._relays:
            relay.join(max(0.0, until - time.monotonic()))

    def settle(self) -> None:
        """Wait for whoever reads our output slowly."""
        for relay in self._relays:
            relay.settle()


def start(
    command: Sequence[str], environment: Mapping[str, str], mask: Iterable[int]
) -> Child:
    """Start a command with these signals held back.

    Raises:
        OSError: It cannot be started.

    """
    _open_all()
    tail = Tail()
    relays = [Relay(streams, tail) for streams in _streams()]
    try:
        pid = _spawn(
            command,
            environment,
            mask,
            actions=[action for relay in relays for action in relay.actions],
        )
    except BaseException:
        for relay in relays:
            relay.close()
        raise
    child = Child(relays, tail, pid)
    for relay in relays:
        relay.start()
    return child


def _spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    mask: Iterable[int],
    actions: Sequence[tuple[int, int, int]],
) -> int:
    def spawn(program: str, *words: str) -> int:
        return os.posix_spawnp(
            program,
            [program, *words],
            environment,
            file_actions=actions,
            setsigmask=mask,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them
        )

    try:
        return spawn(*command)
    except OSError as error:
        script = shutil.which(command[0])
        if error.errno != errno.ENOEXEC or script is None:
            raise
        return spawn("/bin/sh", script, *command[1:])  # no first line says whose it is


def _open_all() -> None:
    """Open what of the standard streams is closed, so that nothing else gets its number."""
    for stream in (0, _STDOUT, _STDERR):
        try:
            os.fstat(stream)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)


def _streams() -> list[tuple[int, ...]]:
    """Return the output streams, those together that lead to the same place.

    So what is printed to both stays in order.
    """
    one, other = os.fstat(_STDOUT), os.fstat(_STDERR)
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return [(_STDOUT, _STDERR)]
    return [(_STDOUT,), (_STDERR,)]


class Relay:
    """Passes on what a child prints to some of our streams, byte for byte, at once.

    When nobody reads our stream any more, the child learns it as it would without us.
    """

    def __init__(self, streams: Sequence[int], tail: Tail) -> None:
        self._streams = streams
        self._out = streams[0]
        self._tail = tail
        self._is_terminal = os.isatty(self._out)
        self._fd, self._inner = _pair(self._out, is_terminal=self._is_terminal)
        self._thread = threading.Thread(
            target=self._run, name="tocsin relay", daemon=True
        )
        self._writing_since = 0.0
        self.heard_at = 0.0
        """When something came last; on the monotonic clock."""

    @property
    def actions(self) -> Iterator[tuple[int, int, int]]:
        """What the child has to do to print into it."""
        for stream in self._streams:
            yield os.POSIX_SPAWN_DUP2, self._inner, stream

    def start(self) -> None:
        """Pass on from now on."""
        os.close(self._inner)
        self._thread.start()

    def close(self) -> None:
        """Give up what was not started."""
        os.close(self._inner)
        self._hang_up()

    def resize(self) -> None:
        """Let its terminal be as large as ours."""
        if self._is_terminal and self._fd >= 0:
            with contextlib.suppress(OSError):
                _copy_size(self._out, self._fd)

    def join(self, timeout: float) -> None:
        """Wait until nobody prints into it any more."""
        self._thread.join(timeout)

    def settle(self) -> None:
        """Wait for a slow reader to take what came, and for nothing else."""
        patience = DRAIN
        while patience > 0 and (self._writing_since or self._has_more()):
            since = self._writing_since
            is_slow = since and time.monotonic() - since > _SLICE
            self.join(_SLICE)
            patience -= 0 if is_slow else _SLICE

    def _has_more(self) -> bool:
        if not self._thread.is_alive():
            return False
        with contextlib.suppress(OSError, ValueError):
            return bool(select.select([self._fd], [], [], 0)[0])
        return False

    def _run(self) -> None:
        try:
            while chunk := os.read(self._fd, _CHUNK):
                self.heard_at = self._writing_since = time.monotonic()
                self._tail.add(chunk)
                if not self._put(chunk):
                    return
                self._writing_since = 0.0
        except OSError:  # a terminal that everybody has closed
            pass
        finally:
            self._writing_since = 0.0
            self._hang_up()

    def _put(self, chunk: bytes) -> bool:
        """Write it all; False when there is nobody for whom to write."""
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:  # whoever gave us the stream wants it so
                select.select([], [self._out], [])
            except OSError as error:
                # a full disk takes the words, but is no reason to end the command
                return error.errno not in {errno.EPIPE, errno.EIO, errno.EBADF}
        return True

    def _hang_up(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


def _pair(out: int, *, is_terminal: bool) -> tuple[int, int]:
    """Return what to read from, and what a child is to write into."""
    if is_terminal:
        with contextlib.suppress(OSError):  # no more terminals: then a pipe
            return _terminal(out)
    ours, inner = os.pipe()
    with contextlib.suppress(OSError, ImportError, AttributeError):
        import fcntl

        fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, _PIPE)
    return ours, inner


def _terminal(out: int) -> tuple[int, int]:
    """Return a new terminal like ours that leaves it to ours to end lines."""
    import termios

    ours, inner = os.openpty()
    with contextlib.suppress(OSError, termios.error):
        modes = termios.tcgetattr(out)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(inner, termios.TCSANOW, modes)
        _copy_size(out, ours)
    return ours, inner


def _copy_size(of: int, to: int) -> None:
    import fcntl
    import termios

    size = fcntl.ioctl(of, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(to, termios.TIOCSWINSZ, size)
