#!/usr/bin/env bash
# Builds the driver and the cuDNN of tests/emulator into a folder (target/emulator unless told) and runs a
# command that finds them in place of real ones:
#   scripts/emulator.sh cargo test --features cuda
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${EMULATOR:-${CARGO_TARGET_DIR:-$root/target}/emulator}
mkdir -p "$folder"
build() {
    local library=$folder/$2
    if [ ! -f "$library" ] || [ -n "$(find "$root/tests/emulator" "$root/kernels" -newer "$library" -print -quit)" ]; then
        # Fused multiply-adds only where a kernel says so, as on a GPU.
        "${CXX:-g++}" -std=c++20 -O3 -march=native -ffp-contract=off -fno-math-errno -fPIC -shared \
            -o "$library" "$root/tests/emulator/$1" "${@:3}"
    fi
}
build driver.cpp libcuda.so
build dnn.cpp libcudnn.so -L"$folder" -lcuda
if [ $# -gt 0 ]; then
    LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"
fi
