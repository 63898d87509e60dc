"""Standard Webhooks 1.0.0: github.com/standard-webhooks/standard-webhooks."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tocsin import OutOfOrder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin import Secret


def signed(body: bytes, delivery_id: str, secrets: Iterable[Secret]) -> dict[str, str]:
    """Return the headers that name, date and sign a body, once with each secret.

    The id is the same at every attempt, the time that of this one. Without a secret there is
    no signature.

    Raises:
        OutOfOrder: A secret is none.

    """
    # an id may hold a full stop, which is what separates it from the time
    number = hashlib.blake2b(delivery_id.encode(), digest_size=16).hexdigest()
    now = datetime.now(UTC)
    headers = {
        "webhook-id": f"msg_{number}",
        "webhook-timestamp": str(int(now.timestamp())),
    }
    signatures = [
        _signature(secret, f"msg_{number}", now, body) for secret in secrets if secret
    ]
    return (
        {**headers, "webhook-signature": " ".join(signatures)}
        if signatures
        else headers
    )


def _signature(secret: Secret, number: str, now: datetime, body: bytes) -> str:
    from standardwebhooks import Webhook

    key = _key(secret.reveal())
    if not key:
        raise OutOfOrder(
            "the secret that signs is no secret of Standard Webhooks",
            remedy="write whsec_ and the base64 of 24 to 64 random bytes",
        )
    return Webhook(key).sign(number, now, body.decode())


def _key(written: str) -> bytes:
    """Return the bytes of a secret; none when it is no secret."""
    encoded = written.strip().removeprefix("whsec_")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return b""
