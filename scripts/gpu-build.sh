#!/usr/bin/env bash
# Builds what scripts/gpu-suite.sh needs into a folder (target/gpu unless told), without a GPU: the program,
# its side of the comparison with PyTorch and the tests, with CUDA and stripped, so that they run on a
# machine that has a driver and no Rust.
#   scripts/gpu-build.sh [FOLDER]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
folder=${1:-$target/gpu}
cd "$root"
if [ -z "${CUDA_HOME:-}${CUDA_PATH:-}${NVCC:-}" ] && ! command -v nvcc >/dev/null; then
    CUDA_HOME=$(scripts/nvcc.sh)
    export CUDA_HOME
fi
mkdir -p "$folder"
cargo build --locked --release --features cuda --bin epsball --example peers_side
install -s "$target/release/epsball" "$target/release/examples/peers_side" "$folder/"
# The executables that cargo names, one for each set of tests.
tests() {
    cargo test --locked --release --features cuda --no-run --message-format=json "$@" |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}
install -s "$(tests -p epsball-engine --lib)" "$folder/tests-engine"
install -s "$(tests -p epsball-methods --lib)" "$folder/tests-methods"
install -s "$(tests --test oracle)" "$folder/tests-oracle"
ls -l "$folder" >&2
