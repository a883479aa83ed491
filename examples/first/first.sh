jlock stamp .codegraph src/main.c          # appends, and sets the timestamp to now
jlock append .codegraph src/lock.c         # appends
jlock read --changed .codegraph
jlock run -n .codegraph -- make index      # holds the lock while make runs; gives up if another program has it
jlock status .codegraph                    # who holds it, and since when
