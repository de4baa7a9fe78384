#!/usr/bin/env bash
# Everything that has to be seen on a real GPU, in one command and under ten minutes on a data-centre card:
# the tests of the CUDA path and of the attacks and training on it, again under compute-sanitizer where it is
# installed, the recorded logits and gradients of every network family, AutoAttack image by image beside the
# CPU's table, and the comparison with PyTorch on the same card, line by line with its target.
#   scripts/gpu-suite.sh [--bin FOLDER] [--python PYTHON] [--trades-mnist FILE --mnist FILE] [--budget IMAGES]
#                        [--only PART,PART] [--seconds N] [--results FOLDER] [--archive FILE] [--quick]
# FOLDER of --bin is what scripts/gpu-build.sh has built (target/gpu); PYTHON has torch, safetensors and
# torchattacks. Recorded files are looked for in EPSBALL_ORACLE. A part whose files are not there is left out
# and says so.
#
# Each part has a time limit of its own, and the whole one of N seconds (570). Results go to results/gpu/DEVICE/
# part by part: what a run that was cut off has not reached is measured by another with --only, and what was
# there before stays. PARTs: cuda methods wide pgd smoothing autoattack table attacks loops training oracle oracle-bf16
# memory; those of the comparison are wide, pgd, smoothing, autoattack and loops (benchmarks/peers/gpu.py).
# --budget cuts the images of AutoAttack, here and beside PyTorch. FILE of --archive is a .tar.gz of all results, written
# again after every part, for machines from which few files come back. Where a command may take ten minutes, two do: one
# with `--only cuda,methods,wide,pgd,attacks,loops,training,oracle` and one with `--only` the rest.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
parts="cuda methods wide pgd smoothing autoattack table attacks loops training oracle oracle-bf16 memory"
bin=${CARGO_TARGET_DIR:-$root/target}/gpu
python=python3
trades= mnist= quick= only= images=1000 seconds=570 results=results/gpu archive=
# For a machine without a GPU: PyTorch's device, and the name that results are filed under.
torch_device=${SUITE_TORCH_DEVICE:-cuda} name=${SUITE_NAME:-}
while [ $# -gt 0 ]; do
    case $1 in
        --bin) bin=$2; shift 2 ;;
        --python) python=$2; shift 2 ;;
        --trades-mnist) trades=$2; shift 2 ;;
        --mnist) mnist=$2; shift 2 ;;
        --budget) images=$2; shift 2 ;;
        --only) only="$only ${2//,/ }"; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --results) results=$2; shift 2 ;;
        --archive) archive=$2; shift 2 ;;
        # Tiny, for machines that are much slower than a GPU: no limits.
        --quick) quick=--quick; seconds=36000; shift ;;
        *) echo "gpu-suite.sh: unknown option $1" >&2; exit 2 ;;
    esac
done
[ -z "$quick" ] || images=1
for one in $only; do
    case " $parts " in *" $one "*) ;; *) echo "gpu-suite.sh: no part $one; there are $parts" >&2; exit 2 ;; esac
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
    # Tiny sizes do not belong among measurements.
    name=$name${quick:+-quick}
fi
out=$results/$name
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
failed=0
[ ! -f "$bin/commit" ] || export EPSBALL_COMMIT=${EPSBALL_COMMIT:-$(cat "$bin/commit")}
# What scripts/gpu-build.sh has packed.
if [ -d oracle ]; then
    export EPSBALL_ORACLE=${EPSBALL_ORACLE:-$root/oracle}
    trades=${trades:-$(find oracle/trades-mnist -name '*.safetensors' -print -quit 2>/dev/null)}
    mnist=${mnist:-$(find oracle/mnist -name 't10k-images-idx3-ubyte*' -print -quit 2>/dev/null)}
fi
outcomes=$out/parts.tsv
touch "$outcomes"

