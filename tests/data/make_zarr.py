#!/usr/bin/env python3
"""Makes the small Zarr stores in tests/data/zarr.

Run once with zarr-python 2.18, once with zarr-python 3 (both with xarray);
each run writes the stores of its own version:

    python make_zarr.py tests/data/zarr

Every value follows from its indices, see value().
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import xarray as xr
import zarr

SHAPE = (2, 3, 4, 5)
DIMS = ("time", "level", "latitude", "longitude")


def value():
    """v[t, k, j, i] = 1000 t + 100 k + 10 j + i + 1; the last is missing."""
    t, k, j, i = np.indices(SHAPE)
    v = (1000.0 * t + 100.0 * k + 10.0 * j + i + 1.0).astype("f8")
    v[-1, -1, -1, -1] = np.nan
    return v


def dataset():
    v = value()
    packed = xr.DataArray(v / 4 + 200, dims=DIMS, attrs={"units": "K", "standard_name": "air_temperature"})
    permuted = xr.DataArray(v.astype("f4"), dims=DIMS).transpose("longitude", "level", "time", "latitude")
    names = {"units": "kg kg**-1", "long_name": "specific humidity"}
    return xr.Dataset(
        {
            "t": packed,
            "q": (DIMS, v.astype("f4"), names),
            "z": (DIMS, v, {"units": "m**2 s**-2"}),
            "o3": permuted,
            "plain": (DIMS, v.astype("f4")),
            "sp": (("time", "latitude", "longitude"), v[:, 0].astype("f4"), {"units": "Pa"}),
        },
        coords={
            "time": ("time", np.array(["2020-01-01T00", "2020-01-01T03"], dtype="datetime64[ns]")),
            "level": ("level", np.array([200.0, 250.0, 300.0]), {"units": "hPa", "standard_name": "air_pressure"}),
            "latitude": ("latitude", np.array([45.0, 30.0, 15.0, 0.0]), {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(5) * 15.0, {"units": "degrees_east"}),
            "expver": "0001",
        },
        attrs={"Conventions": "CF-1.7"},
    )


TIME = {"units": "hours since 1900-01-01", "dtype": "int32"}
PACKED = {"dtype": "int16", "scale_factor": 0.25, "add_offset": 200.0, "_FillValue": -32767}


def version_2(out):
    import numcodecs

    encoding = {
        "time": TIME,
        "t": {**PACKED, "chunks": (1, 2, 3, 5), "compressor": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE)},
        "q": {"chunks": (1, 2, 2, 3), "compressor": numcodecs.Zstd(3)},
        "z": {"chunks": SHAPE, "compressor": numcodecs.GZip(5)},
        "o3": {"chunks": (5, 2, 1, 4), "compressor": numcodecs.Zlib(5)},
        "plain": {"chunks": (1, 2, 4, 5), "compressor": None},
        "sp": {"chunks": (1, 4, 5), "compressor": numcodecs.Blosc("zstd", 5, numcodecs.Blosc.BITSHUFFLE)},
    }
    store = out / "v2.zarr"
    dataset().to_zarr(store, mode="w", encoding=encoding, consolidated=True)
    # What xarray does not write: order F, big-endian, "/" between chunk
    # indices, a fill value of zero, and chunks that were never written.
    group = zarr.open_group(str(store))
    odd = group.create(
        "odd", shape=SHAPE, chunks=(1, 2, 3, 4), dtype=">f4", order="F", fill_value=0, dimension_separator="/",
        compressor=numcodecs.Zlib(1),
    )
    odd.attrs["_ARRAY_DIMENSIONS"] = list(DIMS)
    odd[0] = np.nan_to_num(value()[0])
    zarr.consolidate_metadata(str(store))


def version_3(out):
    from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, TransposeCodec, ZstdCodec

    encoding = {
        "time": TIME,
        "t": {**PACKED, "chunks": (1, 2, 3, 5), "compressors": BloscCodec(cname="lz4", typesize=2)},
        "q": {"chunks": (1, 2, 2, 3), "compressors": ZstdCodec(level=3)},
        "z": {"chunks": SHAPE, "compressors": GzipCodec(level=5)},
        "o3": {"chunks": (3, 1, 1, 2), "shards": (6, 3, 2, 4), "compressors": ZstdCodec(level=3)},
        "plain": {"chunks": (1, 2, 4, 5), "compressors": None},
        "sp": {"chunks": (1, 4, 5), "compressors": [ZstdCodec(level=1, checksum=True), zarr.codecs.Crc32cCodec()]},
    }
    store = out / "v3.zarr"
    dataset().drop_vars("expver").to_zarr(store, mode="w", encoding=encoding, consolidated=False, zarr_format=3)
    group = zarr.open_group(str(store))
    odd = group.create_array(
        "odd", shape=SHAPE, chunks=(1, 1, 3, 4), shards=(1, 2, 3, 4), dtype="f4", fill_value=0.0,
        filters=[TransposeCodec(order=(3, 2, 1, 0))], serializer=BytesCodec(endian="big"), compressors=None,
        dimension_names=DIMS,
    )
    # Half of the inner chunks of each shard that is there.
    odd[0, 0] = np.nan_to_num(value()[0, 0])


def strip(store):
    """Takes the white space out of the metadata, to keep the files small."""
    for path in store.rglob("*"):
        if path.name in ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"):
            path.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":")))


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    name = "v2.zarr" if zarr.__version__.startswith("2.") else "v3.zarr"
    shutil.rmtree(out / name, ignore_errors=True)
    (version_2 if name == "v2.zarr" else version_3)(out)
    strip(out / name)
