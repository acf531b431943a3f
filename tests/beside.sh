#!/usr/bin/env bash
# Runs two commands at the same time, one that waits much of its time and one that computes: beside.sh LOG WAITS … -- COMPUTES …
# LOG takes what the first prints, which appears when both have ended. Fails if either fails.
set -euo pipefail
log="$1"
shift
waits=()
while [ "$1" != -- ]; do
    waits+=("$1")
    shift
done
shift

echo "beside it runs ${waits[*]}; what that prints follows at the end"
# job control gives it a group of its own, so that Ctrl-C ends all of it
set -m
"${waits[@]}" >"$log" 2>&1 </dev/null &
process=$!
set +m
trap 'kill -- "-$process" 2>/dev/null || true' EXIT
computed=0
"$@" || computed=$?
waited=0
wait "$process" || waited=$?
cat "$log"
[ "$waited" = 0 ] || echo "${waits[*]} failed (exit code $waited)" >&2
[ "$computed" = 0 ] || echo "$* failed (exit code $computed)" >&2
[ "$waited $computed" = '0 0' ]