wanted() { [ -z "$only" ] || case " $only " in *" $1 "*) ;; *) return 1 ;; esac; }
# allowed SECONDS: that many, or what is left of the whole.
allowed() {
    local left=$((seconds - SECONDS))
    if [ -n "$quick" ] || [ "$1" -gt "$left" ]; then echo "$left"; else echo "$1"; fi
}
# outcome PART TITLE OUTCOME TIME: in place of what an earlier run says of the part.
outcome() {
    { grep -v "^$1	" "$outcomes"; printf '%s\t%s\t%s\t%s\t%s\n' "$@" "$(date -u '+%Y-%m-%d %H:%M')"; } >"$work/outcomes"
    cp "$work/outcomes" "$outcomes"
    write_report
    # Whole or not at all: the machine may go away in the middle.
    if [ -n "$archive" ]; then
        tar -C "$results" -czf "$archive.new" "$name" && mv "$archive.new" "$archive"
    fi
}
part() {  # part PART TITLE LIMIT COMMAND...: runs it, keeps its output, says how it ended and how long it took
    local part=$1 title=$2 limit start=$SECONDS status verdict
    limit=$(allowed "$3"); shift 3
    wanted "$part" || return 0
    if [ "$limit" -lt 10 ]; then
        echo "== $title: no time is left for it" >&2
        failed=1
        grep -q "^$part	" "$outcomes" || outcome "$part" "$title" "not run: no time was left, run \`--only $part\`" ""
        return 0
    fi
    echo "== $title, $limit s at most" >&2
    # timeout ends what the command has started, too.
    timeout -k 10 "$limit" "$@" >"$work/log" 2>&1
    status=$?
    case $status in
        0) verdict=passed ;;
        124 | 137) verdict="FAILED: cut off after $limit s"; failed=1 ;;
        *) verdict=FAILED; failed=1 ;;
    esac
    tail -n 25 "$work/log" >&2
    sed -e "s#$root#.#g" -e "s#$work#WORK#g" "$work/log" >"$out/$part.txt"
    outcome "$part" "$title" "$verdict" "$((SECONDS - start)) s"
}
left_out() {
    wanted "$1" || return 0
    echo "== $2: left out, $3" >&2
    outcome "$1" "$2" "left out: $3" ""
}

