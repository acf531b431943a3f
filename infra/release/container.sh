#!/usr/bin/env bash
# Builds a release for this machine's architecture in a container of Amazon Linux 2023 (Dockerfile). Rust is this machine's, in the
# version of rust-toolchain.toml. The files are in target/dist/hubkeeper-VERSION. Usage: container.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/../.."
version="${1:?version, such as 0.1.0}"
if ! command -v docker >/dev/null; then
    echo "container.sh: docker is not installed: install it, or run make release VERSION=$version on Amazon Linux 2023" >&2
    exit 1
fi
if ! rust="$(rustc --print sysroot)"; then
    echo 'container.sh: rustc does not run: install rustup (https://rustup.rs), then run rustup toolchain install' >&2
    exit 1
fi
image="$(docker build --quiet infra/release)"
# the user of the checkout, so that git accepts the folder and the files belong to that user
docker run --rm --user "$(id -u):$(id -g)" \
    --volume "$PWD:$PWD" --workdir "$PWD" --volume "$rust:/opt/rust:ro" \
    --env PATH=/opt/rust/bin:/usr/bin:/bin --env HOME=/tmp --env CARGO_HOME=/tmp/cargo --env CARGO_INCREMENTAL=0 \
    "$image" make release VERSION="$version"
