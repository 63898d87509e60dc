"""The configuration's files, changed as one: comments stay, and either all is done or nothing.

A change is a function of a tree of tables. It is done twice: to the file as tomlkit has it,
which keeps how it is written, and to what the file means. Both must come to the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
import tomllib
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._cli._mistakes import Failure, Mistake
from tocsin._config import load
from tocsin._errors import ConfigError, Problem
from tocsin._toml import Tables, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

Tree = MutableMapping[str, Any]
Change = Callable[[Tree], None]

_LOCK_WAITS = 10.0  # seconds: another one writes, which takes no time
_LOOK = 0.05
_OWN = 0o600


@attrs.define
class ConfigFiles:
    """A configuration under its lock, and what is to be changed in its files."""

    main: Path
    _changes: dict[Path, list[Change]] = attrs.field(factory=dict)

    def tables(self) -> Tables:
        """Return what the files say now.

        Raises:
            ConfigError: One of them cannot be read.

        """
        return tables_of(self.main)

    def change(self, file: str, change: Change) -> None:
        """Have something changed in a file when all of them are written."""
        self._changes.setdefault(Path(file), []).append(change)

    def write(self) -> None:
        """Write the files, and read the whole configuration as a program would.

        Raises:
            ConfigError: It has mistakes now; the files are as they were.
            Failure: A file cannot be written; likewise.

        """
        after = {
            file: _changed(file, _content(file), changes)
            for file, changes in self._changes.items()
        }
        staged: dict[Path, Path] = {}
        old: dict[Path, Path | None] = {}
        try:
            for file, text in after.items():
                staged[file] = _staged(file, text)
            for file, beside in staged.items():
                old[file] = _kept(file)
                beside.replace(file)
                sync(file.parent)
            load(self.main)
        except BaseException as error:
            _put_back(old)
            if isinstance(error, OSError):
                raise Failure(_unwritten(error)) from error
            raise
        finally:
            for beside in filter(None, (*staged.values(), *old.values())):
                beside.unlink(missing_ok=True)


def tables_of(main: Path) -> Tables:
    """Return what a configuration's files say; a file that is not there says nothing.

    Raises:
        ConfigError: One of them cannot be read.

    """
    problems: list[Problem] = []
    if not os.path.lexists(main):
        return read_nothing(main)
    tables = read_all(main, problems)
    if tables is None or problems:
        raise ConfigError(problems)
    return tables


def read_nothing(main: Path) -> Tables:
    """Return the tables of a file that is yet to be written."""
    from tocsin._toml import Table

    return Tables(Table(str(main), "", {}), Table(str(main), "user", {}))


@contextlib.contextmanager
def editing(main: Path) -> Iterator[ConfigFiles]:
    """Hold the configuration's folder, so that two who change it take turns.

    Raises:
        Failure: Another one holds it for too long, or the folder cannot be had.

    """
    made = _folders_to_make(main)
    try:
        main.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(main.parent, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(_unwritten(error)) from error
    try:
        _lock(folder, main)
        yield ConfigFiles(main)
    except BaseException:
        _remove(made)
        raise
    finally:
        os.close(folder)


def _lock(folder: int, main: Path) -> None:
    import fcntl  # which is not everywhere, unlike the other commands

    deadline = time.monotonic() + _LOCK_WAITS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Failure(
                    f"another program is changing {main}: try again when it has ended"
                ) from None
            time.sleep(_LOOK)
        except OSError:  # some network file systems have no locks: the rename is atomic
            return
        else:
            return


def _folders_to_make(main: Path) -> list[Path]:
    """Return the folders above that are not there, the innermost first."""
    return [folder for folder in main.parents if not os.path.lexists(folder)]


def _content(file: Path) -> bytes:
    """Return what is in a file; nothing when there is none.

    Raises:
        Failure: It cannot be read, or is not to be written.

    """
    try:
        mode = file.stat().st_mode
        content = file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Failure(_unwritten(error)) from error
    is_read_only = not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    if is_read_only or not os.access(file, os.W_OK):
        raise Failure(f"{file} is read-only: chmod u+w {file}, or name another")
    return content


def _changed(file: Path, content: bytes, changes: list[Change]) -> bytes:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    text = content.decode()
    meant = tomllib.loads(text)
    try:
        written = tomlkit.parse(text)
        for change in changes:
            change(meant)
            change(written)
        text = tomlkit.dumps(written)
        is_right = tomllib.loads(text) == meant
    except (TOMLKitError, ValueError, TypeError, AttributeError, KeyError):
        is_right = False
    if not is_right:
        raise Mistake(
            f"{file} is written in a way that cannot be changed safely: give each "
            "channel a table of its own, [channels.NAME], and try again"
        )
    return text.encode()


def _staged(file: Path, content: bytes) -> Path:
    """Write what a file is to hold beside it. It has its mode; a new one is one's own.

    Raises:
        OSError: It cannot be written.

    """
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else _OWN
    beside = _beside(file)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(beside, flags, _OWN)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _kept(file: Path) -> Path | None:
    """Return another name of the file that is there: to put it back takes no space."""
    beside = _beside(file)
    try:
        os.link(file, beside)
    except FileNotFoundError:
        return None
    except OSError:  # a file system without links
        shutil.copy2(file, beside)
    return beside


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.urandom(6).hex()}")


def sync(folder: Path) -> None:
    """Make sure that a crash of the machine does not take back what a folder lists."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_back(old: dict[Path, Path | None]) -> None:
    for file, beside in old.items():
        if beside is None:
            file.unlink(missing_ok=True)
        elif beside.exists():
            beside.replace(file)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # somebody else uses it
            folder.rmdir()


def _unwritten(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}it cannot be written ({error.strerror}): nothing is changed"
