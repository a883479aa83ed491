"""Run as: python3 quickstart.py DIRECTORY"""
import sys, time
from jlock import Journal, Lock

directory = sys.argv[1]
journal = Journal(directory, timeout=1.0)
try:
    # Takes the lock and releases it. The first append sets a timestamp: a journal that was never stamped cannot be read.
    journal.append_stamped(["src/a.py", "src/c.py"], deleted=["src/b.py"], timestamp_ms=time.time_ns() // 1_000_000)
    journal.append(["src/d.py"])
    with Lock(directory):                                           # no other program writes now
        print(*journal.read().changed)
except TimeoutError as error:
    print(error)                                                    # says who holds the lock
