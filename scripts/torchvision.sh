#!/usr/bin/env bash
# torchvision's architectures at their real sizes against torchvision from PyPI, with random weights.
#   scripts/torchvision.sh [--venv DIR]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

venv=$target/torchvision-venv
if [ "${1:-}" = --venv ]; then
    venv=${2:?--venv needs a folder with torch, torchvision and safetensors}
elif [ ! -e "$venv/installed" ]; then
    # The mark is written last: an installation that was cut off is done again.
    python3 -m venv "$venv" >&2
    "$venv/bin/python" -m pip install torch torchvision safetensors numpy >&2
    touch "$venv/installed"
fi
export EPSBALL_TORCHVISION=$target/torchvision
"$venv/bin/python" "$root/tests/oracle/torchvision/record.py" "$EPSBALL_TORCHVISION"
cd "$root"
cargo test --locked --release --test oracle -- --ignored --nocapture torchvision
