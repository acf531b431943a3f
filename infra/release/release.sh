#!/usr/bin/env bash
# Makes a release below a folder, and verifies it: docs/releasing.md.
# Usage: release.sh <folder of the tests' build> <folder for releases> <version>
#        release.sh <folder of the tests' build> <folder for releases> [version] --quick
#
# --quick packs the tests' build, without building anything: the same files for tests, but not a release.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools="$(realpath "$1")"
mkdir -p "$2"
dist="$(realpath "$2")"
shift 2
quick=''
version=''
for each in "$@"; do
    case "$each" in
        --quick) quick=1 ;;
        *) version="$each" ;;
    esac
done
release="$tools/release"

fail() {
    printf 'release: %s\n' "$*" >&2
    exit 1
}

# took WHAT: says how long it took since the last call
since=$SECONDS
took() {
    printf 'release: %s (%d s)\n' "$1" $((SECONDS - since))
    since=$SECONDS
}

of_manifest="$(sed -n '/^\[package\]/,/^\[dep/s/^version = "\(.*\)"$/\1/p' Cargo.toml)"
if [ -z "$version" ] && [ -n "$quick" ]; then
    version="$of_manifest"
fi
[ -n "$version" ] || fail "VERSION is not set: name the version in Cargo.toml, as in make release VERSION=$of_manifest"
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" || fail 'this is not a clone: export SOURCE_DATE_EPOCH as the time of the commit'
fi
export SOURCE_DATE_EPOCH
host="$(rustc -vV | sed -n 's/^host: //p')"

# of_lambda TARGET: Lambda's name of the architecture
of_lambda() {
    case "$1" in
        aarch64-*) echo arm64 ;;
        *) echo x86_64 ;;
    esac
}

# manual COMMAND_LINE FOLDER: completion scripts and manual pages
manual() {
    mkdir -p "$2/completions"
    "$1" completions bash >"$2/completions/hubkeeper.bash"
    "$1" completions zsh >"$2/completions/_hubkeeper"
    "$1" completions fish >"$2/completions/hubkeeper.fish"
    "$1" man --dir "$2/man" >/dev/null
}

if [ -n "$quick" ]; then
    built="$dist/built-quick"
    folder="$dist/hubkeeper-$version-quick"
    rm -rf "$built"
    mkdir -p "$built/$(of_lambda "$host")"
    ln "$tools/bootstrap" "$tools/hubkeeper" "$built/$(of_lambda "$host")/" 2>/dev/null ||
        cp "$tools/bootstrap" "$tools/hubkeeper" "$built/$(of_lambda "$host")/"
    manual "$tools/hubkeeper" "$built"
    "$release" assemble "$version" "$built" "$folder" --quick
    rm -rf "$built"
    "$release" check "$folder"
    exit
fi

"$release" ready "$version"
# the time in the archives is the commit's, so the files must be the commit's too
changed="$(git status --porcelain 2>/dev/null || true)"
[ -z "$changed" ] || fail "there are changes that are not committed: commit them, or build from a clean clone
$changed"

built="$dist/built"
folder="$dist/hubkeeper-$version"
rm -rf "$built"
mkdir -p "$built"

# builder TARGET: the command that builds for a target, or a failure if this machine cannot
builder() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ] || return 1
    if [ "$1" = "$host" ]; then
        echo build
    elif command -v "${1%%-*}-linux-gnu-gcc" >/dev/null; then
        echo build
    elif command -v cargo-zigbuild >/dev/null; then
        echo zigbuild
    else
        return 1
    fi
}

export CARGO_TARGET_DIR="$dist/build" CARGO_INCREMENTAL=0
# build COMMAND TARGET PROFILE PACKAGE BINARY: a binary into $built
build() {
    local gcc="${2%%-*}-linux-gnu-gcc" variable
    if [ "$1" = build ] && [ "$2" != "$host" ]; then
        variable="CARGO_TARGET_$(tr a-z- A-Z_ <<<"$2")_LINKER"
        export "$variable=$gcc"
    fi
    CARGO="$PWD/infra/release/cargo.sh" infra/release/remapped.sh cargo-auditable auditable "$1" --locked --profile "$3" --target "$2" -p "$4" --bin "$5"
    mkdir -p "$built/$(of_lambda "$2")"
    cp "$CARGO_TARGET_DIR/$2/$3/$5" "$built/$(of_lambda "$2")/"
    took "$5 for $2"
}
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
    if ! command="$(builder "$target")"; then
        echo "release: $target is LEFT OUT: run rustup target add $target, and install ${target%%-*}-linux-gnu-gcc or cargo-zigbuild"
        continue
    fi
    build "$command" "$target" release hubkeeper bootstrap
    build "$command" "$target" cli hubkeeper-cli hubkeeper
done
unset CARGO_TARGET_DIR

manual "$built/$(of_lambda "$host")/hubkeeper" "$built"
infra/release/sbom.sh "$release" "$built"
took 'manual and bills of materials'
"$release" assemble "$version" "$built" "$folder"
took 'archives'
"$release" check "$folder"
