#!/usr/bin/env python3
"""Compiles the kernels with NVRTC for every architecture, and prints registers
and spills as a table. Fails on an error, a warning or a spill.

    compile.py LIBNVRTC [ARCHITECTURE...]

A specialisation is a row; those here are all numbers of channels in both
precisions of the plain program (waypoints, nothing missing, thresholds), some
of it where values are missing, the usual one of paths, and such as have every feature on, so that each value of
each option occurs.
"""

import ctypes
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

KERNELS = Path(__file__).resolve().parent.parent.parent / "kernels"
ARCHITECTURES = ["70", "75", "80", "86", "90"]
# As the host compiles them: src/compute/cuda/sources.rs.
OPTIONS = ["--std=c++17", "--fmad=false", "--ptxas-options=-v"]
# What NVRTC 12.9 says of 7.0, which 13 no longer knows.
EXPECTED = "Architectures prior to '<compute/sm>_75' are deprecated"

PLAIN = {"PATH": 0, "MISSING": 0, "THRESHOLDS": 1}
FULL = {"PATH": 1, "MISSING": 1, "THRESHOLDS": 1, "DOSE": 1, "ROLLING": 1}
SPECIALISATIONS = (
    [{"CHANNELS": n, "HALF": half, **PLAIN} for n in (1, 2, 4, 8, 16) for half in (0, 1)]
    + [{"CHANNELS": n, "PATH": 0, "MISSING": 1} for n in (4, 8, 16)]
    + [{"CHANNELS": 8, "PATH": 1, "MISSING": 0}, {"CHANNELS": 4, "PATH": 1, "LEVELS": 2, "MISSING": 1}]
    + [
        {"CHANNELS": 8, "LEVELS": 1, "DENSITY": 2, "LOG": 1, **FULL},
        {"CHANNELS": 8, "LEVELS": 3, "DENSITY": 1, "HALF": 1, **FULL},
        {"CHANNELS": 16, "LEVELS": 4, "DENSITY": 1, "LOG": 1, **FULL},
        {"CHANNELS": 1, "LEVELS": 5, "DENSITY": 2, **FULL},
    ]
)
ENTRIES = ["skydose_count", "skydose_evaluate", "skydose_roll"]


def compile_one(library, architecture, specialisation):
    """The log of one compilation; `ok` is False where it failed."""
    nvrtc = ctypes.CDLL(library)
    headers = sorted(KERNELS.glob("*.cuh"))
    names = [h.name.encode() for h in headers]
    texts = [h.read_bytes() for h in headers]
    strings = lambda values: (ctypes.c_char_p * len(values))(*values)
    program = ctypes.c_void_p()
    code = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), (KERNELS / "exposure.cu").read_bytes(), b"exposure.cu",
        len(headers), strings(texts), strings(names),
    )
    if code != 0:
        return False, f"nvrtcCreateProgram: {code}"
    options = OPTIONS + [f"--gpu-architecture=sm_{architecture}"]
    options += [f"-DSKYDOSE_{name}={value}" for name, value in specialisation.items()]
    encoded = [o.encode() for o in options]
    code = nvrtc.nvrtcCompileProgram(program, len(encoded), strings(encoded))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code == 0, log.value.decode()


def read_log(log):
    """Registers and bytes spilled of each entry point, and the warnings."""
    registers, spills, entry = {}, {}, None
    for line in log.splitlines():
        if found := re.search(r"Compiling entry function '(\w+)'", line):
            entry = found.group(1)
        elif found := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            # Functions that are called stand behind the entry that calls them.
            spills[entry] = spills.get(entry, 0) + int(found.group(1)) + int(found.group(2))
        elif found := re.search(r"Used (\d+) registers", line):
            registers[entry] = int(found.group(1))
    warnings = [line for line in log.splitlines() if "warning" in line.lower() and EXPECTED not in line]
    return registers, spills, [w for w in warnings if not w.startswith("Remark")]


def title(specialisation):
    return " ".join(f"{name.lower()}={value}" for name, value in specialisation.items())


def main():
    library, architectures = sys.argv[1], sys.argv[2:] or ARCHITECTURES
    started = time.monotonic()
    faults = []
    width = max(len(title(s)) for s in SPECIALISATIONS)
    print("registers of skydose_evaluate, skydose_roll; bytes spilled, of all three kernels")
    print(f"{'specialisation':<{width}}" + "".join(f"  {f'sm_{a}':>13}" for a in architectures))
    with ProcessPoolExecutor(max_workers=2) as pool:
        rows = [
            [(a, pool.submit(compile_one, library, a, s)) for a in architectures]
            for s in SPECIALISATIONS
        ]
        for specialisation, row in zip(SPECIALISATIONS, rows):
            cells = []
            for architecture, future in row:
                ok, log = future.result()
                registers, spills, warnings = read_log(log)
                where = f"sm_{architecture} {title(specialisation)}"
                if not ok or any(entry not in registers or entry not in spills for entry in ENTRIES):
                    faults.append(f"{where}: did not compile\n{log}")
                    cells.append("failed")
                    continue
                faults += [f"{where}: {warning}" for warning in warnings]
                spilled = sum(spills.values())
                if spilled > 0:
                    faults.append(f"{where}: {spilled} bytes spilled")
                cells.append(f"{registers[ENTRIES[1]]}, {registers[ENTRIES[2]]}; {spilled}")
            print(f"{title(specialisation):<{width}}" + "".join(f"  {c:>13}" for c in cells), flush=True)
    print(f"{len(SPECIALISATIONS) * len(architectures)} compilations in {time.monotonic() - started:.0f} s")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
