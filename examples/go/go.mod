module jlock.example/jlock

go 1.21
