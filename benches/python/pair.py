"""pair.py SoftFileLock|FileLock FILE: a meter (c/meter.h) of filelock's acquire and release."""

import sys
import time

import filelock

kind, path = sys.argv[1:]
lock = getattr(filelock, kind)(path)
for line in sys.stdin:
    times = int(line)
    begun = time.monotonic_ns()
    for _ in range(times):
        lock.acquire()
        lock.release()
    print(time.monotonic_ns() - begun, flush=True)
