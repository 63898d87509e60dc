"""slack_sdk's two clients, on Tocsin's transport and with nothing said to its logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from slack_sdk.web.client import WebClient
from slack_sdk.webhook.client import WebhookClient
from slack_sdk.webhook.webhook_response import WebhookResponse

from tocsin import Ambiguous, DeliveryError, OutOfOrder, http
from tocsin_slack._outcome import api_failure, webhook_failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.request import Request

    from slack_sdk.web.slack_response import SlackResponse

    from tocsin.http import Answer, Deadline
    from tocsin_slack._blocks import Payload

T = TypeVar("T")

_API = http.Service("Slack", judge=api_failure)
_HOOKS = http.Service("Slack", judge=webhook_failure)

# slack_sdk has no public way to keep it from following redirects, so these two are
# overridden. Should it rename them, this line fails before a request goes out without us.
_OVERRIDDEN = (
    WebClient._perform_urllib_http_request_internal,  # noqa: SLF001
    WebhookClient._perform_http_request_internal,  # noqa: SLF001
)

# It logs a webhook's URL, which is a secret: into this, which nobody reads.
_SILENT = logging.Logger("tocsin_slack.silent", logging.CRITICAL + 1)  # noqa: LOG001
_SILENT.disabled = True


class Bot(WebClient):
    """The Web API: no retry, no redirect, everything within one deadline."""

    def __init__(self, token: str, base_url: str, deadline: Deadline) -> None:
        super().__init__(token, base_url, logger=_SILENT, retry_handlers=[])
        self.deadline = deadline

    def call(
        self,
        method: str,
        *,
        json: Payload | None = None,
        params: Payload | None = None,
    ) -> SlackResponse:
        """Call one method, once.

        Raises:
            DeliveryError: It did not succeed.

        """
        return sealed(lambda: self.api_call(method, json=json, params=params))

    def _perform_urllib_http_request_internal(
        self,
        url: str,  # noqa: ARG002 - the request has it too
        req: Request,
    ) -> dict[str, Any]:
        answer = _sent(_API, req, self.deadline)
        return {
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.text,
        }


class Webhook(WebhookClient):
    """An incoming webhook: no retry, no redirect, everything within one deadline."""

    def __init__(self, url: str, deadline: Deadline) -> None:
        super().__init__(url, logger=_SILENT, retry_handlers=[])
        self._deadline = deadline

    def post(self, payload: Payload) -> None:
        """Post one message, once.

        Raises:
            DeliveryError: It did not succeed.

        """
        sealed(lambda: self.send_dict(payload))

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        answer = _sent(_HOOKS, req, self._deadline)
        return WebhookResponse(
            url=url,
            status_code=answer.status,
            body=answer.text,
            headers=dict(answer.headers),
        )


def sealed(call: Callable[[], T]) -> T:
    """Call; let out a failure, but no frame, cause or context that saw a secret.

    Raises:
        DeliveryError: The call did not succeed.

    """
    failure: DeliveryError
    try:
        return call()
    except DeliveryError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - slack_sdk met what it did not expect
        failure = Ambiguous(f"slack_sdk failed with a {type(error).__name__}")
    failure.__cause__ = failure.__context__ = None
    raise failure.with_traceback(None)


def _sent(service: http.Service, request: Request, deadline: http.Deadline) -> Answer:
    if not all(map(_is_writable, request.headers.values())):
        raise OutOfOrder(
            "the token has characters that no token has",
            remedy="copy it anew from your app's page at api.slack.com/apps",
        )
    return service.request(
        request.get_method(),
        request.full_url,
        headers=request.headers,
        data=request.data,  # type: ignore[arg-type] # slack_sdk sends bytes
        timeout=deadline.left(),
    )


def _is_writable(value: str) -> bool:
    return value.isascii() and value.isprintable()
