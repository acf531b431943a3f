#!/usr/bin/env bash
# Compares the sandbox and the function with the services' own clients, emulators and schemas, on the loopback interface.
# Usage: run.sh <package> <sandbox> <record> [pytest arguments]. The last line is `N passed, N failed`.
# `run.sh --setup` installs the tools and runs nothing.
#
# Installs its tools itself, in pinned versions, below target; docker-registry, skopeo and tinyproxy are Debian's. If a tool cannot be installed, its tests are
# skipped with a message; with CI=true they fail. The specifications of Docker and Microsoft are not part of this repository: their tests are skipped, in CI too,
# unless HUBKEEPER_SPECS names their folder, in which none may be missing.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
if [ "$1" != --setup ]; then
    HUBKEEPER_PACKAGE="$(realpath "$1")"
    HUBKEEPER_SANDBOX="$(realpath "$2")"
    HUBKEEPER_RECORD="$(realpath "$3")"
    export HUBKEEPER_PACKAGE HUBKEEPER_SANDBOX HUBKEEPER_RECORD
    shift 3
fi
tools="${HUBKEEPER_VENVS:-$root/target/venvs}"
mkdir -p "$tools"
tools="$(cd "$tools" && pwd)"

leave_out() {
    if [ "${CI:-}" = true ]; then
        echo "conformance: $1" >&2
        exit 1
    fi
    printf '\n%s\n' "*** conformance LEFT OUT: $1 ***" >&2
}

# Makes a folder of tools once: its name, the files that pin it, the command that fills it (in the folder). Prints the folder.
folder() {
    local name="$1" command="$2" place
    shift 2
    place="$tools/$name-$(cat "$@" | sha256sum | cut -c1-12)"
    if [ ! -e "$place/complete" ]; then
        echo "conformance: installing $name" >&2
        rm -rf "$place"
        mkdir -p "$place"
        (cd "$place" && "$command") >&2 || return 1
        touch "$place/complete"
    fi
    echo "$place"
}

python_tools() { python3 -m venv . && bin/pip install --quiet --require-virtualenv -r "$here/requirements.txt"; }

oav() { cp "$here/package.json" "$here/package-lock.json" . && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; }

emulator() {
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest . -r "$here/rie.txt" && python3 - <<'END'
import glob, os, zipfile

wheel, = glob.glob("*.whl")
with zipfile.ZipFile(wheel) as files:
    name = "aws-lambda-rie-" + ("arm64" if os.uname().machine == "aarch64" else "x86_64")
    with open("aws-lambda-rie", "wb") as emulator:
        emulator.write(files.read(f"samcli/local/rapid/{name}"))
os.chmod("aws-lambda-rie", 0o755)
os.remove(wheel)
END
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo --non-interactive "$@"; fi; }

package_lists() { command -v apt-get >/dev/null && as_root apt-get update --quiet=2; }

# the package would start a server; the tests need only its program
registry() { package_lists && apt-get download --quiet=2 docker-registry && dpkg -x docker-registry_*.deb .; }

# the same: it runs as a service as soon as it is installed
tinyproxy() { package_lists && apt-get download --quiet=2 tinyproxy-bin && dpkg -x tinyproxy-bin_*.deb .; }

skopeo() {
    package_lists || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --no-install-recommends --yes skopeo >/dev/null
}

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    leave_out 'there is no python3 of 3.11 or newer: nothing was compared'
    exit 0
fi
if ! python="$(folder conformance python_tools "$here/requirements.txt")"; then
    leave_out 'the Python packages cannot be installed: nothing was compared'
    exit 0
fi

node="$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')"
if [ "${node:-0}" -lt 20 ]; then
    leave_out 'there is no node of version 20 or newer: nothing was validated by oav'
elif place="$(folder oav oav "$here/package-lock.json")"; then
    export HUBKEEPER_OAV="$place/node_modules"
else
    leave_out 'oav cannot be installed: nothing was validated by it'
fi

if place="$(folder rie emulator "$here/rie.txt")"; then
    export HUBKEEPER_RIE="$place/aws-lambda-rie"
else
    leave_out 'the Runtime Interface Emulator cannot be installed: the package was not run'
fi

if HUBKEEPER_REGISTRY="$(type -P docker-registry)"; then
    export HUBKEEPER_REGISTRY
elif place="$(folder docker-registry registry "$here/run.sh")"; then
    export HUBKEEPER_REGISTRY="$place/usr/bin/docker-registry"
else
    leave_out 'docker-registry cannot be installed: the proof was not tried on it'
fi

if HUBKEEPER_TINYPROXY="$(type -P tinyproxy)"; then
    export HUBKEEPER_TINYPROXY
elif place="$(folder tinyproxy tinyproxy "$here/run.sh")"; then
    export HUBKEEPER_TINYPROXY="$place/usr/bin/tinyproxy"
else
    leave_out 'tinyproxy cannot be installed: the function was not tried behind a proxy'
fi

if ! type -P skopeo >/dev/null; then
    echo 'conformance: installing skopeo' >&2
    skopeo || true
fi
if HUBKEEPER_SKOPEO="$(type -P skopeo)"; then
    export HUBKEEPER_SKOPEO
else
    leave_out 'skopeo cannot be installed: the registries were not compared'
fi

[ "${1:-}" != --setup ] || exit 0
if [ -z "${HUBKEEPER_SPECS:-}" ] && [ -d "$root/../shared/specs" ]; then
    HUBKEEPER_SPECS="$root/../shared/specs"
fi
if [ -n "${HUBKEEPER_SPECS:-}" ]; then
    export HUBKEEPER_SPECS
    for specification in azure/live-validate.cjs docker-hub.openapi.yaml; do
        [ -e "$HUBKEEPER_SPECS/$specification" ] || leave_out "there is no $specification in HUBKEEPER_SPECS: nothing was validated against it"
    done
else
    printf '\n%s\n' '*** conformance LEFT OUT: HUBKEEPER_SPECS names no folder of specifications: nothing was validated against them ***' >&2
fi

# every client here uses only the loopback interface
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1
exec "$python/bin/python" -m pytest -p no:cacheprovider --rootdir "$here" "$here" "$@"
