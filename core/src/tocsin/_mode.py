"""Whether alerts are delivered, only kept, or switched off."""

from __future__ import annotations

import os
from enum import Enum


class Mode(Enum):
    """What a notifier does with an alert."""

    ONLINE = "online"
    """Keep it and deliver it."""
    OFFLINE = "offline"
    """Keep it; whoever is online with this configuration delivers it later."""
    DISABLED = "disabled"
    """Nothing."""

    @classmethod
    def parse(cls, mode: Mode | str | None) -> Mode:
        """Return the mode; None means `TOCSIN_MODE`, and that defaults to online.

        While alerts are captured in a test, None means `presumed`.

        Raises:
            ValueError: It names no mode.

        """
        if isinstance(mode, cls):
            return mode
        if mode is None and presumed is not None:
            return cls(presumed)
        named = mode if mode is not None else os.environ.get("TOCSIN_MODE") or "online"
        try:
            return cls(str(named).lower())
        except ValueError:
            raise ValueError(
                f"mode must be 'online', 'offline' or 'disabled', not {named!r}"
            ) from None


presumed: Mode | None = None
"""What a test goes by, whatever the environment says: see `tocsin.testing`."""
