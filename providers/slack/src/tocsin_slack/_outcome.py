"""What Slack answered becomes the outcome of an attempt. Pure.

Slack's codes: https://docs.slack.dev/reference/methods/chat.postMessage#errors,
https://docs.slack.dev/reference/methods/chat.update#errors and
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tocsin import OutOfOrder, Rejected, RetryLater, http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin import DeliveryError
    from tocsin.http import Answer

_OK = 200
_CODE = re.compile(r"[a-z][a-z0-9_]{1,79}")  # no token, and no sentence, looks like one
_SCOPE = re.compile(r"[a-z:.,]{1,80}")

_AUTHENTICATE = (
    "put the Bot User OAuth Token of your app (api.slack.com/apps > OAuth & Permissions) "
    "where the channel's token refers to"
)
_WEBHOOK = (
    "make a new webhook (api.slack.com/apps > Incoming Webhooks) and put its URL where "
    "the channel's webhook_url refers to"
)
_SCOPES = "add the scope under OAuth & Permissions at api.slack.com/apps, then reinstall the app"
_CHANNEL = (
    "check the channel's id (channel details > About); a private channel is found only "
    "once the app is in it: /invite @app"
)
_UNARCHIVE = "unarchive the channel in Slack, or configure another"
_ADMIN = "ask an admin of the workspace to let the app post there"
_OWNER = "an owner of the workspace has to settle this in Slack"
_FILES = "ask an admin of the workspace to allow such files"

# Whatever the channel sends, Slack refuses it, until somebody puts this right.
_OUT_OF_ORDER = {
    "account_inactive": _AUTHENTICATE,
    "invalid_auth": _AUTHENTICATE,
    "not_allowed_token_type": _AUTHENTICATE,
    "not_authed": _AUTHENTICATE,
    "token_expired": _AUTHENTICATE,
    "token_revoked": _AUTHENTICATE,
    "missing_scope": _SCOPES,
    "no_permission": _SCOPES,
    "channel_not_found": _CHANNEL,
    "not_in_channel": "invite the app to the channel: /invite @app",
    "channel_is_archived": _UNARCHIVE,
    "is_archived": _UNARCHIVE,
    "user_disabled": "the member is deactivated: configure another channel",
    "user_not_found": "check the member's id (profile > Copy member ID)",
    "messages_tab_disabled": "allow messages to the app: App Home > Messages Tab",
    "access_denied": _ADMIN,
    "accesslimited": "post from a network that the workspace allows",
    "action_prohibited": _ADMIN,
    "not_allowed": _ADMIN,
    "posting_to_general_channel_denied": _ADMIN,
    "restricted_action": _ADMIN,
    "restricted_action_read_only_channel": _ADMIN,
    "restricted_action_thread_only_channel": _ADMIN,
    "ekm_access_denied": _OWNER,
    "enterprise_is_restricted": _OWNER,
    "org_login_required": _OWNER,
    "team_access_not_granted": _OWNER,
    "team_disabled": _OWNER,
    "team_not_found": "configure the channel by its id, not by its name",
    "two_factor_setup_required": _OWNER,
    "invalid_token": _WEBHOOK,
    "no_active_hooks": _WEBHOOK,
    "no_service": _WEBHOOK,
    "no_service_id": _WEBHOOK,
    "no_team": _WEBHOOK,
}

# These refuse one message, or one of its files.
_FINAL = {
    "file_type_not_allowed": _FILES,
    "file_upload_size_restricted": _FILES,
    "file_uploads_disabled": _FILES,
    "file_uploads_except_images_disabled": _FILES,
    "storage_limit_reached": "free space in the workspace, or enlarge its plan",
}

_PASSING = {
    "fatal_error",
    "internal_error",
    "message_limit_exceeded",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "rollup_error",
    "service_unavailable",
    "team_added_to_org",
}

_LAYOUT = {
    "attachment_payload_limit_exceeded",
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
    "msg_too_long",
    "too_many_attachments",
}

_THREAD = {
    "cannot_reply_to_message",
    "invalid_thread_ts",
    "restricted_action_non_threadable_channel",
    "restricted_action_thread_locked",
}


class LayoutRefused(Rejected):
    """Slack does not take the message in this form; it may in the plain one."""


class ThreadRefused(Rejected):
    """Slack does not take the message as a reply; it may by itself."""


def api_failure(answer: Answer) -> DeliveryError | None:
    """Judge what the Web API answered: 200 is success only with ``"ok": true``."""
    content = _json_object(answer.text)
    if answer.status == _OK and content.get("ok") is True:
        return None
    return _refusal(_code(content.get("error")), _needed(content), answer)


def webhook_failure(answer: Answer) -> DeliveryError | None:
    """Judge what an incoming webhook answered: success is the one word ``ok``."""
    if answer.status == _OK and answer.text == "ok":
        return None
    # an error comes with a status of its own; a word beside 200 is not Slack's
    code = _code(answer.text.strip()) if answer.status != _OK else ""
    return _refusal(code, "", answer)


def upload_failure(answer: Answer) -> DeliveryError | None:
    """Judge what the upload of a file's bytes got: 200 is success, whatever the body.

    Bytes that went astray show when the upload is completed.
    """
    return None if answer.status == _OK else _by_status("", answer)


def _json_object(body: str) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _code(value: object) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def _needed(content: Mapping[str, Any]) -> str:
    needed = content.get("needed")
    return needed if isinstance(needed, str) and _SCOPE.fullmatch(needed) else ""


def _refusal(code: str, needed: str, answer: Answer) -> DeliveryError:
    reason = f"Slack refused: {code}" + (f" ({needed})" if needed else "")
    if known := _known(code, reason):
        return known
    if code in _PASSING:
        # internal_error and fatal_error say that part of it may have been done. They
        # are no Ambiguous, which ends after a few attempts, because an outage lasts
        # longer, and an alert is better had twice than not at all.
        wish = answer.headers.get("retry-after")
        return RetryLater(reason, after=http.retry_after(wish, datetime.now(UTC)))
    if code and answer.status == _OK:
        return Rejected(reason, remedy=f"look {code} up at docs.slack.dev")
    return _by_status(code, answer)


def _known(code: str, reason: str) -> Rejected | None:
    if code in _LAYOUT:
        return LayoutRefused(reason)
    if code in _THREAD:
        return ThreadRefused(reason)
    if code in _OUT_OF_ORDER:
        return OutOfOrder(reason, remedy=_OUT_OF_ORDER[code])
    return Rejected(reason, remedy=_FINAL[code]) if code in _FINAL else None


def _by_status(code: str, answer: Answer) -> DeliveryError:
    return answer.service.failure(answer, words=code) or answer.unlike()
