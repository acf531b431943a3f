#!/usr/bin/env bash
# Runs a command that builds, such as cargo build, so that nothing of this machine gets into the binary: compilers write /crates,
# /target and /hubkeeper instead of its folders, and the time of the commit instead of the clock's.
# Usage: remapped.sh COMMAND...
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd -P)"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
target="${CARGO_TARGET_DIR:-$root/target}"
case "$target" in
    /*) ;;
    *) target="$PWD/$target" ;;
esac
separator=$'\x1f'

# the folders of the registry are named by the index that Cargo downloads from
if ! ls -d "$cargo_home"/registry/src/*/ >/dev/null 2>&1; then
    (cd "$root" && cargo fetch --quiet --locked --target x86_64-unknown-linux-gnu)
fi

rust=() c=()
# remap FOLDER NAME: of several that match, the last one counts
remap() {
    local folder
    # as it is named, and without symbolic links
    for folder in "$1" "$(cd "$1" 2>/dev/null && pwd -P || printf '%s' "$1")"; do
        rust+=("--remap-path-prefix=$folder=$2")
        # the C compiler's options are separated by spaces
        case "$folder" in
            *' '*) ;;
            *) c+=("-ffile-prefix-map=$folder=$2") ;;
        esac
    done
}
remap "$root" /hubkeeper
remap "$cargo_home" /cargo
remap "$target" /target
for folder in "$cargo_home"/registry/src/*/; do
    remap "${folder%/}" /crates
done
# with the component rust-src, the compiler names the sources of the standard library where they are installed
commit="$(cd "$root" && rustc -vV | sed -n 's/^commit-hash: //p')"
remap "$(cd "$root" && rustc --print sysroot)/lib/rustlib/src/rust" "/rustc/$commit"

flags="${CARGO_ENCODED_RUSTFLAGS-$(tr -s ' ' "$separator" <<<"${RUSTFLAGS:-}")}"
for each in "${rust[@]}"; do
    flags="${flags:+$flags$separator}$each"
done
export CARGO_ENCODED_RUSTFLAGS="$flags"
export CFLAGS="${c[*]} ${CFLAGS:-}"
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH="$(git -C "$root" log -1 --format=%ct 2>/dev/null)" || SOURCE_DATE_EPOCH=0
fi
export SOURCE_DATE_EPOCH
exec "$@"
