"""Names and selectors: another name is another object, and with it data and addresses are lost. To accept a change:
`UPDATE_SNAPSHOTS=1 deploy/chart-checks/check rendering snapshots`, and say in UPGRADING.md what a user must do."""

import os
from pathlib import Path

import yaml

KEPT = Path(__file__).resolve().parent / "names"


def shape(release):
    lines = []
    for o in sorted(release.objects, key=lambda o: (o["kind"], o["metadata"]["name"])):
        name = o["metadata"]["name"]
        if o["kind"] == "Job":
            # Behind the last dash is the hash of what it is made of.
            name = name.rsplit("-", 1)[0] + "-#"
        line = f"{o['kind']} {name}"
        selector = (o.get("spec") or {}).get("selector")
        if selector and o["kind"] != "ServiceMonitor":
            line += " <- " + ",".join(f"{k.split('/')[-1]}={v}" for k, v in sorted(selector.get("matchLabels", selector).items()))
        if o["kind"] == "Service":
            line += " : " + ",".join(f"{p['name']}={p['port']}" for p in o["spec"]["ports"])
        lines.append(line)
    return lines


def test_names_and_selectors_are_as_they_were(release):
    file = KEPT / f"{release.name}.yaml"
    found = shape(release)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        KEPT.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(found, width=1000))
    assert file.exists(), f"{file} is missing: see above"
    assert found == yaml.safe_load(file.read_text())
