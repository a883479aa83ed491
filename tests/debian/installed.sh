#!/bin/sh
# Installs the library into the system, and runs each language's tests against it. Meant for a root of its own: see
# run.sh.
set -eu
cd "$(dirname "$0")/../.."

make --silent install
ldconfig

JLOCK_LIBRARY=$(pkg-config --variable=libdir jlock)/libjlock.so.0
export JLOCK_LIBRARY
python=$PWD/target/venv/bin/python
(cd examples/python && "$python" -m pytest -q tests)
(cd examples/go && go vet -tags jlock_pkgconfig ./... && go test -tags jlock_pkgconfig -race -count=1 ./...)
npm test --prefix examples/node
