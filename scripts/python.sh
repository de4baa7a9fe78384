#!/usr/bin/env bash
# Builds the package for Python into a fresh environment and runs its tests there, with NumPy and without PyTorch.
# In the development profile and the target folder of `cargo test`, of which PyO3 leaves what does not depend on macros.
# `scripts/python.sh -k autoattack` takes some of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
# Always the same folder: another interpreter is another build.
environment=${CARGO_TARGET_DIR:-$PWD/target}/python-environment
rm -rf "$environment"
python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.16,<2' 'numpy>=1.23' pytest
# Not `maturin develop`: what is tested is what is installed.
"$environment/bin/maturin" build --locked --profile dev --no-default-features \
    --features pyo3/extension-module,as-tests --manifest-path python/Cargo.toml \
    --interpreter "$environment/bin/python" --out "$environment/wheel"
"$environment/bin/pip" install --quiet --disable-pip-version-check "$environment"/wheel/epsball-*.whl
# Away from the sources, so that nothing but the installed package is found.
cp -r python/tests "$environment/tests"
cd "$environment"
EPSBALL_FEATURES=none bin/python -m pytest -q -p no:cacheprovider tests "$@"