write_report() {
    {
        echo "# $name"
        echo
        echo "Written by \`scripts/gpu-suite.sh\`; what each part printed is in \`PART.txt\`. The last run was with"
        echo
        echo '```'
        cat "$work/facts"
        echo '```'
        echo
        echo "| part | | outcome | time | when (UTC) |"
        echo "|---|---|---|---|---|"
        for one in $parts; do
            awk -F'\t' -v part="$one" '$1 == part { print "| " $1 " | " $2 " | " $3 " | " $4 " | " $5 " |" }' "$outcomes"
        done
        [ ! -f "$out/pytorch.md" ] || { echo; cat "$out/pytorch.md"; }
    } >"$out/README.md"
}
peer=
"$python" - >"$work/python" 2>/dev/null <<'PYTHON' && peer=there
import safetensors, torch
print("torch", torch.__version__, "cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version())
try:
    import torchattacks
    print("torchattacks", torchattacks.__version__)
except ImportError:
    print("no torchattacks")
PYTHON
{
    "$bin/epsball" --version
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv 2>/dev/null
    cat "$work/python"
    grep -m1 'model name' /proc/cpuinfo
    echo "$(nproc) processors"
} >"$work/facts"

# Every op, attack and certificate against the CPU. Tolerances, relative to the largest element: outputs 2e-6,
# gradients 1e-5, in bf16 (where the tests have it) both 4 x 2^-9; classes, votes and outcomes of attacks are
# equal (crates/engine/src/cuda/tests/).
part cuda "tests of the CUDA path" 90 "$bin/tests-engine" --ignored cuda::
part methods "attacks and certificates beside the CPU" 60 "$bin/tests-methods" --ignored cuda::

compared() {  # compared PART TITLE LIMIT: a part of the comparison with PyTorch
    # It gives up rounds before the limit ends it.
    part "$@" "$python" benchmarks/peers/gpu.py --part "$1" --seconds $(($(allowed "$3") * 4 / 5)) \
        --side "$bin/peers_side" --work "$work/peers" --out "$out" --device "$torch_device" --budget "$images" \
        ${trades:+--trades-mnist "$trades"} ${mnist:+--mnist "$mnist"} $quick
}
both() { [ -n "$trades" ] && [ -n "$mnist" ]; }
needs_both="give --trades-mnist FILE and --mnist FILE"
if [ -n "$peer" ]; then
    compared wide "WideResNet-28-10 beside PyTorch" 75
    compared pgd "PGD beside PyTorch" 60
    compared smoothing "smoothing beside PyTorch" 90
    if both; then
        compared autoattack "AutoAttack beside PyTorch" 180
    else
        left_out autoattack "AutoAttack beside PyTorch" "$needs_both"
    fi
else
    for one in wide pgd smoothing autoattack; do
        left_out "$one" "$one beside PyTorch" "$python has no torch and safetensors"
    done
fi
if both; then
    # The program as people start it, and its table beside the CPU's.
    table() {
        "$1/epsball" attack -m "$2" --arch trades-small-cnn -d "idx:$3" -n "$4" -a autoattack --norm Linf \
            --eps 0.3 -b 500 --device cuda -o "$5" &&
            "$6" scripts/flips.py results/autoattack-mnist/images.csv "$5"/jobs/*/*.csv
    }
    export -f table
    part table "AutoAttack on $images images, as on the CPU" 40 \
        bash -c 'table "$@"' table "$bin" "$trades" "$mnist" "$images" "$work/run" "$python"
else
    left_out table "AutoAttack, as on the CPU" "$needs_both"
fi
# Every test of the attacks, with its networks on the GPU; and of training, whose attacks run there. Left out is
# the test of equal bits in batches of any size: cuDNN chooses its sums by the size.
part attacks "tests of the attacks on the GPU" 60 env EPSBALL_TEST_DEVICE=cuda "$bin/tests-methods" attack:: \
    --skip an_outcome_depends_neither_on_the_batch
if both && [ -n "$peer" ]; then
    compared loops "images per second of attacks" 30
else
    left_out loops "images per second of attacks" "$needs_both, and torch and safetensors to $python"
fi
part training "tests of training on the GPU" 30 env EPSBALL_TEST_DEVICE=cuda "$bin/tests-methods" train::
oracle=${EPSBALL_ORACLE:-../shared/oracle}
if [ -d "$oracle/zoo" ]; then
    families=("EPSBALL_ORACLE=$oracle" EPSBALL_TEST_DEVICE=cuda "$bin/tests-oracle" --ignored --nocapture families_)
    part oracle "recorded logits and gradients" 45 env "${families[@]}"
    # Tests that do not know the variable would run in f32 again.
    if grep -q EPSBALL_TEST_PRECISION "$bin/tests-oracle"; then
        part oracle-bf16 "the same in bf16" 45 env EPSBALL_TEST_PRECISION=bf16 "${families[@]}"
    else
        left_out oracle-bf16 "the same in bf16" "these tests know no bf16"
    fi
else
    left_out oracle "recorded logits and gradients" "EPSBALL_ORACLE has no zoo"
    left_out oracle-bf16 "the same in bf16" "EPSBALL_ORACLE has no zoo"
fi
if command -v compute-sanitizer >/dev/null; then
    part memory "memory checks" 150 \
        compute-sanitizer --error-exitcode 1 --report-api-errors no "$bin/tests-engine" --ignored cuda::tests::every_layer
else
    left_out memory "memory checks" "compute-sanitizer is not installed"
fi
cat "$out/README.md"
exit $failed
