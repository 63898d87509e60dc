"""The faults that the double shows next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from tocsin_slack.testing._reply import Reply, as_json, as_text, refused

if TYPE_CHECKING:
    from tocsin_slack.testing._received import Received

_HTTP = re.compile(r"http_([1-5]\d\d)")
_REFUSAL = re.compile(r"ok_false:(\w+)")
_PAGE = "<!doctype html><title>Sign in</title><p>Please sign in to the network."

BROKEN = frozenset({"hang", "drip", "close_after_read", "garbage"})
"""What a connection does instead of carrying an answer."""


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that goes wrong, and with which request."""

    kind: str
    on: str = ""
    """The method, or the beginning of the path; empty for any request."""
    retry_after: str = ""
    location: str = ""
    arrives: bool = False
    """Whether the request takes effect all the same."""

    def __attrs_post_init__(self) -> None:
        if self.kind in BROKEN:
            return
        self.reply(is_webhook=False)

    def concerns(self, received: Received) -> bool:
        """Whether it is meant for this request."""
        return received.method == self.on or received.path.startswith(self.on)

    def reply(self, *, is_webhook: bool) -> Reply:
        """Return what is answered instead.

        Raises:
            ValueError: There is no fault of this kind.

        """
        if found := _REFUSAL.fullmatch(self.kind):
            code = found[1]
            return as_text(code, status=400) if is_webhook else refused(code)
        if found := _HTTP.fullmatch(self.kind):
            return self._waiting(as_text("", status=int(found[1])))
        if self.kind == "ratelimited":
            content = {"ok": False, "error": "ratelimited"}
            return self._waiting(as_json(content, status=429))
        if self.kind == "redirect":
            return as_text("", status=302, location=self.location)
        if self.kind == "html":
            return as_text(_PAGE)
        if self.kind.startswith("body:"):
            return as_text(self.kind.removeprefix("body:"))
        raise ValueError(f"there is no fault {self.kind!r}: see SlackDouble.fail_next")

    def _waiting(self, reply: Reply) -> Reply:
        if not self.retry_after:
            return reply
        return attrs.evolve(reply, headers={"retry-after": self.retry_after})


@attrs.define
class Script:
    """Faults in order; each is used once."""

    _faults: list[Fault] = attrs.field(factory=list)

    def add(self, fault: Fault) -> None:
        """Put a fault last."""
        self._faults.append(fault)

    def take(self, received: Received) -> Fault | None:
        """Return the first fault that is meant for this request, and strike it out."""
        for fault in self._faults:
            if fault.concerns(received):
                self._faults.remove(fault)
                return fault
        return None
