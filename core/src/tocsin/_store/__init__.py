"""What a store does: it admits alerts, keeps deliveries, and hands them out."""

from tocsin._store._port import (
    PATIENCE,
    Claim,
    DeliveryRecord,
    Granted,
    Known,
    Namespace,
    Record,
    Status,
    Store,
    Submission,
    SuppressedKey,
    Withheld,
)

__all__ = [
    "PATIENCE",
    "Claim",
    "DeliveryRecord",
    "Granted",
    "Known",
    "Namespace",
    "Record",
    "Status",
    "Store",
    "Submission",
    "SuppressedKey",
    "Withheld",
]
