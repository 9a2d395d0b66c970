"""One function a peer: takes the case, returns the work to be timed.

Everything that a user does once for many flights (loading, padding,
interleaving, compiling, making the library's own objects) happens before; the
work itself starts with arrays in memory and ends with the figures per flight.
It returns (exposures, values); a peer that fuses the two has no values, which
are then measured by one flight a waypoint, outside the timing.
"""

import numpy as np

import common

CHUNK = 200_000
"""Waypoints at a time, where a library would otherwise need many GB."""


def scipy_rgi(case):
    """SciPy RegularGridInterpolator, all species at once, chunked."""
    from scipy.interpolate import RegularGridInterpolator

    field, flights = case.field(), case.flights()
    axes = (field.time_s, field.level_hpa, field.latitude, field.longitude)
    data = np.ascontiguousarray(np.moveaxis(field.data, 0, -1))
    interpolator = RegularGridInterpolator(axes, data, method="linear", bounds_error=True)
    del field

    def work():
        columns = (flights.time_s, flights.level_hpa, flights.latitude, flights.longitude)
        values = np.empty((data.shape[-1], len(flights.time_s)))
        for start in range(0, values.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            values[:, part] = interpolator(np.stack([c[part] for c in columns], axis=-1)).T
        return common.reduce_flights(values, flights), values

    return work


def xarray_interp(case):
    """xarray .interp, pointwise on a shared dimension."""
    import xarray as xr

    field, flights = case.field(), case.flights()
    dims = ("time", "level", "latitude", "longitude")
    axes = dict(zip(dims, (field.time_s, field.level_hpa, field.latitude, field.longitude)))
    ds = xr.Dataset({name: (dims, data) for name, data in zip(field.names, field.data)}, coords=axes)
    at = {
        "time": flights.time_s,
        "level": flights.level_hpa,
        "latitude": flights.latitude,
        "longitude": flights.longitude,
    }
    at = {name: xr.DataArray(column, dims="waypoint") for name, column in at.items()}

    def work():
        found = ds.interp(at, method="linear")
        values = np.stack([found[name].values for name in field.names]).astype(float)
        return common.reduce_flights(values, flights), values

    return work


def _pycontrails_met(ds):
    from pycontrails import MetDataset

    return MetDataset(ds, wrap_longitude=True)


def _fleet(flights):
    from pycontrails import Fleet

    lengths = np.diff(flights.offsets)
    return Fleet(
        data={
            "flight_id": np.repeat(flights.ids, lengths),
            "time": flights.time,
            "longitude": np.mod(flights.longitude + 180.0, 360.0) - 180.0,
            "latitude": flights.latitude,
            "level": flights.level_hpa,
        }
    )


def _intersect(fleet, met, names, **options):
    return np.stack([fleet.intersect_met(met[name], **options) for name in names]).astype(float)


def _pycontrails_fleet(case, **options):
    ds = case.open_field()
    names = common.species(ds)
    met = _pycontrails_met(ds.load())
    flights = case.flights()
    fleet = _fleet(flights)

    def work():
        values = _intersect(fleet, met, names, **options)
        fleet._invalidate_indices()  # kept on the fleet: the next run finds its own
        return common.reduce_flights(values, flights), values

    return work


def pycontrails_fleet(case):
    """pycontrails Fleet.intersect_met."""
    return _pycontrails_fleet(case)


def pycontrails_indices(case):
    """pycontrails Fleet.intersect_met, indices reused between species."""
    return _pycontrails_fleet(case, use_indices=True)


def pycontrails_flights(case):
    """pycontrails Flight.intersect_met, flight by flight."""
    from pycontrails import Flight

    ds = case.open_field()
    names = common.species(ds)
    met = _pycontrails_met(ds.load())
    flights = case.flights()
    longitude = np.mod(flights.longitude + 180.0, 360.0) - 180.0
    single = [
        Flight(
            time=flights.time[a:b],
            longitude=longitude[a:b],
            latitude=flights.latitude[a:b],
            level=flights.level_hpa[a:b],
        )
        for a, b in zip(flights.offsets[:-1], flights.offsets[1:])
    ]

    def work():
        values = np.concatenate([_intersect(f, met, names) for f in single], axis=1)
        return common.reduce_flights(values, flights), values

    return work


def _numba(case, interleaved):
    import numba

    import kernels

    numba.set_num_threads(case.threads)
    field, flights = case.field(), case.flights()
    axes = tuple(kernels.axis(a) for a in (field.time_s, field.latitude, field.longitude))
    column = kernels.vertical(field.level_hpa)
    n_species = len(field.names)
    kernel = kernels.make(field.data.shape, interleaved)
    flat = (np.moveaxis(field.data, 0, -1) if interleaved else field.data).reshape(-1)
    del field
    columns = (flights.time_s, flights.level_hpa, flights.latitude, flights.longitude)

    def run(offsets):
        out = np.empty((3, n_species, len(offsets) - 1))
        kernel(flat, axes, column, offsets, *columns, common.THRESHOLD_KG_M3, out)
        return out

    run(flights.offsets[:2])  # compiles

    def work():
        return run(flights.offsets), None

    # A flight of one waypoint has its value as its peak.
    work.values = lambda: run(np.arange(min(len(flights.time_s), common.CHECKED_WAYPOINTS) + 1))[1]
    return work


def numba_species(case):
    """numba, one array a species."""
    return _numba(case, interleaved=False)


def numba_interleaved(case):
    """numba, species interleaved."""
    return _numba(case, interleaved=True)


def pycontrails_files(case):
    """pycontrails from files to results: NetCDF and Parquet in, Parquet out."""
    import pandas as pd

    def work():
        ds = case.open_field()
        names = common.species(ds)
        met = _pycontrails_met(ds.load())
        flights = case.flights()
        values = _intersect(_fleet(flights), met, names)
        exposures = common.reduce_flights(values, flights)
        rows = pd.DataFrame(
            {
                "flight_id": np.tile(flights.ids, len(names)),
                "contaminant": np.repeat(names, len(flights)),
                "dosage": exposures[0].ravel(),
                "peak": exposures[1].ravel(),
                "time_above_s": exposures[2].ravel(),
            }
        )
        rows.to_parquet(case.flights_path.with_suffix(".pycontrails.parquet"))
        return exposures, values

    return work


PEERS = {
    "scipy": (scipy_rgi, 1),
    "xarray": (xarray_interp, 1),
    "pycontrails-flights": (pycontrails_flights, 1),
    "pycontrails-fleet": (pycontrails_fleet, 1),
    "pycontrails-indices": (pycontrails_indices, 1),
    "numba-species": (numba_species, None),
    "numba-interleaved": (numba_interleaved, None),
    "pycontrails-files": (pycontrails_files, 1),
}
"""Name: how it is made, and its threads (None: as many as the run has)."""
