"""Write a store: what Tocsin keeps alerts in.

Derive from `DocumentStore` for anything that can keep one text under a lock: a file, an
object in a bucket, a row of a table. All rules are in it. A store that is to hold millions
of alerts implements `Store` itself. Either passes `tocsin.testing.StoreSuite`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin._circuit import Circuit
    from tocsin._provider import Receipt
    from tocsin._retry import Delivered, Failed, Outcome, Pending, Progress
    from tocsin._routing import Route
    from tocsin._run_record import RunRecord
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
    from tocsin._throttle import Suppression, Window

__all__ = [
    "MAX_CLAIMS",
    "MAX_PENDING",
    "PATIENCE",
    "Circuit",
    "Claim",
    "Delivered",
    "DeliveryRecord",
    "DocumentStore",
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
    "Suppression",
    "SuppressedKey",
    "Turn",
    "Window",
    "Withheld",
    "decode",
    "decode_run",
    "encode",
    "encode_run",
]

_HOMES = {
    "Circuit": "_circuit",
    "decode": "_envelope",
    "encode": "_envelope",
    "Receipt": "_provider",
    "MAX_CLAIMS": "_retry",
    "Delivered": "_retry",
    "Failed": "_retry",
    "Outcome": "_retry",
    "Pending": "_retry",
    "Progress": "_retry",
    "Route": "_routing",
    "RunRecord": "_run_record",
    "Silence": "_silence",
    "DocumentStore": "_store._document._store",
    "Suppression": "_throttle",
    "Window": "_throttle",
}
"""Where each name lives that is not the port's own."""
