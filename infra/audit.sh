#!/usr/bin/env bash
# Audits the dependencies of function and command line: licences, bans and sources (deny.toml); known advisories, if their database can be reached;
# bills of materials (CycloneDX). Checks that every crate of the workspace forbids `unsafe`.
set -euo pipefail
cd "$(dirname "$0")/.."
release="${1:?the program release}"
folder="${2:?folder for the bills of materials}"
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

infra/release/sbom.sh "$release" "$folder" | sed 's/^sbom:/audit:/'

grep -q '^unsafe_code = "forbid"' Cargo.toml
cargo metadata --locked --no-deps --format-version 1 | grep -oE '"manifest_path":"[^"]+"' | cut -d '"' -f 4 | while read -r manifest; do
    if ! grep -A 1 '^\[lints\]' "$manifest" | grep -q '^workspace = true'; then
        echo "audit: $manifest does not use the lints of the workspace, which forbid unsafe code" >&2
        exit 1
    fi
done
echo 'audit: unsafe code is forbidden in every crate of the workspace'
