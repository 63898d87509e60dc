# no `from __future__ import annotations`: the fields' types are read from the class
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from tocsin import Limits, Provider

if TYPE_CHECKING:
    from tocsin import Delivery, Message, Receipt


def _name(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a string")
    if not value.isprintable():
        raise ValueError(f"{attribute.name} must be printable, not {value!r}")


@attrs.frozen(kw_only=True)
class Desktop(Provider):
    """The notifications of the desktop at this machine.

    Raises:
        TypeError: `app_name` is no string.
        ValueError: `app_name` holds what cannot be printed.

    """

    app_name: str = attrs.field(
        default="Tocsin",
        validator=_name,
        metadata={
            "help": "What a notification says that it comes from. macOS shows another name."
        },
    )

    name: ClassVar[str] = "desktop"
    # A desktop shows a few lines; the whole has to fit the arguments of a program.
    limits: ClassVar[Limits] = Limits(title=200, text=2000)
    concurrency: ClassVar[int] = 1  # one person reads them

    def deliver(self, message: "Message", delivery: "Delivery") -> "Receipt":
        """Show one notification.

        Raises:
            OutOfOrder: There is no desktop here, or nothing that shows notifications.
            RetryLater: The desktop has too many of them.
            Ambiguous: The program that shows it did not end in time.

        """
        from tocsin import Receipt
        from tocsin_desktop._command import command_for
        from tocsin_desktop._process import run

        run(command_for(sys.platform, message, self.app_name), delivery.timeout)
        names = ", ".join(item.name for item in message.attachments)
        return Receipt(
            note=f"A notification holds no attachments: {names}." * bool(names)
        )

    def check(self, timeout: float) -> str:  # noqa: ARG002 - it asks nobody
        """Say by which program notifications are shown; none is.

        Raises:
            DeliveryError: There is no desktop here.

        """
        from tocsin_desktop._command import program_for
        from tocsin_desktop._process import find

        return f"notifications are shown by {find(program_for(sys.platform))}"
