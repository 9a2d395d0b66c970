"""What the rendered manifests must hold, and that the program understands
what they hand it.

    manifests.py SKYDOSE RENDERED.yaml...

SKYDOSE is the program: its own reading of the configuration, with the file
and the environment of each pod, is the judge of names and values.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from checks import expect, finish

ROOT = Path(__file__).resolve().parents[2]
PODS = {"DaemonSet", "Deployment"}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def seconds(text):
    """`2m 30s` as a number."""
    parts = re.findall(r"([\d.]+)\s*(ms|s|m|h)", text)
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def by_kind(documents, *kinds):
    return [d for d in documents if d["kind"] in kinds]


def setting(toml, section, name):
    """A value of a section, as written."""
    body = toml.split(f"\n[{section}]", 1)[1].split("\n[", 1)[0]
    found = re.search(rf"^{name}\s*=\s*(.+)$", body, re.MULTILINE)
    return found.group(1).strip().strip('"') if found else None


def check_pod(where, document, config):
    spec = document["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    security, pod_security = container["securityContext"], spec["securityContext"]
    expect(pod_security["runAsNonRoot"] is True and pod_security["runAsUser"] > 0, f"{where}: runs as root")
    expect(pod_security["seccompProfile"]["type"] == "RuntimeDefault", f"{where}: no seccomp profile")
    expect(security["readOnlyRootFilesystem"] is True, f"{where}: the root is writable")
    expect(security["allowPrivilegeEscalation"] is False, f"{where}: may become more than it is")
    expect(security["capabilities"] == {"drop": ["ALL"]}, f"{where}: capabilities are kept")
    tag = container["image"].rsplit(":", 1)
    expect(len(tag) == 2 and re.fullmatch(r"\d+\.\d+\.\d+\S*", tag[1]), f"{where}: {container['image']} may move")
    expect("limits" in container["resources"] and "requests" in container["resources"], f"{where}: no resources")
    for probe in ("livenessProbe", "readinessProbe"):
        expect(container[probe]["httpGet"]["port"] == "admin", f"{where}: {probe} asks another port")
    (port,) = [p for p in container["ports"] if p["name"] == "admin"]
    listen = setting(config["skydose.toml"], "admin", "listen")
    expect(listen == f"0.0.0.0:{port['containerPort']}", f"{where}: admin.listen is {listen}, the port {port}")
    mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    volumes = {v["name"]: v for v in spec["volumes"]}
    expect(set(mounts.values()) == set(volumes), f"{where}: volumes {set(volumes)}, mounts {set(mounts.values())}")
    check_paths(where, config["skydose.toml"], mounts, volumes)
    if document["kind"] == "DaemonSet":
        check_worker(where, spec, config)
    check_program(where, container, config)


def check_paths(where, toml, mounts, volumes):
    """Every path that the configuration names lies in a mount, what is written in a writable one."""
    for path in re.findall(r'=\s*"(/[^"]+)"', toml):
        mount = max((m for m in mounts if path.startswith(m + "/")), key=len, default=None)
        if mount is None and "cache" in path and "cache" not in volumes:
            continue  # the control has no fields
        expect(mount is not None, f"{where}: {path} is in no mount")
        if mount and "secret" in volumes[mounts[mount]]:
            secret, key = volumes[mounts[mount]]["secret"]["secretName"], path[len(mount) + 1 :]
            example = yaml.safe_load((ROOT / "deploy/secrets" / f"{secret}.example.yaml").read_text())
            expect(key in example["stringData"], f"{where}: {secret}.example.yaml has no {key}")


def check_worker(where, spec, config):
    expect(spec["nodeSelector"] == {"worker": "yes"}, f"{where}: the selector is {spec.get('nodeSelector')}")
    grace = seconds(setting(config["skydose.toml"], "worker", "grace"))
    expect(
        spec["terminationGracePeriodSeconds"] > grace + 30,
        f"{where}: is killed after {spec['terminationGracePeriodSeconds']} s, drains for {grace:.0f} s",
    )


def check_program(where, container, config):
    """The program itself reads the pod's arguments, file and environment."""
    command, config_flag, path = container["args"]
    environment = {e["name"]: e.get("value", "node-1") for e in container.get("env", [])}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in config.items():
            Path(folder, name).write_text(text)
        known = subprocess.run([SKYDOSE, command, "--help"], capture_output=True, text=True)
        expect(known.returncode == 0, f"{where}: the program has no command {command}")
        expect(config_flag in known.stdout, f"{where}: {command} has no {config_flag}")
        check = [SKYDOSE, "check", config_flag, str(Path(folder, Path(path).name))]
        said = subprocess.run(check, capture_output=True, text=True, env={"PATH": os.environ["PATH"], **environment})
    expect("configuration: ok" in said.stdout, f"{where}: {said.stderr.strip() or said.stdout.strip()}")


def check_rights(where, documents):
    """The role covers the Lease of the election and nothing else."""
    (role,) = by_kind(documents, "Role")
    expect(not by_kind(documents, "ClusterRole", "ClusterRoleBinding"), f"{where}: rights in the whole cluster")
    rules = sorted((tuple(r["resources"]), tuple(r["verbs"]), tuple(r.get("resourceNames", ()))) for r in role["rules"])
    expected = [(("leases",), ("create",), ()), (("leases",), ("get", "update"), ("skydose",))]
    expect(rules == expected, f"{where}: the role is {rules}")


def main():
    for rendered in sys.argv[2:]:
        where = Path(rendered).stem
        documents = [d for d in yaml.safe_load_all(Path(rendered).read_text()) if d]
        (config,) = [d for d in by_kind(documents, "ConfigMap") if "skydose.toml" in d["data"]]
        pods = by_kind(documents, *PODS)
        expect(pods, f"{where}: no pods")
        for pod in pods:
            check_pod(f"{where}: {pod['metadata']['name']}", pod, config["data"])
        check_rights(where, documents)
        selector = by_kind(documents, "NetworkPolicy")[0]["spec"]["podSelector"]["matchLabels"]
        for pod in pods:
            labels = pod["spec"]["template"]["metadata"]["labels"]
            expect(selector.items() <= labels.items(), f"{where}: the network policy passes over {labels}")
    finish("manifests")


SKYDOSE = sys.argv[1]
main()
