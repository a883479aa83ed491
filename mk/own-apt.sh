# shellcheck shell=bash
# For other scripts to source: an apt with a state of its own, so that the system's does not learn of another architecture or
# release.

# own_apt STATE [LINE]: sets own_apt, the command with its options and with STATE as its directory. LINE is the one source that it
# has, for example "deb @ trixie main", with @ for where this system gets Debian's packages from; else it has the system's.
own_apt() {
    local state=$1 mirror
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    touch "$state/status"
    own_apt=(apt-get -o "Dir::State=$state" -o "Dir::Cache=$state" -o "Dir::State::status=$state/status" -o APT::Sandbox::User=root)
    [ -n "${2:-}" ] || return 0
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' | sed -n '/ Debian$/ { s///p; q }')
    [ -n "$mirror" ] || { echo "own-apt.sh: apt has no source with Debian's packages" >&2; return 1; }
    echo "${2/@/"$mirror"}" >"$state/sources.list"
    own_apt+=(-o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null)
}
