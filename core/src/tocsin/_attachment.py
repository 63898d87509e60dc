from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol, TypeGuard, cast

import attrs
from attrs.validators import instance_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

MAX_ATTACHMENT_BYTES = 10 * 1024 * 1024
"""All attachments of one alert together; what is beyond is left out, and told."""


class Figure(Protocol):
    """Anything that can save itself as a picture, as a matplotlib figure does."""

    def savefig(self, file: BinaryIO, /, *, format: str) -> object:  # noqa: A002 - matplotlib's own name
        """Write the picture into a binary file."""


@attrs.frozen
class Attachment:
    """A file that travels with an alert: its name, its bytes, its media type."""

    name: str = attrs.field(validator=instance_of(str))
    content: bytes = attrs.field(
        repr=lambda content: f"<{len(content)} bytes>", validator=instance_of(bytes)
    )
    content_type: str = attrs.field(validator=instance_of(str))

    @content_type.default
    def _guess_content_type(self) -> str:
        import mimetypes

        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"


Attachable = str | os.PathLike[str] | bytes | Attachment | Figure
"""A path, bytes, an `Attachment`, or anything with matplotlib's ``savefig``."""


def _is_attachable(item: object) -> TypeGuard[Attachable]:
    # isinstance() of a protocol costs more than all else that is done with an alert
    return isinstance(item, str | os.PathLike | bytes | Attachment) or _is_figure(item)


def _is_figure(item: object) -> TypeGuard[Figure]:
    return hasattr(item, "savefig")


def attachables(value: Iterable[Attachable] | Attachable) -> tuple[Attachable, ...]:
    """Return what is to be attached as a tuple; it is read by `copy_all`, not here.

    Raises:
        TypeError: Something in it cannot be attached.

    """
    if type(value) is tuple and not value:
        return ()
    if _is_attachable(value):
        return (value,)
    items = tuple(cast("Iterable[Attachable]", value))
    for item in items:
        if not _is_attachable(item):
            raise TypeError(
                "an attachment must be a path, bytes, an Attachment, or have savefig(), "
                f"not {type(item).__name__}"
            )
    return items


def copy_all(items: Iterable[Attachable]) -> tuple[tuple[Attachment, ...], list[str]]:
    """Copy what is attached; also return why each one that had to be left out was.

    A file that is gone or a figure that cannot be drawn never loses the alert.
    """
    copies: list[Attachment] = []
    left_out: list[str] = []
    room = MAX_ATTACHMENT_BYTES
    for position, item in enumerate(items, 1):
        name = f"attachment {position}"
        try:
            name = _name(item, position)
            copied = _copy(item, name, room)
        except Exception as error:  # noqa: BLE001 - a figure runs anyone's code
            left_out.append(f"{name}: {_reason(error)}")
            continue
        copies.append(copied)
        room -= len(copied.content)
    return tuple(copies), left_out


class _TooLarge(Exception):  # noqa: N818 - it says what happened
    pass


def _name(item: Attachable, position: int) -> str:
    if isinstance(item, Attachment):
        return item.name
    if isinstance(item, str | os.PathLike):
        return os.path.basename(item) or os.fspath(item)  # noqa: PTH119 - pathlib costs import time
    return f"attachment-{position}" + (".png" if _is_figure(item) else ".bin")


def _copy(item: Attachable, name: str, room: int) -> Attachment:
    if isinstance(item, Attachment):
        copied = item
    elif isinstance(item, bytes):
        copied = Attachment(name, item)
    elif isinstance(item, str | os.PathLike):
        copied = Attachment(name, _read(item, room))
    else:
        copied = Attachment(name, _draw(item))
    if len(copied.content) > room:
        raise _TooLarge
    return copied


def _read(path: str | os.PathLike[str], room: int) -> bytes:
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - likewise
        raise OSError(None, "it is no regular file")  # a pipe would hold the caller
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs import time
        return file.read(room + 1)


def _draw(figure: Figure) -> bytes:
    import io

    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _reason(error: Exception) -> str:
    if isinstance(error, _TooLarge):
        return (
            f"beyond the {MAX_ATTACHMENT_BYTES // 1024**2} MB that one alert may carry"
        )
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the error is anyone's too
        return type(error).__name__
