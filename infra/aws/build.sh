#!/usr/bin/env bash
# Builds the release of this checkout for `hubkeeper deploy --build`: the function as it is deployed, for one processor.
# Usage: build.sh <folder of the tests' build> <arm64 or x86_64> <version> <folder>
set -euo pipefail
cd "$(dirname "$0")/../.."
tools="$1" architecture="$2" version="$3" folder="$4"
target="${CARGO_TARGET_DIR:-target}"

fail() {
    printf 'build: %s\n' "$*" >&2
    exit 1
}

[ -x "$tools/release" ] || fail "$tools/release is missing: run make tools"
case "$architecture" in
    arm64) machine=aarch64 option=--arm64 ;;
    x86_64) machine=x86_64 option=--x86-64 ;;
    *) fail "ARCH=$architecture is not an architecture of Lambda: use arm64 or x86_64" ;;
esac
case "$(rustc -vV)" in
    *"host: $machine-"*linux*)
        # as `make function` does: the same options, so nothing is built twice, and no folder of this machine in the binary
        infra/release/remapped.sh cargo build --release --locked -p hubkeeper -p hubkeeper-floor --bins
        function="$target/release/bootstrap"
        ;;
    *)
        cargo lambda --version >/dev/null 2>&1 ||
            fail "cargo lambda is not installed, which builds for $architecture: pip install cargo-lambda, or deploy for this machine's processor (--set Architecture=…)"
        cargo lambda build --release --locked "$option" -p hubkeeper --bin bootstrap
        function="$target/lambda/bootstrap/bootstrap"
        ;;
esac

built="$(mktemp -d)"
trap 'rm -rf "$built"' EXIT
mkdir -p "$built/$architecture" "$built/completions"
cp "$function" "$tools/hubkeeper" "$built/$architecture/"
"$tools/hubkeeper" completions bash >"$built/completions/hubkeeper.bash"
"$tools/hubkeeper" man --dir "$built/man" >/dev/null
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH="$(git log -1 --format=%ct 2>/dev/null)" || SOURCE_DATE_EPOCH=0
fi
export SOURCE_DATE_EPOCH
# --quick: whatever is not committed is in it, and it has no bill of materials
"$tools/release" assemble "$version" "$built" "$folder" --quick
