#!/usr/bin/env bash
# Builds what scripts/gpu-suite.sh needs into a folder (target/gpu unless told), without a GPU: the program,
# its side of the comparison with PyTorch and the tests, with CUDA and stripped, so that they run on a
# machine that has a driver and no Rust. Everything that has to travel is packed into FOLDER.txz: unpacked into an
# empty folder it is enough for `scripts/gpu-suite.sh`, with the recorded files of EPSBALL_ORACLE if they are here.
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
git describe --always --dirty=+ '--exclude=*' >"$folder/commit" 2>/dev/null || true

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
put() {  # put FROM TO: a file or a folder into the tree, if it is here
    [ -e "$1" ] || return 0
    mkdir -p "$tree/$(dirname "$2")"
    cp -r "$1" "$tree/$2"
}
put "$folder" target/gpu
for one in scripts/gpu-suite.sh scripts/flips.py benchmarks/models datasets/digits results/autoattack-mnist/images.csv \
    benchmarks/peers/{autoattack,gpu,networks,peers}.py; do
    put "$one" "$one"
done
oracle=${EPSBALL_ORACLE:-../shared/oracle}
for one in zoo mnist trades-mnist; do
    put "$oracle/$one" "oracle/$one"
done
tar -C "$tree" -cJf "$folder.txz" .
{
    # Without recorded files there is no oracle.
    (cd "$tree" && du -sk target/gpu/* scripts benchmarks datasets results oracle/* 2>/dev/null) || true
    echo "$(du -k "$folder.txz" | cut -f1)	$folder.txz, in KiB as all of these; at most 64 MiB may travel"
} >&2
[ "$(stat -c %s "$folder.txz")" -lt $((64 << 20)) ]
