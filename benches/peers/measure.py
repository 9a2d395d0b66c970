"""Runs one peer in this process and writes its figures.

    python measure.py PEER --field field.nc --flights flights.parquet --out PEER.json
"""

import argparse
from pathlib import Path

import numpy as np

import common
from peers import PEERS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--field", type=Path, required=True)
    parser.add_argument("--flights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()

    make, threads = PEERS[args.peer]
    threads = threads or args.threads
    case = common.Case(args.field, args.flights, threads)
    work = make(case)
    taken, (exposures, values) = common.timed(work, args.repeat)
    if values is None:
        values = work.values()
    flights = case.flights()
    common.write_result(
        args.out,
        name=make.__doc__.splitlines()[0].rstrip("."),
        threads=threads,
        samples=int(exposures.shape[1] * len(flights.time_s)),
        flights=len(flights),
        taken=taken,
        exposures=exposures,
        values=values,
    )
    if not np.isfinite(exposures).all():
        raise SystemExit(f"{args.peer}: not every figure is finite")


if __name__ == "__main__":
    main()
