#!/usr/bin/env bash
# epsball beside PyTorch, torchattacks and foolbox: see README.md in this folder.
#   run.sh [--venv DIR] [options of peers.py]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

venv=
rest=()
while [ $# -gt 0 ]; do
    case $1 in
        --venv) venv=${2:?--venv needs a folder}; shift 2 ;;
        --venv=*) venv=${1#--venv=}; shift ;;
        *) rest+=("$1"); shift ;;
    esac
done

if [ -z "$venv" ]; then
    venv=$target/peers-venv
    # The mark says what is installed and is written last: an installation that was cut off is done again.
    if ! cmp -s "$here/requirements.txt" "$venv/installed"; then
        echo "installing PyTorch, torchvision, torchattacks and foolbox into $venv" >&2
        python3 -m venv "$venv" >&2
        "$venv/bin/python" -m pip install --requirement "$here/requirements.txt" >&2
        cp "$here/requirements.txt" "$venv/installed"
    fi
elif [ ! -x "$venv/bin/python" ]; then
    echo "--venv $venv: no Python environment is there; leave --venv out to have one made" >&2
    exit 2
fi

(cd "$root" && cargo build --locked --release --example peers_side) >&2
exec "$venv/bin/python" "$here/peers.py" --side "$target/release/examples/peers_side" \
    --work "$target/peers" ${rest[@]+"${rest[@]}"}
