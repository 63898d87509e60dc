from __future__ import annotations

import tocsin
from tocsin import Admitted, Alert, Suppressed


def test_an_alert_arrives(notifier, inbox):
    """An alert that is raised is delivered, and its receipt can be waited for."""
    result = notifier.notify(Alert("Disk full", "90 %", "ERROR"))

    (delivery,) = result.wait(10)
    assert delivery.status is tocsin.Status.DELIVERED
    assert delivery.receipt == tocsin.Receipt(reference="1")
    assert inbox.titles == ["Disk full"]
    assert inbox.messages[0].text.startswith("[ERROR] Disk full\n\n90 %")
