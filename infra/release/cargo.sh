#!/usr/bin/env bash
# Cargo, as `cargo auditable` starts it for a release. cargo auditable names itself as a wrapper of the compiler with its folder, which
# Cargo makes a part of the names of symbols (`cargo build -v` shows another -C metadata for each folder). A name without a folder is
# the same on each machine.
set -euo pipefail
export RUSTC_WORKSPACE_WRAPPER=cargo-auditable
unset CARGO
exec cargo "$@"
