#!/usr/bin/env bash
# Builds a release twice, and compares the two byte by byte: here, and later in a clone in another folder, with another folder of
# Cargo and of targets, umask, time zone and language.
# Usage: reproducible.sh <folder of the tests' build> <folder for releases> <version>
set -euo pipefail
cd "$(dirname "$0")/../.."
tools="$(realpath "$1")"
mkdir -p "$2"
dist="$(realpath "$2")"
version="$3"
second="$dist/second-build/in-another-folder"

infra/release/release.sh "$tools" "$dist" "$version"

rm -rf "$second"
mkdir -p "$second/cargo"
git clone --quiet . "$second/source"
cargo_home="$(realpath "${CARGO_HOME:-$HOME/.cargo}")"
for each in registry config.toml; do
    [ ! -e "$cargo_home/$each" ] || ln -s "$cargo_home/$each" "$second/cargo/$each"
done
(
    umask 077
    export CARGO_HOME="$second/cargo" TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 LANG=de_DE.UTF-8
    "$second/source/infra/release/release.sh" "$tools" "$second/dist" "$version"
)
"$tools/release" compare "$dist/hubkeeper-$version" "$second/dist/hubkeeper-$version"
sha256sum "$dist/hubkeeper-$version/SHA256SUMS"
rm -rf "$dist/second-build"
