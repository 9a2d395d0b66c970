"""Makes the NetCDF-4 files beside this script, with values that the tests know
by formula. Needs netCDF4 (1.7) and numpy; the files are committed, so that the
tests need neither.
"""

import os

import netCDF4
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
DIMS = ("valid_time", "pressure_level", "latitude", "longitude")
SHAPE = (5, 4, 7, 6)
CHUNKS = (3, 3, 4, 4)


def value(t, k, j, i):
    """Exact in float32."""
    return t * 1000.0 + k * 100.0 + j * 4.0 + i * 0.25


def grid():
    return value(*np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"))


def create(name, length):
    """A file with the axes of all."""
    out = netCDF4.Dataset(os.path.join(HERE, name), "w")
    for dim, n in zip(DIMS, (length, *SHAPE[1:])):
        out.createDimension(dim, n)
    time = out.createVariable("valid_time", "i8", ("valid_time",), chunksizes=SHAPE[:1] if length is None else None)
    time.units = "seconds since 1970-01-01"
    time.standard_name = "time"
    # The last step is an hour late.
    time[:] = np.array([0, 10800, 21600, 32400, 46800]) + 1593561600
    level = out.createVariable("pressure_level", "f8", ("pressure_level",))
    level.units = "hPa"
    level[:] = [1000, 500, 250, 200]
    latitude = out.createVariable("latitude", "f8", ("latitude",))
    latitude.units = "degrees_north"
    latitude[:] = 90.0 - 30.0 * np.arange(SHAPE[2])
    longitude = out.createVariable("longitude", "f8", ("longitude",))
    longitude.units = "degrees_east"
    longitude[:] = 60.0 * np.arange(SHAPE[3])
    return out


def deflated():
    """Deflate and shuffle, unlimited time, chunks that do not divide the shape, a group."""
    with create("deflated.nc", None) as out:
        options = {"zlib": True, "shuffle": True, "chunksizes": CHUNKS, "fill_value": np.float32("nan")}
        dust = out.createVariable("aermr04", "f4", DIMS, **options)
        dust.units = "kg kg**-1"
        data = grid().astype("f4")
        data[1, 2, 3, 4] = np.nan
        dust[:] = data
        out.createGroup("details")


def zstandard():
    """Packed shorts behind Zstandard and a check sum."""
    with create("zstd.nc", SHAPE[0]) as out:
        options = {"compression": "zstd", "fletcher32": True, "chunksizes": CHUNKS, "fill_value": -32767}
        ozone = out.createVariable("go3", "i2", DIMS, **options)
        ozone.set_auto_maskandscale(False)
        ozone.scale_factor, ozone.add_offset = 0.25, 2000.0
        stored = ((grid() - 2000.0) / 0.25).astype("i2")
        stored[4, 3, 6, 5] = -32767
        ozone[:] = stored


if __name__ == "__main__":
    deflated()
    zstandard()
