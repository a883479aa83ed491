module jlock

go 1.21
