"""A Gotify server on the loopback, for tests."""

from typing import Any

import tocsin
from tocsin import testing


class GotifyDouble(testing.HttpDouble):
    """Takes what Gotify takes, and keeps it."""

    def __init__(self, token: str = "a-token-of-tests") -> None:
        super().__init__()
        self.token = tocsin.Secret(token)
        self.messages: list[dict[str, Any]] = []
        """What was sent, the oldest first."""

    def answer(self, request: testing.Received) -> testing.Reply:
        """Answer as Gotify does."""
        if (request.method, request.path) == ("GET", "/version"):
            return testing.Reply(json={"version": "2.6.1"})
        if request.headers.get("x-gotify-key") != self.token.reveal():
            return _error(401, "you need to provide a valid access token")
        if (request.method, request.path) != ("POST", "/message"):
            return _error(404, "page not found")
        message = request.json()
        if not message.get("message"):
            return _error(400, "Field 'message' is required")
        self.messages.append(message)
        return testing.Reply(json={"id": len(self.messages), "appid": 1, **message})


def _error(status: int, words: str) -> testing.Reply:
    told = {"error": "", "errorCode": status, "errorDescription": words}
    return testing.Reply(status, json=told)
