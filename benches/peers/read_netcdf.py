"""Reads a field with netCDF4-python and writes how long that took.

    python read_netcdf.py --field field.nc --out NAME.json [--repeat K]
"""

import argparse
import json
import resource
import time
from pathlib import Path

import netCDF4


def read(path):
    """Bytes of float32 read: every variable of four dimensions, whole."""
    total = 0
    with netCDF4.Dataset(path) as ds:
        ds.set_auto_maskandscale(False)
        for variable in ds.variables.values():
            if variable.ndim == 4:
                total += variable[:].nbytes
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--field", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()

    taken = []
    for _ in range(args.repeat):
        start = time.perf_counter()
        total = read(args.field)
        taken.append(time.perf_counter() - start)
    record = dict(
        name="netCDF4-python, NetCDF-4 with deflate and shuffle",
        threads=1,
        seconds=taken,
        bytes=total,
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
