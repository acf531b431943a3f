#!/usr/bin/env bash
# Checks the event file and says what `make demo` does, before anything is built. Lists the examples if the event file is invalid.
# Usage: before-demo.sh <folder of the built programs> [event file].
set -euo pipefail
cd "$(dirname "$0")/../.."
programs="$1"
event="${2:-}"

wrong() {
    {
        echo "make demo: $1"
        echo
        echo 'EVENT takes a file that holds one JSON object. The examples:'
        printf '  make demo EVENT=%s\n' events/*.json
    } >&2
    exit 2
}

if [ -n "$event" ]; then
    [ -e "$event" ] || wrong "there is no file $event"
    [ -f "$event" ] || wrong "$event is not a file"
    [ -r "$event" ] || wrong "$event cannot be read"
    # the function's own parser says more; this check prevents a useless build
    first="$(tr -d ' \t\r\n' <"$event" | head -c 1)"
    [ "$first" = '{' ] || wrong "$event does not hold a JSON object"
    if command -v python3 >/dev/null; then
        if ! problem="$(python3 -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8"))' "$event" 2>&1)"; then
            problem="${problem##*$'\n'}"
            wrong "$event is not JSON: ${problem#*: }"
        fi
    fi
    runs='sends one event, which takes 2 seconds'
else
    runs='runs the whole life of a token, which takes 2 seconds'
fi

if [ -x "$programs/demo" ] && [ -x "$programs/bootstrap" ]; then
    builds='builds what has changed since the last build'
else
    builds='builds the function and the sandbox: about 4 minutes on two cores, once. Cargo names each crate as it starts it; the last
  two take half a minute'
fi
cat <<END
make demo
  $builds
  then $runs
No account, no credentials: AWS, Docker Hub, Entra and Azure are the sandbox, on loopback sockets. Only Cargo uses the network, for crates.

END
