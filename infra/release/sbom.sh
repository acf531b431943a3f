#!/usr/bin/env bash
# Writes a bill of materials (CycloneDX) of the function and one of the command line, and checks that each lists every crate that the
# binary is linked from, for each target that a release may be built for. The same commit gives the same bytes on each machine.
# Usage: sbom.sh <the program release> <folder>
set -euo pipefail
release="$(realpath "$1")"
mkdir -p "$2"
folder="$(realpath "$2")"
targets=(aarch64-unknown-linux-gnu x86_64-unknown-linux-gnu)
cd "$(dirname "$0")/../.."
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)"
fi
export SOURCE_DATE_EPOCH
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

functions=() command_lines=()
for target in "${targets[@]}"; do
    # one file for each package of the workspace, beside its manifest
    cargo cyclonedx -qq --format json --spec-version 1.5 --target "$target" --no-build-deps \
        --override-filename hubkeeper-sbom >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
    mv hubkeeper-sbom.json "$work/function-$target.json"
    mv cli/hubkeeper-sbom.json "$work/cli-$target.json"
    functions+=("$work/function-$target.json")
    command_lines+=("$work/cli-$target.json")
    find benches crates tests -name hubkeeper-sbom.json -delete
done
"$release" sbom "$folder/function.cdx.json" "${functions[@]}"
"$release" sbom "$folder/cli.cdx.json" "${command_lines[@]}"

# check PACKAGE FILE WHAT
check() {
    local target name version count=0
    while read -r name version; do
        count=$((count + 1))
        # a package of the workspace has its folder after the version
        if ! grep -qF -e "\"pkg:cargo/$name@${version#v}\"" -e "\"pkg:cargo/$name@${version#v}?" "$folder/$2"; then
            echo "sbom: $folder/$2 lacks $name ${version#v}" >&2
            exit 1
        fi
    done < <(for target in "${targets[@]}"; do
        cargo tree --locked -p "$1" --edges normal --target "$target" --prefix none --format '{p}'
    done | awk -v root="$1" '$1 != root { print $1, $2 }' | sort -u)
    [ "$count" -gt 50 ]
    echo "sbom: $2 lists the $count crates that $3 is linked from"
}
check hubkeeper function.cdx.json 'the function'
check hubkeeper-cli cli.cdx.json 'the command line'
