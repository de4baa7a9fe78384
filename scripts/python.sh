#!/usr/bin/env bash
# Builds the package for Python into a fresh environment and runs its tests there, with NumPy and without PyTorch.
# The development profile, and the target folder of `cargo test`: what is compiled is the package itself.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.16,<2' 'numpy>=1.23' pytest
# Not `maturin develop`: what is tested is what is installed.
"$environment/bin/maturin" build --locked --profile dev --manifest-path python/Cargo.toml \
    --interpreter "$environment/bin/python" --out "$environment/wheel"
"$environment/bin/pip" install --quiet --disable-pip-version-check "$environment"/wheel/epsball-*.whl
"$environment/bin/python" -m pytest -q -p no:cacheprovider python/tests "$@"
