"""compose.yaml is whole: what it mounts is there, what it waits for is a
service, what Prometheus scrapes is one, the program understands what it is
handed.

    compose.py SKYDOSE
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from checks import expect, finish

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "docker"


def check_service(name, service, services, volumes):
    for other in service.get("depends_on", {}):
        expect(other in services, f"{name} waits for {other}, which is no service")
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        there = (HERE / source).exists() if source.startswith(".") else source in volumes
        expect(there, f"{name} mounts {source}, which is not there")
    image = service.get("image", "")
    expect(image and not image.endswith(":latest") and ":" in image, f"{name}: {image or 'no image'} may move")


def check_words(name, words):
    """A command and its flags are the program's own."""
    known = subprocess.run([SKYDOSE, words[0], "--help"], capture_output=True, text=True)
    expect(known.returncode == 0, f"{name}: the program has no command {words[0]}")
    text = known.stdout
    if words[0] == "topology":
        text += subprocess.run([SKYDOSE, "topology", words[1], "--help"], capture_output=True, text=True).stdout
    for flag in (word for word in words if word.startswith("--")):
        expect(flag in text, f"{name}: {words[0]} has no {flag}")


def check_program(name, service):
    """What it runs, and what asks for its health, are the program's own; so is
    the configuration."""
    words = service["command"].split()
    check_words(name, words)
    if words[0] != "worker":
        return
    way, program, *asked = service["healthcheck"]["test"]
    expect((way, program) == ("CMD", "skydose"), f"{name}: its health is asked by {way} {program}; there is no shell")
    check_words(name, asked)
    file = service["environment"]["SKYDOSE_CONFIG"]
    mounted = [mount.split(":")[1] for mount in service["volumes"]]
    expect(file in mounted, f"{name}: {file} is no mount of it")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "skydose.toml")
        config.write_text((HERE / "compose/skydose.toml").read_text())
        environment = {"PATH": os.environ["PATH"], **service["environment"], "SKYDOSE_CONFIG": str(config)}
        said = subprocess.run([SKYDOSE, "check"], capture_output=True, text=True, env=environment)
    expect("configuration: ok" in said.stdout, f"{name}: {said.stderr.strip() or said.stdout.strip()}")


def main():
    compose = yaml.safe_load((HERE / "compose.yaml").read_text())
    services = compose["services"]
    for name, service in services.items():
        check_service(name, service, services, compose["volumes"])
        if service.get("image", "").startswith("skydose:"):
            check_program(name, service)
    scraped = yaml.safe_load((HERE / "compose/prometheus.yaml").read_text())["scrape_configs"][0]
    listen = (HERE / "compose/skydose.toml").read_text().split('listen = "', 1)[1].split('"', 1)[0]
    for target in scraped["static_configs"][0]["targets"]:
        service, port = target.split(":")
        expect(service in services, f"Prometheus scrapes {service}, which is no service")
        expect(port == listen.rsplit(":", 1)[1], f"Prometheus scrapes port {port}, the workers listen on {listen}")
    finish("compose")


SKYDOSE = sys.argv[1]
main()
