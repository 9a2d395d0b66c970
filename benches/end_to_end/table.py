"""The table of benches/end_to_end/run, from the files of its figures."""

import json
import sys
from pathlib import Path


def last_object(path):
    """The last line of a file that is a JSON object."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("{")]
    return json.loads(lines[-1])


def share(part, whole):
    return f"{100 * part / whole:.0f} %"


def worker_rows(figures):
    seconds, latency = figures["seconds"], figures["latency_s"]
    yield "flights/s", f"{figures['flights_per_s']:,.0f}"
    yield "jobs/s", f"{figures['jobs'] / seconds:,.0f}"
    yield "MB/s of messages", f"{figures['bytes_per_s'] / 1e6:,.1f}"
    yield "backend busy", share(figures["busy_s"], seconds)
    yield "loading fields", share(figures["load_s"], seconds)
    yield "storing and publishing, a job, mean", f"{1e3 * figures['publish_s'] / figures['jobs']:.1f} ms"
    yield "processors used by the worker", f"{figures['cpu_s'] / seconds:.2f}"
    yield "at half of that pace, from sending to result: p50, p95, p99", ", ".join(
        f"{1e3 * latency[p]:.0f} ms" for p in ("p50", "p95", "p99")
    )
    yield "start to first result", f"{figures['to_first_result_s']:.2f} s"


def main():
    work = Path(sys.argv[1])
    arrow, single, idle = (last_object(work / f"{name}.json") for name in ("arrow", "json", "idle"))
    compute, celery = (last_object(work / f"{name}.json") for name in ("compute", "celery"))
    print("| | Arrow, 200 flights a job | JSON, one flight a job |")
    print("|---|---:|---:|")
    for (name, left), (_, right) in zip(worker_rows(arrow), worker_rows(single)):
        print(f"| {name} | {left} | {right} |")
    print()
    print("| the same flights | flights/s | of `compute` |")
    print("|---|---:|---:|")
    base = compute["flights_per_s"]
    for name, figures in (("`skydose compute`", compute), ("worker, Arrow", arrow), ("worker, JSON", single)):
        print(f"| {name} | {figures['flights_per_s']:,.0f} | {share(figures['flights_per_s'], base)} |")
    rate = celery["flights_per_s"]
    print(f"| Celery with pycontrails | {rate:,.1f} | {share(rate, base)} |")
    print()
    print(
        f"The worker answers {arrow['flights_per_s'] / rate:,.0f} times (Arrow) and "
        f"{single['flights_per_s'] / rate:,.0f} times (JSON) as many flights as the Celery worker. "
        f"An idle worker takes {idle['resident_mb']:.0f} MB and {100 * idle['core']:.2f} % of a core."
    )


if __name__ == "__main__":
    main()
