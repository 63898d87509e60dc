"""What Discord's answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import OutOfOrder, Rejected, http

if TYPE_CHECKING:
    from tocsin import DeliveryError

# docs.discord.com/developers/topics/opcodes-and-status-codes#json
_CODES = {
    10003: (OutOfOrder, "correct the channel's thread_id: there is no such thread"),
    160005: (OutOfOrder, "unlock the thread, or configure another thread_id"),
    220001: (
        OutOfOrder,
        "set the channel's thread_id: a forum has no place for a message in no thread",
    ),
}
_FORMS = {40005: "bare", 50035: "plain"}
_NEW = (
    "make a new webhook (channel settings, Integrations), and put its URL where the "
    "channel's webhook_url refers to"
)


class FormRefused(Rejected):
    """Discord may take another form of the message: without files, or plain."""

    def __init__(self, reason: str, form: str) -> None:
        super().__init__(reason, remedy="shorten the alert")
        self.form = form


def _judge(answer: http.Answer) -> DeliveryError | None:
    failure = answer.service.failure(answer)
    code = answer.at("code")
    if failure and (code in _FORMS or answer.status == 413):  # noqa: PLR2004 - too large
        return FormRefused(failure.reason, _FORMS.get(code, "bare"))
    return failure


SERVICE = http.Service(
    "Discord",
    remedies={401: _NEW, 403: _NEW, 404: _NEW},
    said=["message"],
    code=["code"],
    codes=_CODES,
    # docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit; Cloudflare,
    # before it, answers in HTML and with the header alone
    after=["retry_after"],
    judge=_judge,
)
