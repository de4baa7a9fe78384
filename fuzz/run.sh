#!/usr/bin/env bash
# Fuzzes every reader of files for SECONDS each (600 unless told): no panic, no more than 512 MiB asked for at
# once, 1 GiB held or 20 s taken. Ends with a line per target; what was found lies in fuzz/artifacts/TARGET.
# Needs Linux, Python, a nightly toolchain and `cargo install cargo-fuzz`.
#   fuzz/run.sh [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-600}
shift $(( $# > 0 ? 1 : 0 ))
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(checkpoint model onnx data picture parquet table record)

# Inputs go through files: these are in memory, and gone afterwards.
TMPDIR=$(mktemp -d -p /dev/shm)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
# One input at a time also where images are decoded in parallel.
export RAYON_NUM_THREADS=1

# The limit on memory is our own (fuzz_targets/shared.rs), for which no sanitizer is needed; that of libFuzzer
# is for what C code asks for.
fuzz() {
    local target=$1
    shift
    cargo +nightly fuzz run --release --sanitizer none "$target" "fuzz/corpus/$target" -- -rss_limit_mb=2048 "$@"
}

python3 fuzz/seeds.py fuzz/corpus
logs=fuzz/artifacts/logs
mkdir -p fuzz/corpus/alarm "$logs"

echo 511 > fuzz/corpus/alarm/few
rm -f fuzz/corpus/alarm/many
fuzz alarm -runs=0 > "$logs/alarm" 2>&1 || { echo "alarm: 511 MiB are refused, see $logs/alarm"; exit 1; }
echo 513 > fuzz/corpus/alarm/many
if fuzz alarm -runs=0 >> "$logs/alarm" 2>&1 || ! grep -q 'out of bounds' "$logs/alarm"; then
    echo "alarm: 513 MiB are not refused, the limit on memory is not in force"
    exit 1
fi
rm -r fuzz/corpus/alarm fuzz/artifacts/alarm

failed=0
for target in "${targets[@]}"; do
    outcome='nothing found'
    fuzz "$target" -max_total_time="$seconds" -max_len=16384 -timeout=20 -print_final_stats=1 \
        > "$logs/$target" 2>&1 || { outcome="FAILED, see $logs/$target"; failed=1; }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target")
    covered=$(grep -o 'cov: [0-9]*' "$logs/$target" | tail -1)
    echo "$target: $seconds s, ${runs:-?} executions, ${covered:-no coverage}, $outcome"
done
exit $failed
