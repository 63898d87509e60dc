"""A double of Discord on the loopback, for tests of whatever posts to a webhook."""

from tocsin_discord.testing._double import DiscordDouble, Post, rate_limit
from tocsin_discord.testing._limits import violations

__all__ = ["DiscordDouble", "Post", "rate_limit", "violations"]
