"""Where secrets are kept: a file that one alone can read, the keyring, the environment."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from tocsin._cli._connect_file import sync
from tocsin._cli._mistakes import Failure
from tocsin._secret import FromKeyring

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin._toml import Table

Place = Literal["file", "keyring", "env"]

FOLDER = "secrets"
"""Beside the configuration."""
SERVICE = "tocsin"
"""In the keyring."""
_STRANGERS = stat.S_IWGRP | stat.S_IWOTH


@attrs.frozen
class Kept:
    """A secret that was put somewhere, as a configuration refers to it."""

    kind: Place
    where: str
    """The variable, the entry of the keyring, or the file's path."""

    def reference(self, folder: Path) -> dict[str, str]:
        """Return what goes into a configuration that lies in the folder."""
        if self.kind != "file":
            return {self.kind: self.where}
        return {"file": str(Path(self.where).relative_to(folder))}

    def forget(self) -> None:
        """Take it away again; one that is not there any more is no matter."""
        if self.kind == "file":
            with contextlib.suppress(FileNotFoundError):
                Path(self.where).unlink()
            with contextlib.suppress(OSError):  # another secret is in there
                Path(self.where).parent.rmdir()
        elif self.kind == "keyring":
            _forget_in_keyring(self.where)


def keep(value: str, place: Place, folder: Path, channel: str, setting: str) -> Kept:
    """Put a secret in its place; nothing that is there is overwritten.

    Raises:
        Failure: It cannot be kept there.

    """
    stem = f"{channel}.{setting}"
    if place == "env":
        variable = variable_of(channel, setting)
        os.environ[variable] = value  # for the test alert; other programs are told
        return Kept("env", variable)
    if place == "keyring":
        return Kept("keyring", _keep_in_keyring(value, stem))
    try:
        return Kept("file", str(_keep_in_file(value, folder / FOLDER, stem)))
    except OSError as error:
        raise Failure(
            f"the secret cannot be written to {folder / FOLDER} ({error.strerror}): "
            "nothing is changed"
        ) from error


def variable_of(channel: str, setting: str) -> str:
    """Return the name of an environment variable."""
    return re.sub(r"\W", "_", f"TOCSIN_{channel}_{setting}").upper()


def has_keyring() -> bool:
    """Whether there is a keyring here that can keep something."""
    try:
        import keyring
        from keyring.backends.fail import Keyring

        return not isinstance(keyring.get_keyring(), Keyring)
    except Exception:  # noqa: BLE001 - a backend is anyone's code
        return False


def own(table: Table, channel: str, others: Iterable[Table]) -> Iterator[Kept]:
    """Return which secrets of a channel's table were kept by `keep`, for it alone."""
    used = {kept for other in others for kept, _ in _references(other)}
    for kept, setting in _references(table):
        if kept not in used and _is_made(
            kept, Path(table.file).parent, channel, setting
        ):
            yield kept


def _references(table: Table) -> Iterator[tuple[Kept, str]]:
    folder = Path(table.file).parent
    for setting, value in table.values.items():
        match value:
            case {"file": str(where)}:
                yield Kept("file", os.path.normpath(folder / where)), setting
            case {"keyring": str(where)}:
                yield Kept("keyring", where), setting


def _is_made(kept: Kept, folder: Path, channel: str, setting: str) -> bool:
    head, _, name = kept.where.rpartition("/")
    beside = SERVICE if kept.kind == "keyring" else str(folder / FOLDER)
    made = rf"{re.escape(f'{channel}.{setting}')}(\.[0-9]+)?"
    return head == beside and re.fullmatch(made, name) is not None


def _names(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}.{number}" for number in count(2))


def _keep_in_file(value: str, folder: Path, stem: str) -> Path:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_folder(folder, os.fstat(where))
        for name in _names(stem):
            try:
                _write_new(name, value, where)
            except FileExistsError:
                continue
            sync(folder)
            return folder / name
    finally:
        os.close(where)
    raise AssertionError("there is always another name")


def _check_folder(folder: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & _STRANGERS:
        raise Failure(
            f"others can write to {folder}, so it cannot keep secrets: chmod 700 {folder}, "
            "or --secret-in keyring"
        )


def _write_new(name: str, value: str, folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
            stream.write(f"{value}\n")
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


def _keep_in_keyring(value: str, stem: str) -> str:
    try:
        import keyring

        for name in _names(stem):
            if keyring.get_password(SERVICE, name) is None:
                keyring.set_password(SERVICE, name, value)
                return str(FromKeyring(SERVICE, name))
    except ImportError:
        why = "the package keyring is missing: pip install 'tocsin[keyring]'"
    except Exception as error:  # noqa: BLE001 - a backend is anyone's code
        why = f"it does not take it ({type(error).__name__})"
    # raised here, so that no context holds the error, which may hold the value
    raise Failure(f"the keyring cannot keep the secret: {why}; or --secret-in file")


def _forget_in_keyring(where: str) -> None:
    entry = FromKeyring.parse(where)
    with contextlib.suppress(Exception):  # it is gone, or its keyring is
        import keyring

        keyring.delete_password(entry.service, entry.name)
