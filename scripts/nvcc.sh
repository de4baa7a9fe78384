#!/usr/bin/env bash
# Fetches NVIDIA's compiler from PyPI (300 MB, no GPU and no toolkit needed) into a folder and prints
# the CUDA_HOME to build with:
#   CUDA_HOME=$(scripts/nvcc.sh) cargo build --release --features cuda
# The folder is ~/.cache/epsball/nvcc, or the one given. What is there is used again.
set -euo pipefail
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/epsball/nvcc}
home() { find "$folder" -type d -path '*/site-packages/nvidia/cu13' -print -quit 2>/dev/null; }
if [ ! -x "$(home)/bin/nvcc" ]; then
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check \
        nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 >&2
fi
[ -x "$(home)/bin/nvcc" ] || { echo "scripts/nvcc.sh: no nvcc in $folder" >&2; exit 1; }
home
