"""One table of what the peers and skydose took, and how far they differ.

    python compare.py DIR [--title TEXT] > table.md

DIR holds NAME.ROUND.json from each process, with NAME.ROUND.exposures.npy and
NAME.ROUND.values.npy beside it where there are such.
"""

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np

REFERENCE = "scipy"
"""Computes in float64 throughout: what the others are held against."""

FLOOR = 1e-6
"""Relative differences are taken against the reference's value, but at least
this part of the largest one of the same species."""

OWN = "skydose"
FILES = "-files"
READ = "-read"
NETCDF = "netcdf-read"
ONE = "-one"
"""The same on one thread."""


def largest_difference(got, reference):
    """Largest relative difference; the last axis runs within a species."""
    scale = np.maximum(np.abs(reference), FLOOR * np.abs(reference).max(axis=-1, keepdims=True))
    return float(np.max(np.abs(got - reference) / np.where(scale > 0, scale, 1.0)))


class Figures:
    """Every round of one peer."""

    def __init__(self, paths):
        records = [json.loads(path.read_text()) for path in paths]
        self.first = records[0]
        self.seconds = [t for record in records for t in record["seconds"]]
        self.best = min(self.seconds)
        self.spread = statistics.median(self.seconds) / self.best
        self.peak_gb = max(r["peak_rss_bytes"] for r in records) / 1e9
        self.rate = self.first.get("samples", 0) / self.best / 1e6
        self.exposures = self._array(paths[0], "exposures")
        self.values = self._array(paths[0], "values")

    @staticmethod
    def _array(path, what):
        path = path.with_suffix(f".{what}.npy")
        return np.load(path) if path.exists() else None

    def differences(self, reference):
        """Columns: values, dosage, peak (relative), time above (seconds)."""
        columns = ["–"] * 4
        if self.values is not None and reference.values is not None:
            columns[0] = f"{largest_difference(self.values, reference.values):.0e}"
        if self.exposures is not None and reference.exposures is not None:
            dosage, peak, above = self.exposures
            columns[1] = f"{largest_difference(dosage, reference.exposures[0]):.0e}"
            columns[2] = f"{largest_difference(peak, reference.exposures[1]):.0e}"
            columns[3] = f"{np.max(np.abs(above - reference.exposures[2])):.0e}"
        return columns


def table(figures, own, one, reference):
    """Lines of a Markdown table, slowest first; `one` is skydose on one thread."""
    yield (
        "| what | threads | best, s | median / best | million samples/s | skydose is faster by | per core by "
        "| peak GB | value | dosage | peak | time above, s |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for f in sorted(figures, key=lambda f: f.rate):
        ratio = f"{f.best / own.best:.1f}" if own else "–"
        per_core = f"{f.best * f.first['threads'] / one.best:.1f}" if one else "–"
        cells = [
            f.first["name"],
            f.first["threads"],
            f"{f.best:.3g}",
            f"{f.spread:.2f}",
            f"{f.rate:.3g}",
            ratio,
            per_core,
            f"{f.peak_gb:.1f}",
            *f.differences(reference),
        ]
        yield "| " + " | ".join(map(str, cells)) + " |"


def reading(figures):
    """Lines of the table of what reading took."""
    yield "| what | threads | best, s | median / best | GB/s of float32 | faster than netCDF4-python by | peak GB |"
    yield "|---|---|---|---|---|---|---|"
    theirs = figures.get(NETCDF)
    for f in sorted(figures.values(), key=lambda f: -f.best):
        cells = [
            f.first["name"],
            f.first["threads"],
            f"{f.best:.3g}",
            f"{f.spread:.2f}",
            f"{f.first['bytes'] / f.best / 1e9:.2f}",
            f"{theirs.best / f.best:.1f}" if theirs else "–",
            f"{f.peak_gb:.1f}",
        ]
        yield "| " + " | ".join(map(str, cells)) + " |"


def scaling(figures):
    """Lines on how much faster several threads are than one."""
    for name, one in figures.items():
        several = figures.get(name.removesuffix(ONE))
        if name.endswith(ONE) and several:
            by = one.best / several.best
            yield f"{several.first['name']}: {several.first['threads']} threads are {by:.2f} times as fast as one."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--title", default="")
    args = parser.parse_args()

    rounds = defaultdict(list)
    for path in sorted(args.folder.glob("*.json")):
        rounds[path.name.split(".")[0]].append(path)
    figures = {name: Figures(paths) for name, paths in rounds.items()}
    reference = figures[REFERENCE]
    first = reference.first

    print(f"## {args.title or args.folder.name}: {first['flights']} flights, {first['samples']} samples\n")
    read = {n: f for n, f in figures.items() if READ in n}
    figures = {n: f for n, f in figures.items() if n not in read}
    parts = {
        "In memory": {n: f for n, f in figures.items() if not n.endswith(FILES)},
        "From files to results": {n: f for n, f in figures.items() if n.endswith(FILES)},
    }
    for heading, part in parts.items():
        if part:
            own = part.get(OWN) or part.get(OWN + FILES)
            print(f"### {heading}\n")
            print("\n".join(table(part.values(), own, part.get(OWN + ONE), reference)) + "\n")
            for line in scaling(part):
                print(line + "\n")
    if read:
        print("### Reading the field\n")
        print("\n".join(reading(read)) + "\n")
        for line in scaling(read):
            print(line + "\n")
    print(
        f"Per core: its seconds times its threads, over those of skydose on one thread.\n"
        f"A sample is a waypoint and a species. Value, dosage and peak: largest relative difference from\n"
        f"{first['name']} (float64), against at least {FLOOR:g} of the species' largest;\n"
        f"values of the first waypoints only. Time above: largest difference in seconds.\n"
    )


if __name__ == "__main__":
    main()
