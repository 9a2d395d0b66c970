"""Works with an image as a cluster would: topology, flights, two workers one
after the other, results; and judges the ledger. docker/test runs it.

    image.py [--out FILE.md] --podman COMMAND NAME:without [NAME:with]

Containers run with a read-only root, without capabilities, as a random user,
on a private RabbitMQ. The first image does the work; of the others only the
form is checked.
"""

import argparse
import csv
import json
import os
import platform
import shlex
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

from checks import expect, finish
from podman import Podman
from rabbitmq import VHOST, RabbitMQ, free_port

ROOT = Path(__file__).resolve().parents[2]
LARGEST_MB = 120
FLIGHTS, FLIGHTS_A_JOB = 4000, 20
PATIENCE_S = 300
SUBMISSION = "docker-test"

# Summer and winter: half past four UTC is after six o'clock in Vienna only in summer.
SCHEDULE = """
[[scaling.pools]]
name = "cpu"
minimum = 1
maximum = 8

[[scaling.schedules]]
name = "evening"
start = "0 18 * * *"
end = "0 22 * * *"
time_zone = "Europe/Vienna"
minimum = 4
"""


def sample(at):
    """A quiet cluster with one node."""
    node = {"name": "cpu-1", "state": "running", "age_s": 3600}
    worker = {"node": "cpu-1", "state": "consuming", "held": 0, "jobs_per_s": 1, "leader": True}
    return {
        "at": at,
        "queues": {"at": at, "seen": [{"priority": "normal", "ready": 0, "unacked": 0}]},
        "pools": {"at": at, "seen": [{"name": "cpu", "wanted": 1, "nodes": [node]}]},
        "workers": {"at": at, "seen": [worker]},
    }


def wait_for(what, holds):
    """Until it holds; then what it gave."""
    started = time.monotonic()
    while not (given := holds()):
        if time.monotonic() - started > PATIENCE_S:
            raise SystemExit(f"after {PATIENCE_S} s there is still not: {what}")
        time.sleep(0.02)
    return given


