"""Write a store: what Tocsin keeps alerts in.

Derive from `DocumentStore` for anything that can keep one text under a lock: a file, an
object in a bucket, a row of a table. All rules are in it. What is to hold millions of
alerts implements `Store` itself. Either passes `tocsin.testing.StoreSuite`, and either is
opened by a `StoreProvider`, which the table ``[store]`` of a configuration names.
"""

from tocsin._circuit import CLOSED, Circuit
from tocsin._circuit import after as circuit_after
from tocsin._envelope import decode, encode
from tocsin._errors import EnvelopeError, EnvelopeTooNew
from tocsin._provider import Receipt
from tocsin._retry import (
    HORIZON,
    MAX_CLAIMS,
    Delivered,
    Failed,
    Outcome,
    Pending,
    Progress,
)
from tocsin._routing import Route
from tocsin._run_record import RunRecord
from tocsin._run_record import decode as decode_run
from tocsin._run_record import encode as encode_run
from tocsin._silence import Silence
from tocsin._store import (
    MAX_PENDING,
    PATIENCE,
    Claim,
    DeliveryRecord,
    Granted,
    Known,
    Member,
    Namespace,
    Record,
    Resolved,
    Settled,
    Standing,
    Status,
    Store,
    StoreProvider,
    Submission,
    SuppressedKey,
    Turn,
    Withheld,
)
from tocsin._store._document._store import DocumentStore
from tocsin._throttle import Suppression, Window, suppressed_until, throttle_key

__all__ = [
    "CLOSED",
    "HORIZON",
    "MAX_CLAIMS",
    "MAX_PENDING",
    "PATIENCE",
    "Circuit",
    "Claim",
    "Delivered",
    "DeliveryRecord",
    "DocumentStore",
    "EnvelopeError",
    "EnvelopeTooNew",
    "Failed",
    "Granted",
    "Known",
    "Member",
    "Namespace",
    "Outcome",
    "Pending",
    "Progress",
    "Receipt",
    "Record",
    "Resolved",
    "Route",
    "RunRecord",
    "Settled",
    "Silence",
    "Standing",
    "Status",
    "Store",
    "StoreProvider",
    "Submission",
    "SuppressedKey",
    "Suppression",
    "Turn",
    "Window",
    "Withheld",
    "circuit_after",
    "decode",
    "decode_run",
    "encode",
    "encode_run",
    "suppressed_until",
    "throttle_key",
]
