"""Attachments go up one by one, so that a retry sends only what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from tocsin import Rejected, RetryLater, http
from tocsin_slack._clients import sealed
from tocsin_slack._filename import filename
from tocsin_slack._outcome import upload_failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slack_sdk.web.slack_response import SlackResponse

    from tocsin import Attachment
    from tocsin_slack._clients import Bot
    from tocsin_slack._progress import Progress

_FILES = http.Service("Slack", judge=upload_failure)


def upload_all(
    bot: Bot, attachments: Sequence[Attachment], progress: Progress
) -> list[str]:
    """Upload what is missing into the message's thread; return what is to be told.

    An attachment that Slack refuses is told and no more: the message has arrived.

    Raises:
        RetryLater: An upload failed; the state holds which succeeded.
        Ambiguous: Likewise, but the file may be there.

    """
    notes = []
    for position, attachment in enumerate(attachments):
        if position in progress.uploaded:
            continue
        with progress.kept():
            refusal = _refusal(bot, attachment, progress)
        if refusal:
            notes.append(f"{filename(attachment)} is not attached: {refusal}.")
        else:
            uploaded = (*progress.uploaded, position)
            progress = attrs.evolve(progress, uploaded=uploaded)
    return notes


def _refusal(bot: Bot, attachment: Attachment, place: Progress) -> str:
    """Upload one attachment; return why it was refused, or nothing."""
    if not attachment.content:
        return "it is empty, which Slack does not take"
    if not place.ts:
        return "Slack did not say where the message is"
    try:
        _upload(bot, attachment, place)
    except Rejected as error:
        return "; ".join(filter(None, (error.reason, error.remedy)))
    return ""


def _upload(bot: Bot, attachment: Attachment, place: Progress) -> None:
    name = filename(attachment)
    ticket = bot.call(
        "files.getUploadURLExternal",
        params={"filename": name, "length": len(attachment.content)},
    )
    _send(bot, attachment.content, ticket)
    files = [{"id": ticket.get("file_id"), "title": name}]
    bot.call(
        "files.completeUploadExternal",
        params={
            "files": json.dumps(files),
            "channel_id": place.channel,
            "thread_ts": place.root,
        },
    )


def _send(bot: Bot, content: bytes, ticket: SlackResponse) -> None:
    """Send the bytes to the address in the ticket, which is kept in no variable here:
    who has it may upload.
    """  # noqa: D205 - one sentence
    if not http.is_confidential(str(ticket.get("upload_url"))):
        raise RetryLater("Slack named no https:// address to upload to")
    kind = {"Content-Type": "application/octet-stream"}
    left = bot.deadline.left()
    sealed(
        lambda: _FILES.post(
            str(ticket.get("upload_url")), data=content, headers=kind, timeout=left
        )
    )
