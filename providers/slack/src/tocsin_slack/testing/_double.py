from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tocsin_slack.testing._received import Received
from tocsin_slack.testing._script import BROKEN, Fault, Script
from tocsin_slack.testing._service import Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tocsin_slack.testing._post import Post
    from tocsin_slack.testing._reply import Reply

_PATIENCE = (
    30.0  # seconds that a connection may be silent, so that none outlives a test
)


class SlackDouble:
    """A Slack on the loopback, for as long as the ``with`` block lasts.

    It checks what Slack checks (the token, its scopes, the channel, the limits of a
    message) and answers as Slack does; it does not limit the rate, and drops no message
    for its client_msg_id. A reply to a message that is not there stands alone, as in Slack
    (github.com/slack-go/slack/issues/1571); one to a reply, from which Slack advises, is
    refused.

    ``channels`` are ids and names, those of ``private`` are private; ``members`` get direct
    messages, and may have ``names``; a bot is in every channel but those of ``absent_from``.
    """

    def __init__(
        self,
        *,
        token: str = "xoxb-double",  # noqa: S107 - it opens nothing
        channels: Mapping[str, str] = {"C0ALERTS": "alerts"},
        members: Iterable[str] = ("U0ADA",),
        names: Mapping[str, str] = {"U0ADA": "ada"},
        private: Iterable[str] = (),
        absent_from: Iterable[str] = (),
        archived: Iterable[str] = (),
        scopes: Iterable[str] = ("chat:write", "files:write"),
        team: str = "Double",
        bot: str = "tocsin",
    ) -> None:
        self._service = Service(
            token=token,
            channels=dict(channels),
            members={member: names.get(member, member.lower()) for member in members},
            private=frozenset(private),
            absent_from=frozenset(absent_from),
            archived=frozenset(archived),
            scopes=frozenset(scopes),
            team=team,
            bot=bot,
        )
        self._script = Script()
        self._requests: list[Received] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """What to set as the provider's ``base_url``."""
        return f"{self.origin}/api/"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def token(self) -> str:
        """The one token that is taken."""
        return self._service.token

    def webhook_url(self, channel: str = "C0ALERTS") -> str:
        """Return the URL of a new webhook to this channel, by id or name."""
        with self._changed:
            return self.origin + self._service.webhook_path(channel)

    def revoke(self) -> None:
        """Answer ``token_revoked`` to the token from now on."""
        with self._changed:
            self._service.is_revoked = True

    def rotate(self, token: str) -> None:
        """Take this token, and no other, from now on."""
        with self._changed:
            self._service.token, self._service.is_revoked = token, False

    @property
    def messages(self) -> list[Post]:
        """The messages that were taken, in order, each as it is now."""
        with self._changed:
            return list(self._service.posts)

    def replies(self, ts: str) -> list[Post]:
        """Return the messages in the thread of this one, in order."""
        return [post for post in self.messages if post.thread == ts]

    @property
    def requests(self) -> list[Received]:
        """The requests that came, in order, whatever was answered."""
        with self._changed:
            return list(self._requests)

    def calls(self, method: str) -> list[Received]:
        """Return the requests of one method, for example ``chat.postMessage``."""
        return [received for received in self.requests if received.method == method]

    def wait_for(self, count: int, timeout: float = 5.0) -> list[Post]:
        """Return the messages as soon as there are so many.

        Raises:
            TimeoutError: There were fewer after so many seconds.

        """
        posts = self._service.posts
        with self._changed:
            if not self._changed.wait_for(lambda: len(posts) >= count, timeout):
                raise TimeoutError(f"{len(posts)} of {count} messages came")
            return list(posts)

    def fail_next(
        self,
        fault: str,
        *,
        times: int = 1,
        on: str = "",
        retry_after: str | float = "",
        location: str = "",
        arrives: bool = False,
    ) -> None:
        """Let the next requests fail: those of the method `on`, or any.

        With `arrives` a request takes effect before its answer is lost. The faults:

        ======================  =======================================================
        ``ratelimited``         429, with ``Retry-After: retry_after`` if it is given
        ``http_503``, …         this status, likewise
        ``ok_false:is_…``       this error code, as the Web API or a webhook gives it
        ``redirect``            302 to `location`
        ``html``                200 with a network's sign-in page
        ``body:…``              200 with this body
        ``hang``                read the request, then say nothing
        ``drip``                answer a header that never ends, a byte at a time
        ``close_after_read``    read the request, then close
        ``garbage``             answer with what is no HTTP
        ======================  =======================================================

        Raises:
            ValueError: There is no such fault.

        """
        planned = Fault(
            kind=fault,
            on=on,
            retry_after=str(retry_after),
            location=location,
            arrives=arrives,
        )
        with self._changed:
            for _ in range(times):
                self._script.add(planned)

    def _receive(self, received: Received) -> tuple[Reply | None, str]:
        """Return the reply; or none, and how the connection breaks instead."""
        with self._changed:
            self._requests.append(received)
            fault = self._script.take(received)
            reply = None
            if fault is None or fault.arrives:
                reply = self._service.reply(received, self.origin)
            self._changed.notify_all()
        if fault is None:
            return reply, ""
        if fault.kind in BROKEN:
            return None, fault.kind
        return fault.reply(is_webhook=received.path.startswith("/services/")), ""


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them, so that no socket is left open
    request_queue_size = 128  # connections that wait to be taken

    def __init__(self, double: SlackDouble) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.double = double

    def serve(self) -> None:
        self.serve_forever(poll_interval=0.01)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        if not isinstance(sys.exception(), OSError):  # a client that went away
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        received = Received(
            verb=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        reply, breakage = self.server.double._receive(received)  # noqa: SLF001 - its own
        if reply is None:
            self._break(breakage)
        else:
            self._answer(reply)

    def do_GET(self) -> None:  # which a client that follows a redirect sends
        self.do_POST()

    def _answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _break(self, breakage: str) -> None:
        closing = self.server.double._closing  # noqa: SLF001 - its own
        if breakage == "hang":
            closing.wait(_PATIENCE)
        elif breakage == "garbage":
            self.wfile.write(b"220 mail.example ESMTP\r\n")
        elif breakage == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not closing.wait(0.05):
                self.wfile.write(b".")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        """Say nothing."""
