#!/bin/sh
# Brings the shipped peer, @optave/codegraph, unmodified and pinned, into node_modules here.
#
# Only journal.js and its logger are run, and these import nothing but Node's own modules, so none of the package's
# dependencies is installed. peer.sha512 pins the tarball and the files that are run: with all of them in place and
# unmodified there is nothing to do, so this is cheap to call before every test, also by several at once.
set -eu

package=@optave/codegraph
version=3.11.2
sums=peer.sha512
scope=node_modules/${package%/*}
tarball=$scope/optave-codegraph-$version.tgz

cd "$(dirname "$0")"
present() { sha512sum --check --status $sums 2>/dev/null; }

present && exit
command -v npm >/dev/null || { echo "fetch-peer.sh: npm is needed to bring $package@$version" >&2; exit 1; }

mkdir -p "$scope"
exec 9>"$scope/.fetching"
flock 9
present && exit    # another one brought it while this one waited

scratch=$(mktemp -d "$scope/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

npm pack "$package@$version" --loglevel=error --pack-destination "$scratch" >/dev/null
mv "$scratch/${tarball##*/}" "$tarball"
grep -F "$tarball" $sums | sha512sum --check --quiet -    # nothing unverified is unpacked

tar -xzf "$tarball" -C "$scratch" --no-same-owner package/package.json package/LICENSE package/dist
rm -rf "node_modules/$package"
mv "$scratch/package" "node_modules/$package"
sha512sum --check --quiet $sums
