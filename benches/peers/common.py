"""The case that every peer computes, and how its figures are written down.

The field is [species][time][level][latitude][longitude] in float32 [kg m-3];
the flights are columns, the waypoints of a flight contiguous. The task: 4-D
linear interpolation (linear in pressure) at each waypoint, then dosage
(trapezoid), peak and the exact time at or above one threshold, per flight and
species.
"""

import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

THRESHOLD_KG_M3 = 2e-7
"""0.2 mg m-3, the lowest of the limits that ICAO names for ash."""

CHECKED_WAYPOINTS = 100_000
"""So many of the first waypoints have their interpolated values compared."""


@dataclass
class Field:
    """A field in memory, axes as numbers: s since 1970, hPa, degrees."""

    names: list[str]
    time_s: np.ndarray
    level_hpa: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    data: np.ndarray


@dataclass
class Flights:
    """Waypoints in columns; flight i is offsets[i]:offsets[i + 1]."""

    ids: np.ndarray
    offsets: np.ndarray
    time: np.ndarray
    time_s: np.ndarray
    longitude: np.ndarray
    latitude: np.ndarray
    level_hpa: np.ndarray

    def __len__(self):
        return len(self.ids)


@dataclass
class Case:
    """What a peer is handed."""

    field_path: Path
    flights_path: Path
    threads: int

    def open_field(self):
        """The data set as files hold it, nothing loaded."""
        return xr.open_dataset(self.field_path, engine="netcdf4")

    def field(self):
        """The field in memory: ascending axes, longitudes 0 to 360 inclusive.

        The first meridian is repeated at 360 degrees, so that no peer has to
        know about the seam.
        """
        ds = self.open_field().sortby(["time", "level", "latitude"])
        names = species(ds)
        shape = [ds.sizes[d] for d in ("time", "level", "latitude", "longitude")]
        data = np.empty((len(names), *shape[:3], shape[3] + 1), np.float32)
        for out, name in zip(data, names):
            out[..., :-1] = ds[name].transpose("time", "level", "latitude", "longitude").values
            out[..., -1] = out[..., 0]
        longitude = ds["longitude"].values.astype(float)
        return Field(
            names=names,
            time_s=seconds(ds["time"].values),
            level_hpa=ds["level"].values.astype(float),
            latitude=ds["latitude"].values.astype(float),
            longitude=np.append(longitude, longitude[0] + 360.0),
            data=data,
        )

    def flights(self):
        """The flights in memory, longitudes 0 to 360."""
        df = pd.read_parquet(self.flights_path, columns=["flight_id", "time", "longitude", "latitude", "level"])
        ids = df["flight_id"].to_numpy()
        starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
        times = df["time"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
        return Flights(
            ids=ids[starts],
            offsets=np.append(starts, len(ids)),
            time=times,
            time_s=seconds(times),
            longitude=np.mod(df["longitude"].to_numpy(), 360.0),
            latitude=df["latitude"].to_numpy(),
            level_hpa=df["level"].to_numpy(),
        )


def species(ds):
    """Names of the 4-D variables, in the file's order."""
    return [str(name) for name, var in ds.data_vars.items() if var.ndim == 4]


def seconds(times):
    """Seconds since 1970 of datetime64."""
    return times.astype("datetime64[ns]").astype(np.int64) / 1e9


def reduce_flights(values, flights, threshold=THRESHOLD_KG_M3):
    """Dosage [kg s m-3], peak [kg m-3], time above [s]: (3, species, flights).

    `values` is (species, waypoints), float64.
    """
    starts = flights.offsets[:-1]
    dt = np.append(np.diff(flights.time_s), 0.0)
    dt[flights.offsets[1:] - 1] = 0.0
    out = np.empty((3, len(values), len(flights)))
    for s, c in enumerate(values):
        after = np.append(c[1:], c[-1])
        low, high = np.minimum(c, after), np.maximum(c, after)
        with np.errstate(divide="ignore", invalid="ignore"):
            above = np.where(low >= threshold, 1.0, (high - threshold) / (high - low))
        above[high < threshold] = 0.0
        out[0, s] = np.add.reduceat(0.5 * (c + after) * dt, starts)
        out[1, s] = np.maximum.reduceat(c, starts)
        out[2, s] = np.add.reduceat(above * dt, starts)
    return out


def timed(work, repeat):
    """Seconds of each of `repeat` runs, and what the last one gave."""
    taken = []
    result = None
    for _ in range(repeat):
        result = None
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
    return taken, result


def write_result(path, *, name, threads, samples, taken, exposures, values=None, **more):
    """The figures as JSON, the arrays beside it."""
    path = Path(path)
    np.save(path.with_suffix(".exposures.npy"), exposures)
    if values is not None:
        np.save(path.with_suffix(".values.npy"), np.ascontiguousarray(values[:, :CHECKED_WAYPOINTS], np.float64))
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    record = dict(name=name, threads=threads, samples=samples, seconds=taken, peak_rss_bytes=peak_bytes, **more)
    path.write_text(json.dumps(record, indent=1) + "\n")
