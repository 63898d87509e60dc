"""A URL becomes a service of Apprise that makes one attempt and says nothing aloud."""

from __future__ import annotations

import contextlib
from email import charset
from typing import TYPE_CHECKING, Any, cast

import apprise
from apprise.plugins import NotifyBase

from tocsin import OutOfOrder
from tocsin_apprise._hearing import Ear, hushed

if TYPE_CHECKING:
    from collections.abc import Iterator


class Throttled(Exception):  # noqa: N818 - it says what happened
    """The service is to be left alone for a while."""


class Service:
    """One service: Apprise's own object, with what it would do by itself taken away."""

    def __init__(self, url: str) -> None:
        self.url = url
        del url  # a crash reporter shows the variables of a frame
        with hushed(), _charset_kept():
            self._apprise = apprise.Apprise(asset=_asset())
            plugin = apprise.Apprise.instantiate(self.url, asset=self._apprise.asset)
        if not isinstance(plugin, NotifyBase):
            raise OutOfOrder(
                "Apprise does not take the channel's url",
                remedy="compare it with the service's page at appriseit.com/services, "
                "and install what else that names",
            )
        self._apprise.add(plugin)
        self.plugin = cast("Any", plugin)
        self.after: float | None = None
        """Seconds that the service is to be left alone, if the plugin knows."""
        self.ear = Ear()
        self.plugin.logger = self.ear
        self.plugin.throttle = self._throttle
        self.plugin.retry, self.plugin.wait, self.plugin.optional = 0, 0.0, False
        # the message was cut to size: one that is longer all the same stays one message
        self.plugin.overflow_mode = apprise.OverflowMode.TRUNCATE

    @property
    def name(self) -> str:
        """What Apprise calls the service."""
        return str(self.plugin.service_name)

    def notify(self, timeout: float, **words: Any) -> bool:  # noqa: ANN401 - Apprise's
        """Make one attempt, in this thread, and say whether Apprise calls it a success."""
        self.after = None
        self.ear.lines.clear()
        self.plugin.socket_connect_timeout = timeout / 2
        self.plugin.socket_read_timeout = timeout / 2
        return bool(self._apprise.notify(**words))

    def _throttle(self, last_io: object = None, wait: float | None = None) -> None:  # noqa: ARG002 - Apprise's signature
        """Let Tocsin do the waiting that a plugin asks for before a request."""
        if wait is not None and wait > 0:
            self.after = float(wait)
            raise Throttled


@contextlib.contextmanager
def _charset_kept() -> Iterator[None]:
    """Undo what Apprise does to the mail of the whole process, when it imports its own
    mailer: ``add_charset("utf-8", QP, QP)``.
    """  # noqa: D205 - one sentence
    was = charset.CHARSETS["utf-8"]
    try:
        yield
    finally:
        charset.CHARSETS["utf-8"] = was


def _asset() -> apprise.AppriseAsset:
    """Return how to send: in the caller's thread, following nobody elsewhere."""
    known: dict[str, Any] = {
        "app_id": "Tocsin",
        "app_desc": "Tocsin",
        "app_url": "",
        "async_mode": False,
        "http_redirects": False,
        "secure_logging": True,
        "storage_mode": "memory",
    }
    try:
        return apprise.AppriseAsset(**known, service_timeout=0)
    except (
        AttributeError
    ):  # 1.x knows no such time, after which it leaves a thread behind
        return apprise.AppriseAsset(**known)
