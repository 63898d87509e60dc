# no `from __future__ import annotations`: the fields' types are read from the class
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from tocsin import Provider

if TYPE_CHECKING:
    from tocsin import Delivery, Message, Receipt


def _path(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a string")
    if not value.startswith(("/", "~/")) or "\0" in value:
        raise ValueError(
            f"{attribute.name} must begin with / or ~/, not {value!r}: a relative path "
            "would be another file for each program that delivers"
        )


@attrs.frozen(kw_only=True)
class File(Provider):
    """A file that gets a line of JSON for each delivery.

    Raises:
        TypeError: `path` is no string.
        ValueError: `path` is relative.

    """

    path: str = attrs.field(
        validator=_path,
        metadata={
            "help": "The file that lines are appended to. It is made, for you alone; its "
            "folder must be there.",
            "path": True,
            "example": "~/alerts.jsonl",
        },
    )

    name: ClassVar[str] = "file"
    concurrency: ClassVar[int] = (
        1  # lines in the order of the deliveries, and no waiting
    )

    def deliver(self, message: "Message", delivery: "Delivery") -> "Receipt":
        """Append one line, and have it on the disk.

        Raises:
            OutOfOrder: The file cannot be written as it is.
            RetryLater: There is no room, or another process holds the file.
            Ambiguous: The disk failed halfway.

        """
        from tocsin import Receipt
        from tocsin_file._appending import append
        from tocsin_file._record import line_of

        append(self._file, line_of(message, delivery), timeout=delivery.timeout)
        names = ", ".join(item.name for item in message.attachments)
        return Receipt(
            reference=delivery.id,
            place=str(self._file),
            note=f"The file names the attachments, and holds none: {names}."
            if names
            else "",
        )

    def check(self, timeout: float) -> str:  # noqa: ARG002 - it asks nobody
        """Say whether a line could be appended; nothing is written or made.

        Raises:
            DeliveryError: It could not.

        """
        from tocsin_file._appending import inspect

        return inspect(self._file)

    @property
    def _file(self) -> Path:
        return Path(self.path).expanduser()