def answers(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def memory_mb(pid, row):
    """VmHWM, the peak, or VmRSS, of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(row + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"process {pid} has no {row}")


def compressed_mb(podman, image, folder):
    """As a registry would hold it: the layers as they are pushed."""
    target = Path(folder, "pushed")
    podman.call("push", "--format=v2s2", "--compress", image, f"dir:{target}")
    return sum(file.stat().st_size for file in target.iterdir()) / 1e6


def check_form(podman, image):
    """What the image says of itself, and what it carries."""
    (found,) = json.loads(podman.call("image", "inspect", image).stdout)
    config = found["Config"]
    expect(config["User"] == "10001:10001", f"{image} runs as {config['User']}")
    expect(config["StopSignal"] in ("SIGTERM", "15"), f"{image} is stopped by {config['StopSignal']}")
    expect(found.get("Healthcheck") or config.get("Healthcheck"), f"{image} has no health check")
    labels = found["Labels"]
    expect(labels["org.opencontainers.image.licenses"] == "Apache-2.0", f"{image} has labels {labels}")
    expect(labels["org.opencontainers.image.revision"] != "unknown", f"{image} does not say its revision")
    for file in ("LICENSE", "NOTICE"):
        said = podman.says(image, "cat", f"/usr/share/doc/skydose/{file}")
        expect(said == (ROOT / file).read_text(), f"{image}: {file} is not the project's")
    devices = podman.says(image, "skydose", "devices")
    compiler = "NVRTC    12.9" if image.endswith(":with") else "no NVRTC"
    expect(compiler in devices, f"{image} says of its devices: {devices}")
    if image.endswith(":with"):
        licence = podman.says(image, "cat", "/usr/share/doc/nvrtc/License.txt")
        expect("NVIDIA" in licence, f"{image} lacks NVRTC's licence: {licence}")


def check_zones(podman):
    """A schedule by the clock of a place, which the image must know."""
    etc = Path(podman.folder, "etc")
    (etc / "scaling.toml").write_text(SCHEDULE)
    for at, minimum in (("2026-07-01T16:30:00Z", 4), ("2026-12-01T16:30:00Z", 1)):
        (etc / "sample.json").write_text(json.dumps(sample(at)))
        words = ("decide", "/etc/skydose/sample.json", "--config", "/etc/skydose/scaling.toml", "--json")
        done = podman.skydose(*words, role={}, may_fail=True)
        goal = json.loads(done.stdout)["pools"][0]["goal"] if done.returncode == 0 else done.stderr
        expect(goal == minimum, f"at {at}, with a schedule in Europe/Vienna, the goal is {goal}, expected {minimum}")


def write_configuration(folder, broker, port):
    """Its files, and the environment of each role: least rights each."""
    etc, data = Path(folder, "etc"), Path(folder, "data")
    (etc / "passwords").mkdir(parents=True)
    data.mkdir()
    data.chmod(0o777)
    roles = {"admin": {"SKYDOSE_MANAGEMENT__URI": broker.management_uri()}}
    for name in ("worker", "submitter", "leader", "operator"):
        password = os.urandom(9).hex()
        (etc / "passwords" / name).write_text(password)
        roles[name] = {"SKYDOSE_BROKER__URI": broker.uri(f"skydose-{name}", password)}
    etc.joinpath("skydose.toml").write_text(
        f'[admin]\nlisten = "127.0.0.1:{port}"\n[management]\nvhost = "{VHOST}"\n'
        '[store]\nuri = "file:/data/store"\n'
        '[catalogue]\nfile = "/etc/skydose/catalogue.toml"\ncache = "/var/cache/skydose/fields"\n'
        # Few jobs at a time, so that there is a middle of the work.
        '[worker]\nslots = 2\ngrace = "30s"\n'
    )
    etc.joinpath("catalogue.toml").write_text('[datasets.demo]\nversion = "1"\nfiles = ["/data/field.zarr"]\n')
    for path in etc.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return roles


class Story:
    """The work from the topology to the ledger, and what was measured."""

    def __init__(self, podman, broker):
        self.podman, self.port = podman, free_port()
        self.roles = write_configuration(podman.folder, broker, self.port)
        self.results = Path(podman.folder, "data/store/submissions", SUBMISSION, "results")
        self.figures = {}

    def prepare(self):
        """What is there before the work: topology, a field, flights."""
        admin, at = self.roles["admin"], ("--set", f"management.vhost={VHOST}")
        passwords = ("--passwords", "/etc/skydose/passwords")
        self.podman.skydose("topology", "apply", *at, *passwords, role=admin)
        self.podman.skydose("topology", "check", *at, role=admin)
        self.podman.skydose("demo", "--out", "/data", "--number", str(FLIGHTS), role={})
        begun = time.monotonic()
        self.podman.skydose("--version", role={})
        self.figures["a container from start to end, `skydose --version`"] = f"{time.monotonic() - begun:.2f} s"

    def start(self, name):
        """A worker; seconds until it was ready, its process."""
        begun = time.monotonic()
        self.podman.worker(name, self.roles["worker"])
        wait_for(f"{name} ready: {self.podman.logs(name)}", lambda: answers(self.port, "/readyz"))
        return time.monotonic() - begun, int(self.podman.inspect(name, ".State.Pid"))

    def manifests(self):
        return len(list(self.results.glob("*.json"))) if self.results.exists() else 0

    def check_health(self, name):
        """The image's own health check, as podman runs it."""
        asked = self.podman.call("healthcheck", "run", name, may_fail=True)
        expect(asked.returncode == 0, f"the health check of {name} says: {asked.stdout}{asked.stderr}")
        ready = self.podman.call("exec", name, "skydose", "health", "--ready", "--config", "/etc/skydose/skydose.toml")
        expect(ready.stdout == "ready\n", f"{name} says {ready.stdout!r} of whether it is ready")

    def check_confinement(self, name, pid):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        user = self.podman.user.split(":")[0]
        expect(set(status["Uid"].split()) == {user}, f"{name} runs as {status['Uid']}, expected {user}")
        held = {row: status[row] for row in ("CapPrm", "CapEff", "CapBnd", "CapAmb")}
        expect(all(int(bits, 16) == 0 for bits in held.values()), f"{name} has capabilities: {held}")
        expect(status["NoNewPrivs"] == "1", f"{name} may gain privileges")
        written = self.podman.call("exec", name, "touch", "/usr/x", may_fail=True)
        expect("Read-only file system" in written.stderr, f"{name} writes its root: {written.stderr}")

    def work(self):
        """Flights in; the first worker is told to end in the middle."""
        ready, pid = self.start("skydose-test-1")
        self.figures["from `podman run` to ready"] = f"{ready:.2f} s"
        self.figures["memory when ready"] = f"{memory_mb(pid, 'VmRSS'):.0f} MB"
        self.check_health("skydose-test-1")
        self.check_confinement("skydose-test-1", pid)
        flights = ("--flights", "/data/flights.parquet", "--dataset", "demo", "--chunk", str(FLIGHTS_A_JOB))
        config = ("--config", "/etc/skydose/skydose.toml")
        self.podman.skydose("submit", *flights, *config, "--id", SUBMISSION, role=self.roles["submitter"])
        self.jobs = json.loads((self.results.parent / "submission.json").read_text())["jobs"]
        wait_for("a quarter of the results", lambda: self.manifests() >= self.jobs / 4)
        peak = memory_mb(pid, "VmHWM")
        begun = time.monotonic()
        self.podman.call("stop", "--time=60", "skydose-test-1")
        self.figures["from SIGTERM to the end"] = f"{time.monotonic() - begun:.2f} s"
        code = self.podman.inspect("skydose-test-1", ".State.ExitCode")
        expect(code == "0", f"the first worker ended with {code}: {self.podman.logs('skydose-test-1')}")
        self.halfway = self.manifests()
        expect(self.jobs / 4 <= self.halfway < self.jobs, f"it ended at {self.halfway} of {self.jobs}, not in the middle")
        _, pid = self.start("skydose-test-2")
        wait_for("all results", lambda: self.manifests() >= self.jobs)
        collected = ("collect", SUBMISSION, *config, "--out", "/data/collected.csv")
        self.podman.skydose(*collected, role=self.roles["submitter"])
        peak = max(peak, memory_mb(pid, "VmHWM"))
        self.figures["peak memory, field and flights included"] = f"{peak:.0f} MB"
        self.podman.call("stop", "--time=60", "skydose-test-2")

    def check_ledger(self):
        """As many results as jobs, nothing left over, and the same rows as without any queue."""
        expect(self.jobs == FLIGHTS // FLIGHTS_A_JOB, f"{self.jobs} jobs, expected {FLIGHTS // FLIGHTS_A_JOB}")
        expect(self.manifests() == self.jobs, f"{self.manifests()} manifests for {self.jobs} jobs")
        operator = {**self.roles["operator"], **self.roles["admin"]}
        config = ("--config", "/etc/skydose/skydose.toml")

        def nothing_left():
            """As the broker counts, which it does every five seconds."""
            said = self.podman.skydose("status", *config, "--json", "--listen", "1", role=operator).stdout
            queues = json.loads(said)["queues"]
            waiting = [q[state] for q in queues["priorities"].values() for state in ("ready", "unacked")]
            return not any([*waiting, queues["delayed"], queues["dead_letters"]])

        wait_for("queues without jobs and dead letters", nothing_left)
        words = ("--field", "/data/field.zarr", "--flights", "/data/flights.parquet", "--out", "/data/direct.csv")
        self.podman.skydose("compute", *words, role={})
        data = Path(self.podman.folder, "data")
        collected, direct = (sorted(map(tuple, csv.reader((data / f).open()))) for f in ("collected.csv", "direct.csv"))
        expect(len({row[0] for row in direct}) == FLIGHTS + 1, "the rows are not those of all flights")
        expect(collected == direct, f"{len(collected)} rows were collected, {len(direct)} computed; they differ")


def table(figures, story, podman):
    model = next(line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout
    lines = [
        "# The image",
        "",
        f"Measured with `docker/test`, {date.today()}, commit {commit.strip() or 'unknown'}, on {os.cpu_count()} cores of"
        f" an {model}, Linux {platform.release().split('-')[0]}. {FLIGHTS:,} flights of `skydose demo` in {story.jobs}"
        f" jobs; the first worker got SIGTERM in the middle and left {story.jobs - story.halfway} of them to the second.",
        "",
        "| what | figure |",
        "|---|---|",
        *(f"| {what} | {figure} |" for what, figure in figures.items()),
        "",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--podman", required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("images", nargs="+")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skydose-image-") as folder:
        Path(folder).chmod(0o755)
        podman = Podman(shlex.split(given.podman), given.images[0], folder)
        sizes = {image: compressed_mb(podman, image, tempfile.mkdtemp(dir=folder)) for image in given.images}
        without = sizes[podman.image]
        expect(without < LARGEST_MB, f"{podman.image} has {without:.1f} MB, allowed are {LARGEST_MB}")
        figures = {f"size, compressed, {image.split(':')[-1]} NVRTC": f"{mb:.1f} MB" for image, mb in sizes.items()}
        for image in given.images:
            check_form(podman, image)
        try:
            with RabbitMQ() as broker:
                story = Story(podman, broker)
                check_zones(podman)
                story.prepare()
                story.work()
                story.check_ledger()
        finally:
            podman.clean()
        text = table({**figures, **story.figures}, story, podman)
    print(text)
    if given.out:
        given.out.write_text(text)
    finish("image")


main()
