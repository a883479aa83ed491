module jlock/benches

go 1.21

require (
	github.com/gofrs/flock v0.8.1
	github.com/nightlyone/lockfile v1.0.0
	jlock.example/jlock v0.0.0
)

replace jlock.example/jlock => ../../examples/go

require (
	golang.org/x/sys v0.15.0 // indirect
	gopkg.in/check.v1 v1.0.0-20201130134442-10cb98267c6c // indirect
)
