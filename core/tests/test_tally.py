from __future__ import annotations

import threading

from tocsin import Admitted, AlertCounts, Suppressed
from tocsin._tally import Tally


def test_what_is_counted_is_taken_once():
    tally = Tally()
    for kind in (Admitted, Suppressed, Suppressed):
        tally.add(kind)
    counts = tally.take()

    assert counts == AlertCounts(admitted=1, suppressed=2)
    assert counts.raised == 3
    assert tally.take() is None


def test_many_threads():
    """However threads take turns, the sum of what was taken is what was counted."""
    tally, taken, is_over = Tally(), [], threading.Event()

    def count():
        for _ in range(10_000):
            tally.add(Suppressed)

    def take():
        while not is_over.is_set():
            taken.append(tally.take())

    threads = [threading.Thread(target=count) for _ in range(8)]
    taker = threading.Thread(target=take)
    for thread in (taker, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    is_over.set()
    taker.join()
    taken.append(tally.take())

    assert sum(counts.suppressed for counts in taken if counts) == 80_000
