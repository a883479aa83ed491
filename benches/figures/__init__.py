"""The figures, one idea per file. Each file has a `measure(bench)` that yields rows."""

from . import append, bystanders, crowd, handover, languages, once, pair, read, size, stamp, sync, thinker, waiting, wakeup

ALL = (pair, append, stamp, read, crowd, bystanders, thinker, wakeup, handover, waiting, languages, sync, once, size)
