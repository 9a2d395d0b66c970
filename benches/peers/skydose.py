"""Figures of skydose in the form that the peers write theirs.

    python skydose.py memory|files|read --field F --flights P --out NAME.json --threads N --repeat K -- COMMAND...

`files` times the whole COMMAND, which writes results as Parquet to the path
that stands for RESULTS in it. `memory` takes the seconds from the JSON that
COMMAND prints on its last line: {"seconds": [...]}; `read` too, and the bytes
of the field's values. Whatever else the JSON holds is kept.
"""

import argparse
import json
import resource
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd

import common

KG_PER_G = 1e-3
KG_PER_MG = 1e-6


def exposures(results, flights, names):
    """Figures for whole flights in the peers' units: (3, species, flights)."""
    df = pd.read_parquet(results)
    df = df[df["phase"] == "flight"].set_index(["contaminant", "flight_id"])
    out = np.empty((3, len(names), len(flights)))
    for s, name in enumerate(names):
        rows = df.loc[name].reindex(flights.ids)
        out[0, s] = rows["dosage_g_s_m3"] * KG_PER_G
        out[1, s] = rows["peak_mg_m3"] * KG_PER_MG
        # One threshold: the only (name, seconds) of each map.
        out[2, s] = [seconds for ((_, seconds),) in rows["time_above_s"]]
    return out


def run(command, what, repeat):
    """Seconds of each run, and what else is known of them."""
    if what in ("memory", "read"):
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        told = json.loads(printed.strip().splitlines()[-1])
        return told.pop("seconds"), told
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return taken, {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["memory", "files", "read"])
    parser.add_argument("--field", type=Path, required=True)
    parser.add_argument("--flights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--name")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()

    results = args.out.with_suffix(".parquet")
    command = [str(results) if word == "RESULTS" else word for word in args.command]
    taken, told = run(command, args.what, args.repeat)
    # Before anything else is read here: this process is the smaller one then.
    peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

    case = common.Case(args.field, args.flights, args.threads)
    flights, names = case.flights(), common.species(case.open_field())
    if results.exists():
        np.save(args.out.with_suffix(".exposures.npy"), exposures(results, flights, names))
    kind = dict(memory="in memory", files="from files to results", read="reading")[args.what]
    record = dict(
        name=args.name or f"skydose, {kind}",
        threads=args.threads,
        samples=len(names) * len(flights.time_s),
        flights=len(flights),
        seconds=taken,
        peak_rss_bytes=peak_bytes,
        **told,
    )
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
