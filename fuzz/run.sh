#!/usr/bin/env bash
# Runs every fuzz target for the given number of seconds each, and prints how many inputs it tried. New inputs go to
# the target directory; it names an input that breaks a property: add that to fuzz/corpus as `found-…` once the fault is fixed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:?seconds}"
work="${2:?folder to work in}"
mkdir -p "$work"
work="$(cd "$work" && pwd)"

# without a sanitizer coverage needs no nightly compiler; the function is free of `unsafe`, so there is little for one to find
fuzz() { CARGO_TARGET_DIR="$work" cargo fuzz "$1" --sanitizer none "${@:2}"; }

fuzz build
total=0
broken=()
for program in fuzz/fuzz_targets/*.rs; do
    target="$(basename "$program" .rs)"
    mkdir -p "$work/corpus/$target" "$work/artifacts"
    log="$work/$target.log"
    if ! fuzz run "$target" "$work/corpus/$target" "fuzz/corpus/$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=25 \
        -dict=fuzz/dictionary -print_final_stats=1 -artifact_prefix="$work/artifacts/$target-" >"$log" 2>&1; then
        broken+=("$target")
        grep -aE "panicked at|^thread|Test unit written" -A 1 "$log" || tail -n 20 "$log"
    fi
    executed="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    total=$((total + ${executed:-0}))
    printf '%-10s %12d executions, coverage %s\n' "$target" "${executed:-0}" "$(grep -aoE 'cov: [0-9]+' "$log" | tail -n 1 | tr -dc 0-9)"
done
printf '%-10s %12d executions, %d targets broken\n' total "$total" "${#broken[@]}"
[ "${#broken[@]}" -eq 0 ]
