"""Every check of the chart and of what is delivered beside it; ends with a table and says what failed."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kubernetes_validate
import yaml

import readme
import render
import restricted
import sync
from places import BIN, CHART, HERE, HOME, KUBERNETES, OBSERVABILITY, RENDERED, ROOT, VENV


def run(command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    return done.returncode, (done.stdout + done.stderr).strip()


def value_files():
    """The chart's own, and the examples but for those of other charts."""
    examples = (CHART.parent / "examples").glob("*-values.yaml")
    return sorted((CHART / "ci").glob("*-values.yaml")) + sorted(f for f in examples if f.name != "nats-values.yaml")


def example_objects():
    """Examples that are objects and no values."""
    return sorted(f for f in (CHART.parent / "examples").glob("*.yaml") if "values" not in f.name)


def release_of(file):
    return ("example-" if file.parent.name == "examples" else "") + file.name.removesuffix("-values.yaml")


def custom_of(file):
    """Most clusters have the custom resources; a file can say that its own has none."""
    return [] if file.read_text().startswith("# cluster: plain") else render.CUSTOM


def rendered_files(kube=KUBERNETES[-1]):
    return sorted(RENDERED.glob(f"*-{kube}.yaml"))


def rendering():
    """Every ci/*-values.yaml renders on each version of Kubernetes."""
    shutil.rmtree(RENDERED, ignore_errors=True)
    RENDERED.mkdir(parents=True)
    faults = []

    def one(file, kube):
        name = release_of(file)
        try:
            made = render.render(CHART, render.values_of([file]), kube, custom_of(file))
        except render.Refused as why:
            faults.append(f"{file.name} on {kube}: {why}")
            return 0
        (RENDERED / f"{name}-{kube}.yaml").write_text(yaml.dump_all(made.all(), Dumper=yaml.CSafeDumper, sort_keys=False, width=200))
        (RENDERED / f"{name}.notes").write_text(made.notes)
        return len(made.all())

    # Most of the time Helm waits for its own limit of questions in a second.
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda pair: one(*pair), [(f, k) for f in value_files() for k in KUBERNETES]))
    return f"{len(value_files())} value files x {len(KUBERNETES)} versions, {sum(counts)} objects", faults


def schemas():
    """Every built-in object keeps to Kubernetes' own schema, with no field that it does not know."""
    good, faults = 0, []
    for kube in KUBERNETES:
        for file in rendered_files(kube) + example_objects():
            for document in render.documents(file.read_text()):
                if "." in document["apiVersion"].split("/")[0] and not document["apiVersion"].split("/")[0].endswith(".k8s.io"):
                    continue
                if document["apiVersion"].startswith("gateway.networking.k8s.io"):
                    continue
                try:
                    kubernetes_validate.validate(document, kube, strict=True)
                    good += 1
                except kubernetes_validate.ValidationError as why:
                    where = ".".join(str(p) for p in why.path)
                    faults.append(f"{file.name}: {document['kind']}/{document['metadata']['name']}: {where}: {why.message}")
    return f"{good} objects, strictly, on {', '.join(KUBERNETES)}", faults


def custom_resources():
    """Custom resources keep to their CRDs' schemas."""
    script = HOME / "modules" / "custom-resources.mjs"
    shutil.copy(HERE / "custom-resources.mjs", script)
    code, out = run(["node", script, *rendered_files(), *example_objects()])
    return out.splitlines()[-1], out.splitlines()[:-1] if code else []


def pods():
    """Every pod keeps to the restricted profile and to the house's rules."""
    seen, faults = 0, []
    for file in rendered_files() + example_objects():
        for document in render.documents(file.read_text()):
            for name, spec in restricted.pod_specs(document):
                seen += 1
                faults += [f"{file.name}: {name}: {fault}" for fault in restricted.faults(spec)]
    return f"{seen} pods, restricted profile", faults


def policies():
    """checkov, but for what is left out with a reason."""
    lines = (HERE / "checkov-skipped.txt").read_text().splitlines()
    skipped = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    newest = HOME / "newest"
    shutil.rmtree(newest, ignore_errors=True)
    newest.mkdir()
    for file in rendered_files():
        shutil.copy(file, newest)
    command = [VENV / "checkov", "-d", newest, "--framework", "kubernetes", "--compact", "--quiet", "--skip-download"]
    code, out = run([*command, "--skip-check", ",".join(skipped)], cwd=HOME)
    counts = re.search(r"Passed checks: (\d+), Failed checks: (\d+)", out)
    if counts is None and code == 0:
        return f"nothing failed, {len(skipped)} kinds of check left out", []
    told = f"{counts[1]} passed, {counts[2]} failed, {len(skipped)} kinds of check left out" if counts else "no answer"
    return told, out.splitlines()[-40:] if code else []


