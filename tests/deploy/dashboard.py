"""Asks every question of the dashboard and of the alerts to a real Prometheus
that scrapes a real worker under load: each must give what it is drawn from.

    dashboard.py SKYDOSE PROMETHEUS

The worker leads, on a private RabbitMQ and a simulated Rancher, so that the
cluster's levels are there too. Ports are free ones of loopback.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

from checks import expect, finish
from rabbitmq import VHOST, RabbitMQ, free_port
from rancher import CLUSTER, POOL, Rancher

ROOT = Path(__file__).resolve().parents[2]
NODE = "gpu-1"
PATIENCE_S = 120

# Where nothing has failed, these are empty; their counters begin with the
# first failure of their kind.
EMPTY_WHILE_WELL = {"broker {{call}}"}


class Program:
    """Processes that end with the block."""

    def __init__(self, folder):
        self.folder, self.running = Path(folder), []

    def start(self, *command, environment=None):
        log = open(self.folder / f"{Path(command[0]).name}.log", "ab")
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.running.append(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Prometheus:
    def __init__(self, port):
        self.at = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path, **params):
        """The data of an answer; a fault of the question as text."""
        url = f"{self.at}/{path}?{urllib.parse.urlencode(params)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            # Not JSON while it starts.
            return error.read().decode(errors="replace")
        except OSError:
            return None

    def values(self, query):
        found = self.ask("query", query=query)
        return found["result"] if isinstance(found, dict) else found


def wait_for(what, holds):
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > PATIENCE_S:
            raise SystemExit(f"after {PATIENCE_S} s there is still not: {what}")
        time.sleep(0.3)


def configure(folder, broker, rancher, admin, prometheus):
    """The worker's file, and Prometheus' own: compose's, but for the targets."""
    folder.joinpath("token").write_text("token-abcde:none")
    folder.joinpath("catalogue.toml").write_text('[datasets.demo]\nversion = "1"\nfiles = ["demo/field.zarr"]\n')
    folder.joinpath("skydose.toml").write_text(f"""
[admin]
listen = "127.0.0.1:{admin}"
[broker]
uri = "{broker.uri()}"
[management]
uri = "{broker.management_uri()}"
vhost = "{VHOST}"
[store]
uri = "file:{folder}/store"
[catalogue]
file = "{folder}/catalogue.toml"
cache = "{folder}/cache"
[worker]
node = "{NODE}"
pool = "gpu"
slots = 4
heartbeat = "1s"
grace = "5s"
[control]
listen_first = "3s"
[leader]
election = "none"
[scaling]
policy = "backlog"
interval = "2s"
[scaling.backlog]
jobs_per_node = 1
[[scaling.pools]]
name = "gpu"
minimum = 1
maximum = 3
[nodes.provider.rancher-v3]
url = "{rancher.url}"
token_file = "{folder}/token"
cluster = "{CLUSTER}"
pools = {{ gpu = "{POOL}" }}
""")
    config = yaml.safe_load((ROOT / "docker/compose/prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "deploy/monitoring/alerts.yaml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{admin}"]}]
    prometheus.write_text(yaml.safe_dump(config))


def panels():
    return json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text())["panels"]


def faults_of(prometheus, panel, target):
    """What is wrong with a query: it gives no number, or its legend has a gap."""
    where, legend = f"panel {panel['title']}: {target['expr']}", target["legendFormat"]
    found = prometheus.values(target["expr"])
    if isinstance(found, str):
        return [f"{where}: {found}"]
    if not found and legend not in EMPTY_WHILE_WELL:
        return [f"{where} gives nothing"]
    faults = [f"{where} gives no number for {series['metric']}" for series in found if series["value"][1] == "NaN"]
    labels = re.findall(r"{{\s*(\w+)\s*}}", legend)
    return faults + [f"{where}: {legend} has no {l}" for l in labels for s in found if not s["metric"].get(l)]


def check_panels(prometheus, more):
    """Every query gives a number once there was enough of everything; `more`
    brings work until then."""
    asked = [(panel, target) for panel in panels() for target in panel.get("targets", [])]
    started = time.monotonic()
    while any(faults_of(prometheus, *query) for query in asked) and time.monotonic() - started < PATIENCE_S:
        more()
        # Rates need two scrapes.
        time.sleep(2)
    for query in asked:
        faults = faults_of(prometheus, *query)
        expect(not faults, "; ".join(faults))
    return len(asked)


def check_alerts(prometheus):
    """Every rule can be evaluated, and none fires while all is well."""
    (group,) = prometheus.ask("rules")["groups"]
    for rule in group["rules"]:
        expect(rule["health"] == "ok", f"alert {rule['name']}: {rule.get('lastError')}")
        expect(rule["state"] != "firing", f"alert {rule['name']} fires while all is well: {rule['alerts']}")
    return len(group["rules"])


def main():
    temporary = tempfile.TemporaryDirectory(prefix="skydose-dashboard-")
    with temporary as name, RabbitMQ() as broker, Rancher(NODE) as rancher:
        folder, admin, port = Path(name), free_port(), free_port()
        prometheus = Prometheus(port)
        configure(folder, broker, rancher, admin, folder / "prometheus.yaml")
        environment = {"PATH": os.environ["PATH"], "SKYDOSE_CONFIG": str(folder / "skydose.toml")}

        def skydose(*words):
            done = subprocess.run([SKYDOSE, *words], env=environment, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"skydose {' '.join(words)}: {done.stdout}{done.stderr}")

        skydose("topology", "apply")
        skydose("demo", "--out", "demo", "--number", "300")
        with Program(folder) as program:
            program.start(SKYDOSE, "worker", environment=environment)
            program.start(
                PROMETHEUS, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
            )  # fmt: skip
            wait_for("a first scrape", lambda: isinstance(prometheus.values("skydose_worker_info"), list))
            wait_for("a worker", lambda: prometheus.values("skydose_worker_info"))
            submissions = iter(range(10_000))

            def more():
                flights = ("--flights", "demo/flights.parquet", "--dataset", "demo", "--chunk", "1")
                skydose("submit", *flights, "--id", f"load-{next(submissions)}")

            asked, rules = check_panels(prometheus, more), check_alerts(prometheus)
    print(f"dashboard: {asked} queries and {rules} alerts asked of a worker under load")
    finish("dashboard")


SKYDOSE, PROMETHEUS = (os.path.abspath(path) for path in sys.argv[1:3])
main()
