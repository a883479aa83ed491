"""turn.py DIR: does what c/turn.c does, in an asyncio task."""

import asyncio
import sys
import time

from jlock import Lock


async def turns(lock: Lock, count: int) -> list[int]:
    times = []
    for _ in range(count):
        begun = time.monotonic_ns()
        await lock.acquire_async()
        times.append(time.monotonic_ns() - begun)
        lock.release()
        await asyncio.sleep(0.001)
    return sorted(times)


async def main() -> None:
    lock = Lock(sys.argv[1], timeout=60.0)
    for line in sys.stdin:  # nothing else runs here: it may block
        times = await turns(lock, int(line))
        count = len(times)
        print(count, times[count // 2], times[count * 99 // 100], times[-1], flush=True)
    lock.close()


asyncio.run(main())
