"""Parallel numba kernels: what a careful user writes when libraries are slow.

Axes but the vertical are uniform, so a cell is located by arithmetic; the
vertical one through a table that is fine enough for one step to be left.
Interpolation is in float32, sums are in float64, each thread takes whole
flights and nothing is stored per waypoint.
"""

import numba
import numpy as np

BINS = 4096


def axis(coordinates):
    """(origin, 1 / step, last cell) of a uniform axis."""
    step = np.diff(coordinates)
    if not np.allclose(step, step[0]):
        raise ValueError("the axis is not uniform")
    return float(coordinates[0]), float(1.0 / step[0]), len(coordinates) - 2


def vertical(levels):
    """Lookup from pressure to cell: (levels, 1 / widths, cell of each bin, 1 / bin)."""
    edges = np.linspace(levels[0], levels[-1], BINS + 1)
    cells = np.clip(np.searchsorted(levels, edges[:-1], side="right") - 1, 0, len(levels) - 2)
    return levels, 1.0 / np.diff(levels), cells.astype(np.int64), BINS / (levels[-1] - levels[0])


@numba.njit(inline="always")
def _uniform(x, origin, inverse, last):
    u = (x - origin) * inverse
    i = min(max(int(u), 0), last)
    return i, np.float32(u - i)


@numba.njit(inline="always")
def _level(p, levels, inverse_widths, cells, inverse_bin):
    b = min(max(int((p - levels[0]) * inverse_bin), 0), BINS - 1)
    k = cells[b]
    while k < len(levels) - 2 and p >= levels[k + 1]:
        k += 1
    return k, np.float32((p - levels[k]) * inverse_widths[k])


@numba.njit(inline="always")
def _above(c0, c1, threshold):
    """Part of a segment at or above the threshold, without a branch."""
    low, high = min(c0, c1), max(c0, c1)
    part = max(0.0, (high - threshold) / max(high - low, 1e-300))
    return 1.0 if low >= threshold else part


def make(shape, interleaved):
    """Kernel for a field of `shape` (species, time, level, latitude, longitude).

    `flat` holds it in that order or, interleaved, with the species last. Sizes
    are constants of the code and indices are unsigned, so that the loop over
    interleaved species becomes vector instructions.
    """
    n_species, n_t, n_p, n_y, n_x = shape
    size_x = n_species if interleaved else 1
    size_y, size_p, size_t = n_x * size_x, n_y * n_x * size_x, n_p * n_y * n_x * size_x
    east, north, up, later = np.uintp(size_x), np.uintp(size_y), np.uintp(size_p), np.uintp(size_t)
    next_species = np.uintp(1 if interleaved else n_t * size_t)

    @numba.njit(inline="always")
    def add(i, value, dt, threshold, before, dose, above, peak):
        c0, c1 = np.float64(before[i]), np.float64(value)
        dose[i] += 0.5 * dt * (c0 + c1)
        above[i] += dt * _above(c0, c1, threshold)
        peak[i] = max(peak[i], value)
        before[i] = value

    @numba.njit(parallel=True, fastmath=True, error_model="numpy")
    def kernel(flat, axes, column, offsets, t, p, y, x, threshold, out):
        (t0, ti, tn), (y0, yi, yn), (x0, xi, xn) = axes
        levels, widths, cells, inverse_bin = column
        one = np.float32(1.0)
        for f in numba.prange(len(offsets) - 1):
            dose = np.zeros(n_species)
            above = np.zeros(n_species)
            peak = np.zeros(n_species, np.float32)
            before = np.zeros(n_species, np.float32)
            now = np.zeros(n_species, np.float32)
            for w in range(offsets[f], offsets[f + 1]):
                it, ft = _uniform(t[w], t0, ti, tn)
                iy, fy = _uniform(y[w], y0, yi, yn)
                ix, fx = _uniform(x[w], x0, xi, xn)
                ip, fp = _level(p[w], levels, widths, cells, inverse_bin)
                dt = t[w] - t[w - 1] if w > offsets[f] else 0.0
                gt, gp, gy, gx = one - ft, one - fp, one - fy, one - fx
                # Eight pairs of neighbours; bits of the number: time, level, latitude.
                k0 = np.uintp(it * size_t + ip * size_p + iy * size_y + ix * size_x)
                k1, k2, k4 = k0 + north, k0 + up, k0 + later
                k3, k5, k6 = k2 + north, k4 + north, k4 + up
                k7 = k6 + north
                w0, w1, w2, w3 = gt * gp * gy, gt * gp * fy, gt * fp * gy, gt * fp * fy
                w4, w5, w6, w7 = ft * gp * gy, ft * gp * fy, ft * fp * gy, ft * fp * fy
                for i in range(n_species):
                    s = np.uintp(i) * next_species
                    e = s + east
                    low = w0 * flat[k0 + s] + w1 * flat[k1 + s] + w2 * flat[k2 + s] + w3 * flat[k3 + s]
                    low += w4 * flat[k4 + s] + w5 * flat[k5 + s] + w6 * flat[k6 + s] + w7 * flat[k7 + s]
                    high = w0 * flat[k0 + e] + w1 * flat[k1 + e] + w2 * flat[k2 + e] + w3 * flat[k3 + e]
                    high += w4 * flat[k4 + e] + w5 * flat[k5 + e] + w6 * flat[k6 + e] + w7 * flat[k7 + e]
                    now[i] = gx * low + fx * high
                    if not interleaved:  # alone, each is best added at once
                        add(i, now[i], dt, threshold, before, dose, above, peak)
                if interleaved:
                    for i in range(n_species):
                        add(i, now[i], dt, threshold, before, dose, above, peak)
            for i in range(n_species):
                out[0, i, f], out[1, i, f], out[2, i, f] = dose[i], peak[i], above[i]

    return kernel
