#!/usr/bin/env bash
# Everything that has to be seen on a real GPU, in one command and under ten minutes on a data-centre card:
# the tests of the CUDA path, again under compute-sanitizer where it is installed, the recorded logits and
# gradients of every network family, AutoAttack image by image beside the CPU's table, and the benchmark
# beside PyTorch on the same card. Writes results/gpu/DEVICE/.
#   scripts/gpu-suite.sh [--bin FOLDER] [--python PYTHON] [--trades-mnist FILE --mnist FILE] [--quick]
# FOLDER is what scripts/gpu-build.sh has built (target/gpu); PYTHON has torch and safetensors. Recorded files
# are looked for in EPSBALL_ORACLE. A part whose files are not there is left out and says so.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
bin=${CARGO_TARGET_DIR:-$root/target}/gpu
python=python3
trades= mnist= quick= images=1000
# For a machine without a GPU: PyTorch's device, and the name that results are filed under.
torch_device=${SUITE_TORCH_DEVICE:-cuda} name=${SUITE_NAME:-}
while [ $# -gt 0 ]; do
    case $1 in
        --bin) bin=$2; shift 2 ;;
        --python) python=$2; shift 2 ;;
        --trades-mnist) trades=$2; shift 2 ;;
        --mnist) mnist=$2; shift 2 ;;
        --quick) quick=--quick; images=1; shift ;;
        *) echo "gpu-suite.sh: unknown option $1" >&2; exit 2 ;;
    esac
done
[ -x "$bin/epsball" ] || { echo "$bin/epsball is not there: run scripts/gpu-build.sh first" >&2; exit 2; }

# cuDNN is often only in the Python environment, beside torch.
libraries=$("$python" - <<'PYTHON' 2>/dev/null
import glob, os, site, sys
folders = site.getsitepackages() + [site.getusersitepackages()] + sys.path
print(":".join(sorted({lib for f in folders for lib in glob.glob(os.path.join(f, "nvidia", "*", "lib"))})))
PYTHON
)
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries

if [ -z "$name" ]; then
    name=$(nvidia-smi --query-gpu=name --format=csv,noheader -i 0 2>/dev/null | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9.-')
    [ -n "$name" ] || { echo "nvidia-smi shows no GPU" >&2; exit 2; }
fi
out=results/gpu/$name
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
failed=0
report=$out/README.md

part() {  # part TITLE COMMAND...: runs it, keeps its output, says whether it passed and how long it took
    local title=$1 start=$SECONDS; shift
    echo "== $title" >&2
    if "$@" >"$work/log" 2>&1; then verdict=passed; else verdict=FAILED; failed=1; fi
    tail -n 25 "$work/log" >&2
    echo "| $title | $verdict | $((SECONDS - start)) s |" >>"$report"
    sed "s#$root#.#g" "$work/log" >"$out/$(echo "$title" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-').txt"
}
left_out() { echo "| $1 | left out: $2 | |" >>"$report"; echo "== $1: left out, $2" >&2; }

{
    echo "# $name"
    echo
    echo "Written by \`scripts/gpu-suite.sh\`."
    echo
    echo '```'
    "$bin/epsball" --version
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>/dev/null
    "$python" -c 'import torch; print("torch", torch.__version__, "cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version())' 2>/dev/null
    grep -m1 'model name' /proc/cpuinfo; nproc
    echo '```'
    echo
    echo "| part | outcome | time |"
    echo "|---|---|---|"
} >"$report"

# Every op, attack and certificate against the CPU. Tolerances, relative to the largest element: outputs
# 2e-6, gradients 1e-5, in bf16 both 4 x 2^-9; classes, votes and outcomes of attacks are equal (src/cuda/tests.rs).
part "tests of the CUDA path" "$bin/tests-lib" --ignored cuda::
if command -v compute-sanitizer >/dev/null; then
    part "memory checks" compute-sanitizer --error-exitcode 1 "$bin/tests-lib" --ignored cuda::tests::every_layer
else
    left_out "memory checks" "compute-sanitizer is not installed"
fi
if [ -d "${EPSBALL_ORACLE:-../shared/oracle}/zoo" ]; then
    EPSBALL_ORACLE=${EPSBALL_ORACLE:-../shared/oracle} EPSBALL_TEST_DEVICE=cuda \
        part "recorded logits and gradients" "$bin/tests-oracle" --ignored --nocapture families_
    EPSBALL_ORACLE=${EPSBALL_ORACLE:-../shared/oracle} EPSBALL_TEST_DEVICE=cuda EPSBALL_TEST_PRECISION=bf16 \
        part "the same in bf16" "$bin/tests-oracle" --ignored --nocapture families_
else
    left_out "recorded logits and gradients" "EPSBALL_ORACLE has no zoo"
fi
if [ -n "$trades" ] && [ -n "$mnist" ]; then
    part "AutoAttack on $images images" "$bin/epsball" attack -m "$trades" --arch trades-small-cnn -d "idx:$mnist" \
        -n "$images" -a autoattack --norm Linf --eps 0.3 -b 500 --device cuda -o "$work/run"
    part "the same images as on the CPU" "$python" scripts/flips.py results/autoattack-mnist/images.csv \
        "$work"/run/jobs/*/*.csv
else
    left_out "AutoAttack" "give --trades-mnist FILE and --mnist FILE"
fi
if "$python" -c 'import torch, safetensors' 2>/dev/null; then
    part "beside PyTorch" "$python" benchmarks/peers/gpu.py --side "$bin/peers_side" --work "$work/peers" --out "$out" \
        --device "$torch_device" $quick
    [ -f "$out/pytorch.md" ] && { echo; cat "$out/pytorch.md"; } >>"$report"
else
    left_out "beside PyTorch" "$python has no torch and safetensors"
fi
cat "$report"
exit $failed
