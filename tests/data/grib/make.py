#!/usr/bin/env python3
"""Makes the GRIB2 files beside this script with ecCodes (pip install eccodes eccodeslib numpy).

One file for each packing, three messages each, on 24 x 17 points from 72 N to
8 S by 5 degrees and from 350 E to 105 E by 5 degrees, at 500, 300 and 200 hPa:

  500 hPa  value(i, j) at every point
  300 hPa  value(i, j) + 7 where (i + 2 j) % 5 != 0, missing elsewhere
  200 hPa  the constant 281.25

where i counts columns and j rows from 0. The reader's tests compute the same
formula. 12-bit PNG holds 16-bit pixels, 17-bit PNG 24-bit ones; CCSDS at 20 bits
has no three-byte flag. The constant in the PNG files is packed simply.
"""

import math
import pathlib

import eccodes
import numpy

NI, NJ = 24, 17
MISSING = 9999.0
PACKINGS = {
    "simple": ("grid_simple", {"bitsPerValue": 16}),
    "simple_11_bits": ("grid_simple", {"bitsPerValue": 11}),
    "complex": ("grid_complex", {"bitsPerValue": 14}),
    "differences": ("grid_complex_spatial_differencing", {"bitsPerValue": 15, "orderOfSpatialDifferencing": 2}),
    "differences_1": ("grid_complex_spatial_differencing", {"bitsPerValue": 15, "orderOfSpatialDifferencing": 1}),
    "ccsds": ("grid_ccsds", {"bitsPerValue": 16}),
    "ccsds_20_bits": ("grid_ccsds", {"bitsPerValue": 20, "ccsdsFlags": 12}),
    "jpeg2000": ("grid_jpeg", {"bitsPerValue": 16}),
    "png_12_bits": ("grid_png", {"bitsPerValue": 12}),
    "png_17_bits": ("grid_png", {"bitsPerValue": 17}),
    "ieee": ("grid_ieee", {}),
}


def value(i, j):
    return 250.0 + 20.0 * math.sin(0.35 * i) * math.cos(0.2 * j) + 0.5 * j - 0.05 * i * j


def message(packing, settings, level, values):
    values = numpy.asarray(values)
    handle = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
    for key, setting in {
        "centre": "ecmf", "dataDate": 20240301, "dataTime": 600, "stepRange": "9", "shortName": "t",
        "level": level, "Ni": NI, "Nj": NJ,
        "latitudeOfFirstGridPointInDegrees": 72, "latitudeOfLastGridPointInDegrees": -8,
        "longitudeOfFirstGridPointInDegrees": 350, "longitudeOfLastGridPointInDegrees": 105,
        "iDirectionIncrementInDegrees": 5, "jDirectionIncrementInDegrees": 5,
        "missingValue": MISSING, "bitmapPresent": int(MISSING in values),
    }.items():
        eccodes.codes_set(handle, key, setting)
    eccodes.codes_set(handle, "bitsPerValue", settings.get("bitsPerValue", 16))
    eccodes.codes_set_values(handle, values)
    # ecCodes cannot write a constant field as PNG.
    if packing != "grid_png" or values.min() != values.max():
        eccodes.codes_set(handle, "packingType", packing)
        for key, setting in settings.items():
            eccodes.codes_set(handle, key, setting)
        eccodes.codes_set_values(handle, values)
    data = eccodes.codes_get_message(handle)
    back = eccodes.codes_get_values(handle)
    print(
        f"{eccodes.codes_get(handle, 'packingType')} at {level} hPa: {len(data)} bytes, "
        f"{eccodes.codes_get(handle, 'bitsPerValue')} bits, off by {abs(back - values).max()}"
    )
    return data


def main():
    points = [(i, j) for j in range(NJ) for i in range(NI)]
    whole = [value(i, j) for i, j in points]
    holes = [value(i, j) + 7 if (i + 2 * j) % 5 else MISSING for i, j in points]
    for name, (packing, settings) in PACKINGS.items():
        data = b"".join(
            message(packing, settings, level, values)
            for level, values in ((500, whole), (300, holes), (200, [281.25] * len(points)))
        )
        pathlib.Path(__file__).with_name(f"{name}.grib2").write_bytes(data)


if __name__ == "__main__":
    main()
