"""The Dockerfile agrees with the program, with the manifests and with compose:
paths, ports, the health check, the release of Rust.

    dockerfile.py SKYDOSE RENDERED.yaml...
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from checks import expect, finish

ROOT = Path(__file__).resolve().parents[2]


def instructions():
    """Keyword and rest of each instruction of the last stage, and all ARGs."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "docker/Dockerfile").read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if re.match(r"[A-Z]+ ", line)]
    args = dict(rest.split("=", 1) for word, rest in lines if word == "ARG" and "=" in rest)
    last = max(n for n, (word, _) in enumerate(lines) if word == "FROM")
    return args, {word: rest for word, rest in lines[last:]}


def check_bases(args):
    for name in ("RUST_IMAGE", "BASE_IMAGE"):
        image, tag = args[name].rsplit(":", 1)
        expect(image.startswith("docker.io/library/"), f"{name} is {args[name]}, expected a registry's full name")
        expect(re.match(r"\d+\.\d+", tag), f"{name} is {args[name]}: the tag may move")
    rust = re.search(r":(\d+)\.(\d+)\.", args["RUST_IMAGE"]).groups()
    least = re.search(r'^rust-version = "(\d+)\.(\d+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).groups()
    expect(rust >= least, f"RUST_IMAGE has Rust {rust}, Cargo.toml asks for {least}")
    expect("bookworm" in args["RUST_IMAGE"] and ":12." in args["BASE_IMAGE"], "the two bases differ in their C library")


def check_last_stage(last, pods):
    expect(re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"]), f"USER is {last['USER']}, expected numbers above 0")
    expect(last["STOPSIGNAL"] == "SIGTERM", f"STOPSIGNAL is {last['STOPSIGNAL']}, the program drains on SIGTERM")
    (program,) = json.loads(last["ENTRYPOINT"])
    command = json.loads(last["CMD"])
    health = json.loads(last["HEALTHCHECK"].split("CMD ", 1)[1])
    expect(health[0] == program, f"the health check runs {health[0]}, the image {program}")
    for words in (command, health[1:]):
        said = subprocess.run([SKYDOSE, words[0], "--help"], capture_output=True, text=True)
        expect(said.returncode == 0, f"the program has no command {words[0]}")
        for flag in (word for word in words if word.startswith("--")):
            expect(flag in said.stdout, f"{words[0]} has no {flag}")
    expect(health[-2:] == command[-2:], f"the health check asks by {health[-2:]}, the worker runs by {command[-2:]}")
    for where, container in pods:
        expect(container["args"][-2:] == command[-2:], f"{where} runs by {container['args']}, the image by {command}")
        (port,) = [p["containerPort"] for p in container["ports"]]
        expect(str(port) == last["EXPOSE"], f"{where} has port {port}, the image {last['EXPOSE']}")


def check_paths(last, pods):
    """What probes and scrapes ask for is served, and asked for the right end."""
    served = set(re.findall(r'\.route\("(/\w+)"', (ROOT / "src/telemetry/admin.rs").read_text()))
    expected = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    expect(served >= {*expected.values(), "/metrics"}, f"the admin server serves {served}")
    for where, container in pods:
        asked = {name: probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")}
        expect(asked.items() <= expected.items(), f"{where} asks {asked}, expected {expected}")
    monitor = yaml.safe_load((ROOT / "deploy/monitoring/pod-monitor.yaml").read_text())
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    expect((endpoint["path"], endpoint["port"]) == ("/metrics", "admin"), f"the pod monitor scrapes {endpoint}")
    for file, name in (("docs/config.toml", "127.0.0.1"), ("docker/compose/skydose.toml", "0.0.0.0")):
        line = f'listen = "{name}:{last["EXPOSE"]}"'
        expect(line in (ROOT / file).read_text(), f"{file} has no {line}")


def main():
    pods = []
    for rendered in sys.argv[2:]:
        for document in yaml.safe_load_all(Path(rendered).read_text()):
            if document and document["kind"] in ("DaemonSet", "Deployment"):
                where = f"{Path(rendered).stem}: {document['metadata']['name']}"
                pods += [(where, c) for c in document["spec"]["template"]["spec"]["containers"]]
    args, last = instructions()
    check_bases(args)
    check_last_stage(last, pods)
    check_paths(last, pods)
    finish("dockerfile")


SKYDOSE = sys.argv[1]
main()
