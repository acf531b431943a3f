#!/usr/bin/env bash
# The tests of infra that need only python3: the ARM template, the scripts, docs/deploy.md, what assembles a release. Without python3
# they are skipped with a message, or fail if CI=true.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v python3 >/dev/null || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    if [ "${CI:-}" = true ]; then
        echo 'test-infra: there is no python3 of 3.11 or newer' >&2
        exit 1
    fi
    printf '\n%s\n' '*** test-infra LEFT OUT: there is no python3 of 3.11 or newer. ***' >&2
    exit 0
fi
export PYTHONDONTWRITEBYTECODE=1
python3 infra/azure/test_azure.py
python3 infra/test_scripts.py
python3 infra/release/test_assemble.py
