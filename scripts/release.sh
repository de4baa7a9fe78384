#!/usr/bin/env bash
# The program and the wheel for x86-64 Linux with glibc 2.28 or newer, stripped, in `target/release-files/`.
# Needs Python with venv, and PyPI: maturin and zig, which links against the old glibc, come from there.
set -euo pipefail
cd "$(dirname "$0")/.."

triple=x86_64-unknown-linux-gnu
out=$PWD/target/release-files
tools=$PWD/target/release-tools
mkdir -p "$out"
rm -f "$out"/*

[ -x "$tools/bin/maturin" ] || python3 -m venv "$tools"
"$tools/bin/pip" install --quiet 'maturin>=1.16,<2' ziglang cargo-zigbuild
rustup target add "$triple" >/dev/null 2>&1 || true
export PATH=$tools/bin:$PATH

# Features that need nothing but what is linked: the Hub, and Parquet. `cuda` needs nvcc when it is built, and opens
# the driver when it runs: `scripts/release.sh cuda` adds it.
features=hub,parquet${1:+,$1}

# Lines of code in backtraces are for those who build it themselves.
export CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=false
cargo zigbuild --locked --release --features "$features" --bin epsball --target "$triple.2.28"
cp "target/$triple/release/epsball" "$out/"
maturin build --locked --release --strip --zig --manylinux 2_28 --target "$triple" \
    --manifest-path python/Cargo.toml --out "$out"

cd "$out"
"./epsball" --version
# The newest symbol of glibc that the program asks for.
objdump -T epsball | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1
sha256sum ./* | tee SHA256SUMS
ls -l --block-size=1 | awk 'NR > 1 { printf "%8.1f MB  %s\n", $5 / 1e6, $9 }'
