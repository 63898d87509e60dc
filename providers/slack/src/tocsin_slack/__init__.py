"""Slack for Tocsin: a bot's token or an incoming webhook."""

from tocsin_slack._provider import Slack

__all__ = ["Slack"]
