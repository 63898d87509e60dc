"""Threads and coroutines that raise at once."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

from support import LEASE

THREADS = """
import json, threading, tocsin

start = threading.Barrier(16)
kinds = []

def work(number):
    start.wait(30)
    for turn in range(20):
        kinds.append(("own", type(run.alert(f"{number}-{turn}")).__name__))
        kinds.append(("one", type(run.alert("one key", wait_duration=3600)).__name__))

run = tocsin.init()
threads = [threading.Thread(target=work, args=[number]) for number in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
run.finish(timeout=30)
print(json.dumps(kinds))
"""


def test_16_threads_raise_at_once(place):
    """Whatever the threads, each title arrives once, and a key that all share is admitted
    once."""
    place.write_config(submit_timeout="10s")

    kinds = Counter(map(tuple, json.loads(place.run(THREADS))))

    assert kinds == {
        ("own", "Admitted"): 320,
        ("one", "Admitted"): 1,
        ("one", "Suppressed"): 319,
    }
    assert Counter(str(line["title"]) for line in place.delivered()) == Counter(
        ["one key", *(f"{n}-{turn}" for n in range(16) for turn in range(20))]
    )


COROUTINES = """
import asyncio, json, sys, time, tocsin

pauses = []

async def beat():
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.001)
        pauses.append(time.monotonic() - last)
        last += pauses[-1]

async def work(number):
    for turn in range(5):
        run.alert(f"{number}-{turn}")
        await asyncio.sleep(0)

async def main():
    beating = asyncio.create_task(beat())
    await asyncio.gather(*(work(number) for number in range(8)))
    first = run.alert("waited for")
    print("raised", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    deliveries = await asyncio.to_thread(first.wait, 30)
    beating.cancel()
    return [one.status.value for one in deliveries]


run = tocsin.init()
print(json.dumps([asyncio.run(main()), max(pauses)]))
"""


def test_coroutines_raise_while_the_store_is_held(place):
    """A coroutine's alert blocks the event loop for the submit timeout at most, give or
    take a busy machine, and arrives."""
    place.run("import tocsin; tocsin.init().finish()")
    with place.held():
        raiser = place.python(COROUTINES, stdin=subprocess.PIPE)
        assert raiser.stdout.readline() == "raised\n"
    output, errors = raiser.communicate("go\n", timeout=60)
    place.later(LEASE + 5)

    assert raiser.returncode == 0, errors
    statuses, longest = json.loads(output)
    assert statuses == ["delivered"]
    assert longest < 0.05 + 2
    assert {line["title"] for line in place.delivered()} == {
        "waited for",
        *(f"{number}-{turn}" for number in range(8) for turn in range(5)),
    }
