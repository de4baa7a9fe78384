"""Two tables of the same attack on the same images: which images end differently, and by how much.

    flips.py REFERENCE.csv OTHER.csv [--most SHARE]

The second table may have fewer images. Exits with 1 if more than SHARE of them (default 0.005) differ, or
if a clean prediction does."""

import argparse
import csv


def rows(path):
    with open(path, newline="") as file:
        return {row["idx"]: row for row in csv.DictReader(file)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reference")
    parser.add_argument("other")
    parser.add_argument("--most", type=float, default=0.005)
    arguments = parser.parse_args()
    reference, other = rows(arguments.reference), rows(arguments.other)
    clean, flips = 0, []
    for index, row in other.items():
        there = reference[index]
        clean += row["clean"] != there["clean"]
        if row["found"] != there["found"]:
            flips.append((index, there, row))
    robust = [sum(t[i]["found"] == "0" for i in other) for t in (reference, other)]
    print(f"{len(other)} images: robust {robust[0]} in the reference, {robust[1]} in the other")
    print(f"{clean} clean predictions differ, {len(flips)} outcomes differ")
    for index, there, row in flips:
        by = {name: f"broken by {r['by']} at {r['distance']}" if r["found"] == "1" else "robust"
              for name, r in (("reference", there), ("other", row))}
        print(f"image {index}, label {row['label']}: reference {by['reference']}; other {by['other']}")
    raise SystemExit(clean > 0 or len(flips) > arguments.most * len(other))


if __name__ == "__main__":
    main()
