"""The same flights through a Celery worker with pycontrails.

As a module this is the Celery application: a task takes one flight's columns
and gives dosage, peak and time above for each species, by pycontrails'
Flight.intersect_met on a field that each worker process holds in memory. As a
program it starts a worker, sends flights, waits for their results, and prints
a JSON object of figures.

Environment: BROKER (amqp URI), FIELD (NetCDF), FLIGHTS (Parquet), NUMBER of
flights, PROCESSES of the worker.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from celery import Celery

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
import common  # noqa: E402

app = Celery("celery_worker", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=4, task_serializer="json")

_met = None


def _field():
    """The field, loaded once a process."""
    global _met
    if _met is None:
        from pycontrails import MetDataset

        ds = common.Case(Path(os.environ["FIELD"]), Path(os.environ["FLIGHTS"]), 1).open_field()
        _met = (common.species(ds), MetDataset(ds.load(), wrap_longitude=True))
    return _met


@app.task
def exposure(flight):
    """Dosage, peak and time above of one flight, a row a species."""
    from pycontrails import Flight

    names, met = _field()
    times = np.array(flight["time"], dtype="datetime64[ns]")
    longitude = np.mod(np.array(flight["longitude"]) + 180.0, 360.0) - 180.0
    columns = Flight(time=times, longitude=longitude, latitude=flight["latitude"], level=flight["level"])
    values = np.stack([columns.intersect_met(met[name]) for name in names]).astype(float)
    one = common.Flights(
        ids=np.array(["one"]),
        offsets=np.array([0, len(times)]),
        time=times,
        time_s=common.seconds(times),
        longitude=longitude,
        latitude=np.array(flight["latitude"]),
        level_hpa=np.array(flight["level"]),
    )
    return np.asarray(common.reduce_flights(values, one))[:, :, 0].T.tolist()


def _messages(number):
    flights = common.Case(Path(os.environ["FIELD"]), Path(os.environ["FLIGHTS"]), 1).flights()
    for a, b in list(zip(flights.offsets[:-1], flights.offsets[1:]))[:number]:
        yield {
            "time": [str(t) for t in flights.time[a:b]],
            "longitude": flights.longitude[a:b].tolist(),
            "latitude": flights.latitude[a:b].tolist(),
            "level": flights.level_hpa[a:b].tolist(),
        }


def main():
    number, processes = int(os.environ["NUMBER"]), os.environ["PROCESSES"]
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "celery_worker", "worker"]
    command += ["--concurrency", processes, "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    worker = subprocess.Popen(command, cwd=here, stdout=subprocess.DEVNULL)
    try:
        messages = list(_messages(number))
        # Each process has its field before the clock starts.
        warm = [exposure.delay(messages[0]) for _ in range(4 * int(processes))]
        for result in warm:
            result.get(timeout=600)
        started = time.perf_counter()
        results = [exposure.delay(message) for message in messages]
        for result in results:
            result.get(timeout=3600)
        took = time.perf_counter() - started
    finally:
        worker.terminate()
        worker.wait()
    waypoints = sum(len(message["time"]) for message in messages)
    print(json.dumps({"flights": number, "waypoints": waypoints, "seconds": took, "flights_per_s": number / took}))


if __name__ == "__main__":
    main()
