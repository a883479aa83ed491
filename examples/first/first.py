import time
from jlock import Journal, Lock

journal = Journal(".codegraph")
journal.append_stamped(["src/main.py"], timestamp_ms=time.time_ns() // 1_000_000)
journal.append(["src/lock.py"], deleted=["src/old.py"])
print(journal.read().changed)
with Lock(".codegraph", timeout=1.0):
    print("no other program writes now")
