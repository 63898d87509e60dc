"""A double of Telegram's Bot API on the loopback, for tests of whatever a bot sends."""

from tocsin_telegram.testing._double import Post, TelegramDouble, rate_limit
from tocsin_telegram.testing._html import BadMarkup, parsed

__all__ = ["BadMarkup", "Post", "TelegramDouble", "parsed", "rate_limit"]
