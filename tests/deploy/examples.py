"""What an operator copies is what it is for: users that the topology makes,
names that the certificate covers, fields that Rancher and the operator of
RabbitMQ know, settings and alerts that there are.

    examples.py SKYDOSE

Payloads of Rancher lie in ../shared/rancher; without them their part is
skipped.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from checks import expect, finish

ROOT = Path(__file__).resolve().parents[2]
PAYLOADS = ROOT.parent / "shared/rancher"

# Of spec of a RabbitmqCluster (rabbitmq.com/v1beta1): what each field holds.
CLUSTER = {
    "replicas": int,
    "image": str,
    "resources": {"requests": dict, "limits": dict},
    "persistence": {"storageClassName": str, "storage": str},
    "tls": {"secretName": str, "caSecretName": str, "disableNonTLSListeners": bool},
    "rabbitmq": {"additionalPlugins": list, "additionalConfig": str, "advancedConfig": str, "envConfig": str},
    "affinity": {"nodeAffinity": dict, "podAffinity": dict, "podAntiAffinity": dict},
    "tolerations": list,
    "terminationGracePeriodSeconds": int,
}

# Of a machine pool, besides those that the payloads show.
MACHINE_POOL = {"displayName", "hostnameLengthLimit", "labels", "nodeStartupTimeout", "taints"}

# Of Azure's driver of machines, for both APIs.
AZURE = {
    "availabilitySet", "customData", "diskSize", "dns", "dockerPort", "environment", "faultDomainCount", "image",
    "location", "managedDisks", "noPublicIp", "nsg", "openPort", "plan", "privateIpAddress", "resourceGroup", "size",
    "sshUser", "staticPublicIp", "storageType", "subnet", "subnetPrefix", "tags", "updateDomainCount", "usePrivateIp",
    "vnet",
}  # fmt: skip


def read(path):
    text = (ROOT / path).read_text()
    return json.loads(text) if path.endswith(".json") else list(yaml.safe_load_all(text))


def check_fields(where, value, known):
    """Every field is known and holds what it should."""
    for name, held in value.items():
        kind = known.get(name)
        expect(kind is not None, f"{where} has a field {name} that nobody knows")
        if isinstance(kind, dict):
            check_fields(f"{where}.{name}", held, kind)
        elif kind:
            expect(isinstance(held, kind), f"{where}.{name} is {held!r}, expected {kind.__name__}")


def check_broker():
    """The cluster, its certificate, and the addresses that the secrets hold."""
    (cluster,) = read("deploy/rabbitmq/cluster.yaml")
    check_fields("cluster.yaml", cluster["spec"], CLUSTER)
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    (certificate,) = read("deploy/rabbitmq/certificate.yaml")
    secret, read_from = certificate["spec"]["secretName"], cluster["spec"]["tls"]["secretName"]
    expect(secret == read_from, f"the certificate goes into {secret}, the cluster reads {read_from}")
    expect(certificate["metadata"]["namespace"] == namespace, f"the certificate is not in namespace {namespace}")
    covered = certificate["spec"]["dnsNames"]
    nodes = f"*.{name}-nodes.{namespace}.svc.cluster.local"
    expect(nodes in covered, f"the certificate does not cover the nodes, {nodes}")
    (secrets,) = read("deploy/secrets/skydose-broker.example.yaml")
    printed = subprocess.run([SKYDOSE, "topology", "print", "--permissions"], capture_output=True, text=True)
    users = {permission["user"] for permission in json.loads(printed.stdout)["permissions"]}
    for key, scheme, port in (("uri", "amqps", 5671), ("management-uri", "https", 15671)):
        uri = urlsplit(secrets["stringData"][key])
        expect((uri.scheme, uri.port) == (scheme, port), f"skydose-broker: {key} is {uri.geturl()}, expected {scheme}")
        expect(uri.hostname in covered, f"skydose-broker: the certificate does not cover {uri.hostname} of {key}")
        expect(uri.username in users, f"skydose-broker: {key} names {uri.username}; the topology makes {sorted(users)}")
    limit = re.search(r"max_message_size = (\d+)", cluster["spec"]["rabbitmq"]["additionalConfig"]).group(1)
    largest = re.search(r"^largest_message = (\d+)", (ROOT / "docs/config.toml").read_text(), re.MULTILINE).group(1)
    expect(int(limit) >= int(largest), f"the broker takes {limit} bytes, the program sends up to {largest}")


def check_rancher():
    pools = {"v3": read("deploy/rancher/v3-node-pools.json"), "v1": read("deploy/rancher/v1-machine-pools.yaml")[0]}
    known = {"v3": set(), "v1": set(MACHINE_POOL)}
    for file in PAYLOADS.glob("v3_nodePool_*.json"):
        known["v3"] |= set(json.loads(file.read_text()))
    for file in PAYLOADS.glob("*.json"):
        for pool in machine_pools(json.loads(file.read_text())):
            known["v1"] |= set(pool)
    if not PAYLOADS.exists():
        print(f"skipped: no {PAYLOADS}, so fields of Rancher's pools are not compared")
    for version, labels in (("v3", "nodeLabels"), ("v1", "labels")):
        for pool in pools[version]:
            strange = set(pool) - known[version]
            expect(not strange or not PAYLOADS.exists(), f"{version}: Rancher's pools have no fields {strange}")
            expect(pool[labels].get("worker") == "yes", f"{version}: a pool without the label worker=yes: {pool}")
            gpu = pool[labels].get("nvidia.com/gpu.present") == "true"
            taints = pool.get("nodeTaints", []) + pool.get("taints", [])
            tainted = any(taint["key"] == "nvidia.com/gpu" for taint in taints)
            expect(gpu == tainted, f"{version}: labels and taints differ: {pool}")
    machines = [(m["name"], m["azureConfig"]) for m in read("deploy/rancher/v3-node-templates.json")]
    for m in read("deploy/rancher/v1-machine-configs.yaml"):
        own = {name: value for name, value in m.items() if name not in ("apiVersion", "kind", "metadata")}
        machines.append((m["metadata"]["name"], own))
    for name, machine in machines:
        expect(set(machine) <= AZURE, f"{name}: Azure's driver has no fields {set(machine) - AZURE}")
        series = "Standard_N" if "gpu" in name else "Standard_D32"
        expect(machine["size"].startswith(series), f"machines of {name} are {machine['size']}, expected {series}…")
    configs = {m["metadata"]["name"] for m in read("deploy/rancher/v1-machine-configs.yaml")}
    for pool in pools["v1"]:
        expect(pool["machineConfigRef"]["name"] in configs, f"there are no machines {pool['machineConfigRef']}")
    configured = (ROOT / "deploy/shared/skydose.toml").read_text()
    for pool in pools["v1"]:
        expect(f'"{pool["name"]}"' in configured, f"deploy/shared/skydose.toml has no pool {pool['name']}")


def machine_pools(value):
    """Every machine pool in a payload."""
    if isinstance(value, list):
        return [pool for part in value for pool in machine_pools(part)]
    if not isinstance(value, dict):
        return []
    own = [pool for pool in value.get("machinePools") or [] if isinstance(pool, dict)]
    return own + [pool for part in value.values() for pool in machine_pools(part)]


def check_words():
    """Alerts and settings that the documents name, there are; files, too."""
    alerts = {r["alert"] for g in read("deploy/monitoring/alerts.yaml")[0]["groups"] for r in g["rules"]}
    # Names of settings, as the documentation of the configuration has them.
    settings = set(re.findall(r"^#? ?(\w+) = ", (ROOT / "docs/config.toml").read_text(), re.MULTILINE))
    documents = [ROOT / "docs/operate.md", ROOT / "docs/runbook.md", *ROOT.glob("deploy/**/*.md")]
    for document in documents:
        text, where = document.read_text(), document.relative_to(ROOT)
        for name in re.findall(r"`([A-Z]\w*(?:Expiring|Old|Leader|Missing|Down|Failing|Act|Blind))`", text):
            expect(name in alerts, f"{where} names the alert {name}, which is not there")
        for name in re.findall(r"`(?:worker|catalogue|broker|control|scaling|admin|nodes)\.(\w+)`", text):
            expect(name in settings, f"{where} names the setting {name}, which docs/config.toml has not")
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            expect((document.parent / link).exists(), f"{where} links to {link}, which is not there")


SKYDOSE = sys.argv[1]
check_broker()
check_rancher()
check_words()
finish("examples")
