from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apprise

from tocsin import AlertLevel, Limits, Receipt
from tocsin_apprise._hearing import hushed
from tocsin_apprise._outcome import failure, last_words
from tocsin_apprise._redaction import fit
from tocsin_apprise._service import Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin import (
        Alert,
        Attachment,
        Delivery,
        DeliveryError,
        Message,
        Secret,
    )

_TYPES = {
    AlertLevel.INFO: apprise.NotifyType.INFO,
    AlertLevel.WARN: apprise.NotifyType.WARNING,
    AlertLevel.ERROR: apprise.NotifyType.FAILURE,
}


class AppriseSender:
    """Sends by one service of Apprise; several threads never share one."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._service = Service(url.reveal())

    @property
    def limits(self) -> Limits:
        """What the service takes of a message, in characters, as Apprise counts."""
        plugin = self._current().plugin
        # some count the title as a part of the body
        title = plugin.title_maxlen if plugin.overflow_amalgamate_title else 0
        return Limits(
            title=plugin.title_maxlen or None, text=plugin.body_maxlen - title
        )

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Make one attempt.

        Raises:
            DeliveryError: Apprise says that it failed.
            SecretUnavailable: The URL's reference does not resolve.

        """
        service = self._current()
        has_title = service.plugin.title_maxlen > 0
        with hushed(), _files(message.attachments, service) as files:
            is_sent = service.notify(
                delivery.timeout,
                title=message.title if has_title else "",
                body=(message.body if has_title else "") or message.text,
                notify_type=_type(message.alert),
                body_format=apprise.NotifyFormat.TEXT,
                attach=files or None,
            )
        if not is_sent:
            raise _failure(service, message)
        return Receipt(place=service.name, note=_left_out(message, service))

    def check(self) -> str:
        """Return a sentence on the service that the URL is for."""
        return f"Apprise has {self._current().name} for the url; nobody was asked"

    def close(self) -> None:
        """Do nothing: a service keeps no connection that could be closed."""

    def _current(self) -> Service:
        """Return the service of the URL as it is now."""
        if self._url.reveal() != self._service.url:
            self._service = Service(self._url.reveal())
        return self._service


def _failure(service: Service, message: Message) -> DeliveryError:
    """Make the error where no frame of its traceback shows what Apprise logged."""
    lines = service.ear.lines
    words = fit(last_words(lines), service.url, message.title, message.text)
    return failure(service.name, lines, service.after, words)


def _type(alert: Alert) -> apprise.NotifyType:
    if alert.kind in {"finished", "resolved"}:
        return apprise.NotifyType.SUCCESS
    return _TYPES[alert.level]


@contextlib.contextmanager
def _files(attachments: Iterable[Attachment], service: Service) -> Iterator[list[Any]]:
    """Write the attachments down for as long as it takes to send them."""
    from apprise.attachment.file import AttachFile

    if not service.plugin.attachment_support:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="tocsin-") as folder:
        files = []
        for number, item in enumerate(attachments):
            path = Path(folder, str(number))
            path.write_bytes(item.content)
            known = {"name": item.name, "mimetype": item.content_type}
            files.append(AttachFile(path=str(path), **known))  # type: ignore[no-untyped-call]  # Apprise's
        yield files


def _left_out(message: Message, service: Service) -> str:
    if service.plugin.attachment_support or not message.attachments:
        return ""
    names = ", ".join(item.name for item in message.attachments)
    return f"{service.name} takes no attachments: {names}."
