#!/bin/sh
# Fetches the shipped peer, @optave/codegraph, pinned and unmodified, into node_modules here.
#
# Only journal.js and its logger are run. They import nothing but Node's own modules, so none of the package's
# dependencies is installed. peer.sha512 pins the tarball and the files that are run. If all of them are in place and
# unmodified, there is nothing to do, so every test may call this first, even several at once.
set -eu

package=@optave/codegraph
version=3.11.2
sums=peer.sha512
scope=node_modules/${package%/*}
tarball=$scope/optave-codegraph-$version.tgz

cd "$(dirname "$0")"
present() { sha512sum --check --status $sums 2>/dev/null; }

present && exit
command -v npm >/dev/null || { echo "fetch-peer.sh: npm is needed to fetch $package@$version" >&2; exit 1; }

mkdir -p "$scope"
exec 9>"$scope/.fetching"
flock 9
present && exit    # another process fetched it while this one waited

scratch=$(mktemp -d "$scope/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

npm pack "$package@$version" --loglevel=error --pack-destination "$scratch" >/dev/null
mv "$scratch/${tarball##*/}" "$tarball"
grep -F "$tarball" $sums | sha512sum --check --quiet -    # nothing unverified is unpacked

tar -xzf "$tarball" -C "$scratch" --no-same-owner package/package.json package/LICENSE package/dist
rm -rf "node_modules/$package"
mv "$scratch/package" "node_modules/$package"
sha512sum --check --quiet $sums
