"""Run as: python3 quickstart.py DIRECTORY"""
import sys, time
from jlock import Journal, Lock

directory = sys.argv[1]
journal = Journal(directory, timeout=1.0)
try:
    journal.append(["src/a.py", "src/c.py"], deleted=["src/b.py"])  # takes the lock, and lets it go
    journal.append_stamped(["src/d.py"], timestamp_ms=time.time_ns() // 1_000_000)
    with Lock(directory):                                           # while no other program writes
        print(*journal.read().changed)
except TimeoutError as error:
    print(error)                                                    # says who holds it
