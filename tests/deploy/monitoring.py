"""Every metric that an alert or the dashboard asks for is one that the program
declares, every alert links to its part of the runbook, and both forms of the
alerts are the same.
"""

import json
import re
from pathlib import Path

import yaml

from checks import expect, finish

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "src/telemetry"


def declared():
    """Metrics by name, with their kind; a test of the program holds this table
    equal to what it really emits."""
    found = {}
    for file in EVENTS.rglob("*.rs"):
        text = file.read_text()
        for kind, name in re.findall(r'Metric::(counter|gauge|histogram)\(\s*"(skydose_[a-z0-9_]+)"', text):
            found[name] = kind
        for name in re.findall(r"# TYPE (process_[a-z_]+)", text):
            found[name] = "gauge"
    return found


def queries():
    rules = yaml.safe_load((ROOT / "deploy/monitoring/alerts.yaml").read_text())["groups"]
    for group in rules:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]
    for panel in json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]


def check_grid():
    """No two panels lie on each other, none hangs over the edge of 24 columns,
    and there is no hole between rows."""
    taken = {}
    for panel in json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text())["panels"]:
        at = panel["gridPos"]
        expect(at["x"] + at["w"] <= 24, f"panel {panel['title']} hangs over the edge")
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            other = taken.setdefault(cell, panel["title"])
            if other != panel["title"]:
                expect(False, f"panels {other} and {panel['title']} lie on each other")
                break
    height = 1 + max(y for _, y in taken)
    holes = [(x, y) for y in range(height) for x in range(24) if (x, y) not in taken]
    expect(not holes, f"the dashboard has holes at {holes[:3]}")


def main():
    check_grid()
    metrics = declared()
    expect(len(metrics) > 20, f"only {len(metrics)} metrics were found below {EVENTS}")
    for where, query in queries():
        names = set(re.findall(r"\b((?:skydose|process)_[a-z0-9_]+)", query))
        expect(names, f"{where} asks for no metric")
        for name in names:
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            is_known = name in metrics or metrics.get(base) == "histogram"
            expect(is_known, f"{where} asks for {name}, which the program does not export")
    rules = yaml.safe_load((ROOT / "deploy/monitoring/alerts.yaml").read_text())
    operator = yaml.safe_load((ROOT / "deploy/monitoring/prometheus-rule.yaml").read_text())
    expect(operator["spec"]["groups"] == rules["groups"], "prometheus-rule.yaml and alerts.yaml differ")
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {"docs/runbook.md#" + heading.lower().replace(" ", "-") for heading in headings}
    for rule in rules["groups"][0]["rules"]:
        link = rule["annotations"]["runbook_url"]
        expect(link in anchors, f"alert {rule['alert']} links to {link}, which is not there")
    finish("monitoring")


main()
