"""A field as CAMS sends it: NetCDF-4, float32, deflate and shuffle.

    python to_netcdf.py raw.zarr field.nc
"""

import sys

import xarray as xr


def main():
    source, target = sys.argv[1:]
    ds = xr.open_zarr(source, consolidated=False)
    # A plane of one time and level a chunk, and levels in hPa from the ground up.
    ds = ds.assign_coords(level=(ds["level"] / 100).assign_attrs(units="hPa", positive="down"))
    ds = ds.sortby("level", ascending=False).sortby("latitude", ascending=False)
    chunks = tuple(1 if d in ("time", "level") else n for d, n in ds["c1"].sizes.items())
    packing = dict(zlib=True, complevel=1, shuffle=True, chunksizes=chunks, dtype="float32")
    for variable in ds.variables.values():
        variable.encoding = {}
    ds.to_netcdf(target, format="NETCDF4", encoding={name: packing for name in ds.data_vars})


if __name__ == "__main__":
    main()