def bad_values():
    """Each ci/bad/*.yaml is refused, with a text that says which value it is."""
    faults = []
    files = sorted((CHART / "ci" / "bad").glob("*.yaml"))

    def one(file):
        said = re.match(r"# says: (.+)", file.read_text())
        if not said:
            return f"{file.name}: its first line must be `# says: …`"
        try:
            render.render(CHART, render.values_of([file]))
        except render.Refused as why:
            return None if said[1] in str(why) else f"{file.name}: refused, but not with {said[1]!r}:\n{why}"
        return f"{file.name}: it rendered"

    with ThreadPoolExecutor(4) as pool:
        faults = [fault for fault in pool.map(one, files) if fault]
    return f"{len(files)} refused, each with the value's name", faults


def package():
    """Helm's lint, and the archive as a repository would hold it."""
    with render.Cluster() as cluster:
        configuration = render.helm_sdkpy.Configuration(namespace="tahuka", kubeconfig=cluster.config("tahuka"))
        told = asyncio.run(render.helm_sdkpy.Lint(configuration).run(str(CHART)))
        archive = Path(asyncio.run(render.helm_sdkpy.Package(configuration).run(str(CHART), str(HOME))))
    # 1 is a recommendation; the library keeps the texts to itself.
    faults = [f"lint: {m['Path']}: severity {m['Severity']}" for m in told["Messages"] or [] if m["Severity"] > 1]
    names = tarfile.open(archive).getnames()
    faults += [f"{archive.name} has {name}" for name in names if name.startswith("tahuka/ci/")]
    return f"{archive.name}, {len(names)} files, {archive.stat().st_size // 1024} KiB", faults


def snapshots():
    """Names, selectors, peers: what must not change unseen. And that the chart knows the binary's targets."""
    code, out = run([VENV / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE / "tests"])
    return out.splitlines()[-1].strip("= "), out.splitlines()[-60:] if code else []


def texts():
    """yamllint, README as generated, files as delivered."""
    plain = ["Chart.yaml", "values.yaml", "ci", "files"]
    code, out = run([VENV / "yamllint", "-s", "-c", HERE / "yamllint.yaml", *(CHART / p for p in plain), CHART.parent / "examples"])
    faults = out.splitlines() if code else []
    if not readme.current():
        faults.append("helm/tahuka/README.md is not what values.yaml says: run deploy/chart-checks/readme.py")
    faults += [f"{name} differs: run deploy/chart-checks/sync.py" for name in sync.different()]
    return "yamllint, README, copies of rules and dashboards", faults


def rules():
    """promtool: alert rules are valid and do what their tests say."""
    alerts, tests = OBSERVABILITY / "alerts.yaml", OBSERVABILITY / "alerts_test.yaml"
    missing = [f"{f.relative_to(ROOT)} is missing" for f in (alerts, tests) if not f.exists()]
    if missing:
        return "missing", missing
    code, out = run([BIN / "promtool", "check", "rules", alerts])
    found = re.search(r"(\d+) rules found", out)
    faults = out.splitlines() if code else []
    code, out = run([BIN / "promtool", "test", "rules", tests.name], cwd=OBSERVABILITY)
    faults += out.splitlines() if code else []
    cases = len(yaml.safe_load(tests.read_text())["tests"])
    return f"{found[1] if found else 0} rules, {cases} test groups", faults


def compose():
    """docker-compose.yml is whole, with every profile."""
    file = ROOT / "docker-compose.yml"
    if not file.exists():
        return "missing", ["docker-compose.yml is missing"]
    code, out = run([BIN / "docker-compose", "-f", file, "--profile", "*", "config", "--services"], cwd=ROOT)
    return f"{len(out.split())} services" if code == 0 else "refused", out.splitlines() if code else []


def dockerfile():
    """hadolint."""
    file = ROOT / "deploy" / "Dockerfile"
    if not file.exists():
        return "missing", ["deploy/Dockerfile is missing"]
    code, out = run([VENV / "hadolint", file])
    return "hadolint has nothing to say" if code == 0 else "hadolint", out.splitlines() if code else []


CHECKS = [rendering, schemas, custom_resources, pods, policies, bad_values, package, snapshots, texts, rules, compose, dockerfile]


def main():
    wanted = sys.argv[1:]
    unknown = set(wanted) - {c.__name__ for c in CHECKS}
    if unknown:
        sys.exit(f"chart: there is no {', '.join(sorted(unknown))}; there are: {' '.join(c.__name__ for c in CHECKS)}")
    table, failed = [], 0
    for check in CHECKS:
        if wanted and check.__name__ not in wanted:
            continue
        began = time.monotonic()
        told, faults = check()
        for fault in faults:
            print(f"{check.__name__}: {fault}")
        failed += bool(faults)
        table.append((check.__name__.replace("_", " "), "FAILED" if faults else "ok", f"{time.monotonic() - began:.0f} s", told))
    print("\nchart:")
    for name, verdict, seconds, told in table:
        print(f"  {name:<17} {verdict:<7} {seconds:>5}   {told}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
