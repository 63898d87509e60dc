"""What a store does: it admits alerts, keeps deliveries, and hands them out."""

from tocsin._store._port import (
    Claim,
    DeliveryRecord,
    Granted,
    Namespace,
    Record,
    Status,
    Store,
    Submission,
    SuppressedKey,
    Withheld,
)

__all__ = [
    "Claim",
    "DeliveryRecord",
    "Granted",
    "Namespace",
    "Record",
    "Status",
    "Store",
    "Submission",
    "SuppressedKey",
    "Withheld",
]
