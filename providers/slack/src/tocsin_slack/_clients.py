"""slack_sdk's two clients, on our transport and with nothing said to its logs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from slack_sdk.web.client import WebClient
from slack_sdk.webhook.client import WebhookClient
from slack_sdk.webhook.webhook_response import WebhookResponse

from tocsin import Ambiguous, DeliveryError
from tocsin_slack._answer import Answer
from tocsin_slack._outcome import api_failure, webhook_failure
from tocsin_slack._transport import post

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.request import Request

    from slack_sdk.web.slack_response import SlackResponse

    from tocsin_slack._answer import Lost
    from tocsin_slack._blocks import Payload
    from tocsin_slack._transport import Deadline

T = TypeVar("T")

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
        answer = _judged(post(req, self.deadline), api_failure)
        return {
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.body,
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
        answer = _judged(post(req, self._deadline), webhook_failure)
        return WebhookResponse(
            url=url,
            status_code=answer.status,
            body=answer.body,
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


def _judged(
    result: Answer | Lost,
    judge: Callable[[Answer | Lost, datetime], DeliveryError | None],
) -> Answer:
    if failure := judge(result, datetime.now(UTC)):
        raise failure
    assert isinstance(result, Answer)
    return result
