#!/usr/bin/env bash
# Opens the status page in headless Chromium, checks it with axe-core, and keeps pictures of it.
# Usage: run.sh <page>, the binary that writes the pages. The last line is `N passed, N failed`.
# `run.sh --setup` installs the tools and runs nothing.
#
# Installs the packages of package-lock.json below target, and Debian's chromium. If a tool cannot be installed, nothing is tested, with a message; with
# CI=true that fails.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
tools="${HUBKEEPER_VENVS:-$root/target/venvs}"
mkdir -p "$tools"
tools="$(cd "$tools" && pwd)"

leave_out() {
    if [ "${CI:-}" = true ]; then
        echo "page: $1" >&2
        exit 1
    fi
    printf '\n%s\n' "*** page LEFT OUT: $1 ***" >&2
    exit 0
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo --non-interactive "$@"; fi; }

chromium_package() {
    command -v apt-get >/dev/null || return 1
    echo 'page: installing chromium' >&2
    as_root apt-get update --quiet=2 || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --no-install-recommends --yes chromium fonts-dejavu-core >/dev/null
}

node="$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')"
[ "${node:-0}" -ge 20 ] || leave_out 'there is no node of version 20 or newer'

place="$tools/page-$(sha256sum <"$here/package-lock.json" | cut -c1-12)"
if [ ! -e "$place/complete" ]; then
    echo 'page: installing axe-core and puppeteer-core' >&2
    rm -rf "$place"
    mkdir -p "$place"
    cp "$here/package.json" "$here/package-lock.json" "$place"
    (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 ||
        leave_out 'axe-core and puppeteer-core cannot be installed'
    touch "$place/complete"
fi

browser="${HUBKEEPER_CHROMIUM:-$(command -v chromium || true)}"
if [ -z "$browser" ]; then
    chromium_package || leave_out 'there is no chromium, and it cannot be installed'
    browser="$(command -v chromium)"
fi

if [ "$1" = --setup ]; then
    exit 0
fi
page="$(realpath "$1")"
output="${CARGO_TARGET_DIR:-$root/target}/page"
rm -rf "$output"
mkdir -p "$output"
output="$(cd "$output" && pwd)"
"$page" "$output/html"
cd "$place"
HUBKEEPER_CHROMIUM="$browser" node "$here/test.mjs" "$output/html" "$output/pictures"
