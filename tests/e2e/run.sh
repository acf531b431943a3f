#!/usr/bin/env bash
# Deploys the packaged function into a local AWS emulator and drives it; no account, no container, nothing but the loopback
# interface. Usage: run.sh <package> <sandbox> <command line> [pytest arguments]. The last line is `N passed, N failed`.
# `run.sh --setup` installs the emulator and runs nothing.
#
# If the tools cannot be installed, the tests are skipped with a message; with CI=true they fail.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
if [ "$1" != --setup ]; then
    package="$(realpath "$1")"
    sandbox="$(realpath "$2")"
    cli="$(realpath "$3")"
    shift 3
fi

leave_out() {
    if [ "${CI:-}" = true ]; then
        echo "e2e: $1" >&2
        exit 1
    fi
    printf '\n%s\n' "*** e2e LEFT OUT: $1. The deployment was not tested. ***" >&2
    exit 0
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
export HUBKEEPER_PACKAGE="$package" HUBKEEPER_SANDBOX="$sandbox" HUBKEEPER_CLI="$cli" PYTHONPATH="$here/../conformance" PYTHONDONTWRITEBYTECODE=1
exec "$tools/bin/python" -m pytest -p no:cacheprovider --rootdir "$here" "$here" "$@"
