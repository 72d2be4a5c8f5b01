"""Starts every pod of the rendered chart by podman, on a throwaway PostgreSQL and NATS, with the roles, Secrets and rights
that the chart expects; sees that it keeps what it promises, and plays the demonstration through the gateway."""

import argparse
import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import yaml

import kubelet
import render
from parts import Nats, Postgres
from places import CHART, HERE, HOME, ROOT

OPERATORS = 9090
NETWORK = "tahuka"
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{work}/networks"
"""
STORAGE = """\
[storage]
driver = "{driver}"
graphroot = "{work}/storage"
runroot = "{work}/run"
"""
passed = []


def ok(what):
    passed.append(what)
    print(f"ok    {what}", flush=True)


def fail(what):
    raise SystemExit(f"FAIL  {what}")


class Podman:
    """Storage and networks of its own: nothing of this machine's is touched."""

    def __init__(self, work):
        (work / "containers.conf").write_text(CONFIGURATION.format(work=work))
        (work / "storage.conf").write_text(STORAGE.format(work=work, driver=os.environ.get("TAHUKA_STORAGE_DRIVER", "overlay")))
        self.environment = {**os.environ, "CONTAINERS_CONF": f"{work}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{work}/storage.conf"}

    def try_(self, *arguments, **more):
        command = ["podman", "--log-level=error", *(str(a) for a in arguments)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, **more)

    def __call__(self, *arguments, **more):
        done = self.try_(*arguments, **more)
        if done.returncode:
            fail(f"podman {' '.join(str(a) for a in arguments[:4])}: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def start(self, pod, aliases=()):
        options = "".join(f",alias={alias}" for alias in aliases)
        self("play", "kube", "--network", f"{NETWORK}:{options.lstrip(',')}" if options else NETWORK, "-", input=kubelet.text(pod))

    def container(self, pod):
        return f"{pod['metadata']['name']}-{pod['spec']['containers'][0]['name']}"

    def address(self, pod):
        of = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        shared = self("pod", "inspect", "--format", "{{.InfraContainerID}}", pod["metadata"]["name"])
        return self("inspect", "--format", of, shared)

    def ended(self, pod, seconds):
        """The exit code of a pod that runs once, and what it said."""
        name = self.container(pod)
        code = self("wait", name, timeout=seconds)
        done = self.try_("logs", name)
        return int(code), (done.stdout + done.stderr).strip()

    def logs_to(self, directory):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for name in self.try_("ps", "--all", "--format", "{{.Names}}").stdout.split():
            done = self.try_("logs", name)
            (directory / f"{name}.log").write_text(done.stdout + done.stderr)
        return directory

    def status(self, name):
        pid = self("inspect", "--format", "{{.State.Pid}}", name)
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {k: v.split() for k, v in (line.split(":", 1) for line in lines)}, Path(f"/proc/{pid}/mountinfo").read_text()


def image_archive():
    told = os.environ.get("TAHUKA_IMAGE")
    archive = Path(told) if told else ROOT / "target" / "image" / "tahuka.docker.tar"
    if not archive.exists():
        fail(f"{archive} is missing: make image")
    return archive


def made_secrets(podman, image, postgres, nats, services, host):
    """As an operator makes them: `tahuka secrets init` for keys, the rest by hand."""
    manifests = podman("run", "--rm", "--network", "none", "--read-only", image, "secrets", "init", "--kubernetes", "tahuka")
    made = {}
    for o in yaml.safe_load_all(manifests):
        if o and o["kind"] == "Secret":
            plain = dict(o.get("stringData") or {})
            plain.update({k: base64.b64decode(v).decode() for k, v in (o.get("data") or {}).items()})
            made[o["metadata"]["name"]] = plain
    made["tahuka-database"] = {s: postgres.url(f"tahuka_{s}_login", s, host) for s in services}
    made["tahuka-database-migrator"] = {"url": postgres.url("tahuka_migrator", "migrator", host)}
    made["tahuka-demo"] = {"demo-issuer.key": secrets.token_hex(32)}
    if nats:
        made["tahuka-nats"] = {"url": nats.url(host)}
    return made


def health(podman, pod, service):
    """The kubelet's question, asked in the pod."""
    done = podman.try_("exec", podman.container(pod), "/tahuka", "health", "--address", f"127.0.0.1:{OPERATORS}", "--service", service)
    return done.returncode == 0


def wait_until(what, question, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if question():
            return
        time.sleep(0.5)
    fail(f"{what}: not within {seconds} seconds")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", action="append", default=[])
    parser.add_argument("--no-demo", action="store_true")
    parser.add_argument("--part", type=int, default=1, metavar="N", help="play one in N of the programme's registrations")
    parser.add_argument("--no-scenarios", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave everything running, to look at")
    asked = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tahuka-chart-smoke."))
    work.chmod(0o711)
    podman, stops = Podman(work), []
    try:
        run(podman, work, stops, asked)
        print(f"\nchart-smoke: {len(passed)} checks passed. What podman needed otherwise than the chart says it:")
        for line in kubelet.ADAPTED:
            print(f"  - {line}")
    except SystemExit:
        print(f"what each pod said: {podman.logs_to(HOME / 'smoke-logs')}", flush=True)
        raise
    finally:
        if asked.keep:
            print(f"left running: CONTAINERS_CONF={work}/containers.conf CONTAINERS_STORAGE_CONF={work}/storage.conf podman ps")
            sys.stdout.flush()
            os._exit(0)
        podman.try_("pod", "rm", "--all", "--force", "--time", "1")
        podman.try_("network", "rm", "--force", NETWORK)
        for stop in stops:
            stop()
        podman.try_("rm", "--all", "--force", "--time", "1")
        shutil.rmtree(work, ignore_errors=True)


def run(podman, work, stops, asked):
    values = render.values_of([HERE / "smoke-values.yaml", *asked.values])
    release = render.render(CHART, values, custom=[])
    services = yaml.safe_load((CHART / "files" / "targets.yaml").read_text())
    services = [name for name, target in services.items() if target["database"]]
    image = next(o for o in release.objects if o["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    podman("load", "--quiet", "--input", image_archive())
    podman("network", "create", NETWORK)
    host = json.loads(podman("network", "inspect", NETWORK))[0]["subnets"][0]["gateway"]

    postgres = Postgres(work, services)
    stops.append(postgres.stop)
    nats = Nats(work) if values["nats"].get("enabled", True) else None
    if nats:
        stops.append(nats.stop)
    keys = made_secrets(podman, image, postgres, nats, services, host)
    node = kubelet.Node(release.all(), keys, work / "volumes")
    pods = list(node.pods())

    for component, _, pod in pods:
        podman.start(pod, node.aliases(pod["metadata"]["labels"]))
    ok(f"{len(pods)} pods of {len({c for c, _, _ in pods})} targets run")

    for component, name, pod in pods:
        wait_until(f"{name} answers", lambda pod=pod: health(podman, pod, "liveness"), 60)
    waiting = [(c, n, p) for c, n, p in pods if c not in ("gateway",)]
    early = [name for _, name, pod in waiting if health(podman, pod, "startup")]
    if early:
        fail(f"started without a schema: {early}")
    ok(f"{len(waiting)} pods with a database are alive and wait for their schema")

    job = node.job()
    podman.start(job)
    code, said = podman.ended(job, 300)
    if code:
        fail(f"the migration ended with {code}: {said[-2000:]}")
    ok("the migration's Job has run as the migrator")
    for service in ("startup", "readiness"):
        for component, name, pod in pods:
            wait_until(f"{name}: {service}", lambda pod=pod, service=service: health(podman, pod, service))
    ok("then every pod starts and is ready by itself, as gRPC health says it")

    for component, name, pod in pods:
        look_at(podman, podman.container(pod))
    ok("every process is no root, has no capability, may gain none, is under seccomp and cannot write to its root file system")

    roles(postgres, services)
    test = node.test()
    podman.start(test)
    code, said = podman.ended(test, 120)
    print("\n".join(f"      {line}" for line in said.splitlines()[-30:]))
    if code:
        fail(f"helm test: the doctor ended with {code}")
    ok("helm test: the doctor finds nothing wrong")

    if not asked.no_demo:
        demo(podman, work, image, keys, asked.part)
    if not asked.no_scenarios:
        gateway = next(pod for component, _, pod in pods if component == "gateway")
        scenarios(work, f"http://{podman.address(gateway)}:50051", {**keys["tahuka-demo"], **keys["tahuka-keys"]})
    for component in ("backup", "drill"):
        once = node.cron(component)
        podman.start(once)
        code, said = podman.ended(once, 600)
        print("\n".join(f"      {line[:200]}" for line in said.splitlines()[-12:]))
        if code:
            fail(f"the {component} ended with {code}")
        ok(f"the CronJob's {component} ends with 0")
    leave(podman, pods)


def look_at(podman, name):
    status, mounts = podman.status(name)
    wrong = []
    if "0" in status["Uid"]:
        wrong.append("runs as root")
    if int(status["CapEff"][0], 16) or int(status["CapBnd"][0], 16):
        wrong.append("has capabilities")
    if status["NoNewPrivs"][0] != "1":
        wrong.append("may gain privileges")
    if status["Seccomp"][0] != "2":
        wrong.append("is under no seccomp filter")
    root = next(line.split() for line in mounts.splitlines() if line.split()[4] == "/")
    if not root[5].startswith("ro"):
        wrong.append("can write to its root")
    for line in mounts.splitlines():
        at, options = line.split()[4:6]
        if at.startswith(("/run/secrets/tahuka", "/etc/tahuka")) and not options.startswith("ro"):
            wrong.append(f"can write to {at}")
    if wrong:
        fail(f"{name} {', '.join(wrong)}")


def roles(postgres, services):
    """What a service's login role may not."""
    for service in services:
        forbidden = [f"CREATE TABLE {service}.x (i int)", "CREATE SCHEMA x", "CREATE ROLE x",
                     f"ALTER TABLE {service}.journal DISABLE ROW LEVEL SECURITY"]
        forbidden += [f"SELECT count(*) FROM {other}.journal" for other in services if other != service]
        for statement in forbidden:
            done, said = postgres.sql(statement, f"tahuka_{service}_login", service, "tahuka")
            if done or not re.search("permission denied|must be owner", said):
                fail(f"{service}'s role: {statement}: {said}")
    ok("no service's role may change a schema, leave row-level security, make a role or read another's tables")


def programme(work, part):
    """The programme's files, with one in `part` of the registrations; repeated submissions stay together."""
    files = work / "programme"
    shutil.copytree(ROOT / "deploy" / "demo", files, ignore=shutil.ignore_patterns("generator"))
    header, *rows = (files / "registrations.csv").read_text().splitlines()
    kept = [row for row in rows if zlib.crc32(row.split(",")[0].encode()) % part == 0]
    (files / "registrations.csv").write_text("\n".join([header, *kept, ""]))
    return files, len(kept)


def demo(podman, work, image, keys, part):
    """The four-year programme, played through the Service in front of the gateway from a container of its own."""
    key = work / "demo"
    key.mkdir()
    for name, text in {**keys["tahuka-demo"], **keys["tahuka-keys"]}.items():
        (key / name).write_text(text)
        (key / name).chmod(0o444)
    files, registrations = programme(work, part)
    began = time.monotonic()
    done = podman.try_("run", "--rm", "--name", "demo", "--network", NETWORK, "--read-only", "--volume", f"{key}:/keys:ro",
                       "--volume", f"{files}:/programme:ro", "--env", "TAHUKA__KEYS_DIR=/keys", image,
                       "demo", "--gateway", "http://tahuka:50051", "--data-dir", "/tmp", "--programme", "/programme", "--exit",
                       timeout=3000)
    (HOME / "demo.txt").write_text(done.stdout + done.stderr)
    if done.returncode:
        fail(f"the demonstration: {(done.stdout + done.stderr)[-3000:]}")
    print("\n".join(f"      {line}" for line in done.stdout.splitlines()[-24:]))
    ok(f"the demonstration ({registrations} registrations) ends with its report, in {time.monotonic() - began:.0f} seconds")


def scenarios(work, gateway, keys):
    """Those of the end-to-end suite that need nothing but a gateway, from this machine."""
    folder = work / "scenarios"
    folder.mkdir()
    for name, text in keys.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o400)
    done = subprocess.run(
        ["sh", "-c", "cargo build --locked -p tahuka && cargo test --locked -p tahuka-tests --test e2e elsewhere -- --ignored"], cwd=ROOT,
        env={**os.environ, "TAHUKA_TEST_GATEWAY": gateway, "TAHUKA_TEST_KEYS": str(folder)}, capture_output=True, text=True)
    (HOME / "scenarios.txt").write_text(done.stdout + done.stderr)
    result = [line for line in done.stdout.splitlines() if line.startswith("test result")]
    if done.returncode:
        fail(f"the scenarios: {(done.stdout + done.stderr)[-3000:]}")
    ok(f"the end-to-end scenarios through the gateway: {result[0].removeprefix('test result: ')}")


def leave(podman, pods):
    """A pod that is told to stop says so first, and ends by itself with 0."""
    component, name, pod = pods[0]
    container = podman.container(pod)
    began = time.monotonic()
    podman("kill", "--signal", "TERM", container)
    time.sleep(1)
    if health(podman, pod, "readiness"):
        fail(f"{name} is told to stop and still says that it serves")
    code = podman("wait", container, timeout=60)
    if code != "0":
        fail(f"{name} ended with {code}")
    ok(f"a pod that is told to stop says so at once, takes calls for a while and ends with 0 ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
