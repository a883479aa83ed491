jlock stamp .codegraph src/main.c          # appends, and dates the journal
jlock append .codegraph src/lock.c         # appends
jlock read --changed .codegraph
jlock run -n .codegraph -- make index      # holds the lock meanwhile; gives up if another program has it
jlock status .codegraph                    # who holds it, and since when
