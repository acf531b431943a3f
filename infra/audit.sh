#!/usr/bin/env bash
# Audits the function's dependencies: licences, bans and sources (deny.toml); known advisories, if their database can be reached;
# a bill of materials (CycloneDX). Checks that every crate of the workspace forbids `unsafe`.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${1:?folder for the bill of materials}"
target=aarch64-unknown-linux-gnu
said="$(mktemp)"
trap 'rm -f "$said"' EXIT
# prints a command's output only if it fails
quietly() { "$@" >"$said" 2>&1 || { cat "$said" >&2; return 1; }; }

quietly cargo deny --locked check licenses bans sources
echo "audit: $(tail -n 1 "$said")"

if cargo deny --locked fetch db >"$said" 2>&1; then
    quietly cargo deny --locked check advisories
    echo "audit: $(tail -n 1 "$said")"
else
    echo '!!! audit: ADVISORIES WERE NOT CHECKED, their database cannot be reached from here; run `make audit` where it can'
    grep -m 1 -oE 'unable to access.*' "$said" | sed 's/^/!!!        /' || true
fi

# cyclonedx writes one file per crate of the workspace, beside its manifest; only the function's is kept
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct 2>/dev/null || date +%s)"
export SOURCE_DATE_EPOCH
quietly cargo cyclonedx -qq --format json --spec-version 1.5 --target "$target" --no-build-deps --override-filename hubkeeper.cdx
mkdir -p "$folder"
mv hubkeeper.cdx.json "$folder/"
rm -f tests/*/hubkeeper.cdx.json
count=0
while read -r name version; do
    count=$((count + 1))
    if ! grep -qF "\"purl\": \"pkg:cargo/$name@${version#v}\"" "$folder/hubkeeper.cdx.json"; then
        echo "audit: the bill of materials lacks $name ${version#v}" >&2
        exit 1
    fi
done < <(cargo tree --locked -p hubkeeper --edges normal --target "$target" --prefix none --format '{p}' \
    | awk '$1 != "hubkeeper" { print $1, $2 }' | sort -u)
[ "$count" -gt 50 ]
echo "audit: $folder/hubkeeper.cdx.json lists the $count crates that the function is linked from"

grep -q '^unsafe_code = "forbid"' Cargo.toml
cargo metadata --locked --no-deps --format-version 1 | grep -oE '"manifest_path":"[^"]+"' | cut -d '"' -f 4 | while read -r manifest; do
    if ! grep -A 1 '^\[lints\]' "$manifest" | grep -q '^workspace = true'; then
        echo "audit: $manifest does not use the lints of the workspace, which forbid unsafe code" >&2
        exit 1
    fi
done
echo 'audit: unsafe code is forbidden in every crate of the workspace'
