#!/usr/bin/env bash
# Deploys the packaged function into a local AWS emulator and drives it; no account, no container, nothing but the loopback
# interface. Usage: run.sh <release> <sandbox> <command line> [pytest arguments]. The last line is `N passed, N failed`.
# `run.sh --setup` installs the emulator and runs nothing.
#
# If the tools cannot be installed, the tests are skipped with a message; with CI=true they fail.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
if [ "$1" != --setup ]; then
    release="$(realpath "$1")"
    package="$(echo "$release"/hubkeeper-function-*.zip)"
    sandbox="$(realpath "$2")"
    cli="$(realpath "$3")"
    shift 3
fi

# leaves out what cannot run here: with `update` the update alone
leave_out() {
    if [ "${CI:-}" = true ]; then
        echo "e2e: $1" >&2
        exit 1
    fi
    printf '\n%s\n' "*** e2e LEFT OUT: $1. The ${2:-deployment} was not tested. ***" >&2
    [ "${2:-}" = update ] || exit 0
}

command -v python3 >/dev/null || leave_out "there is no python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || leave_out "python3 is older than 3.11"
tools="${HUBKEEPER_VENVS:-$here/../../target/venvs}/e2e-$(sha256sum "$here/requirements.txt" | cut -c1-12)"
if [ ! -e "$tools/complete" ]; then
    echo "e2e: installing the emulator into $(basename "$tools")"
    rm -rf "$tools"
    { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --require-virtualenv -r "$here/requirements.txt"; } \
        || leave_out "the emulator cannot be installed"
    touch "$tools/complete"
fi
[ "${1:-}" != --setup ] || exit 0

# the function before this version, for the test of the update: built once, out of the history
earlier=7b65c5460c7735b48ad74d73761f3fa605dd0048
archive="${CARGO_TARGET_DIR:-$here/../../target}/earlier/${earlier:0:7}.zip"
built=0
python3 "$here/earlier.py" "$earlier" "$archive" || built=$?
case "$built" in
    0) export HUBKEEPER_EARLIER="$archive" ;;
    3) leave_out "commit ${earlier:0:7} is not in this clone (git fetch --unshallow)" update ;;
    *) exit "$built" ;;
esac
export HUBKEEPER_RELEASE="$release" HUBKEEPER_PACKAGE="$package" HUBKEEPER_SANDBOX="$sandbox" HUBKEEPER_CLI="$cli"
export PYTHONPATH="$here/../conformance" PYTHONDONTWRITEBYTECODE=1
exec "$tools/bin/python" -m pytest -p no:cacheprovider --rootdir "$here" "$here" "$@"
