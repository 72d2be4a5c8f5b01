"""Renders a chart with Helm's own engine (v4), without a cluster: an API server on the loopback says what a cluster would
say of itself, and takes from the first release record that Helm stores what was rendered.

    render.py CHART [-f values.yaml]... [--kube 1.34] [--api GROUP/VERSION/KIND]... [--namespace NS] [--release NAME] [--notes]
"""

import argparse
import asyncio
import atexit
import base64
import gzip
import json
import os
import re
import shutil
import sys
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The library reads it when it is loaded; nothing of this machine's own configuration shall count.
os.environ["HOME"] = tempfile.mkdtemp(prefix="tahuka-chart-")
atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)
os.environ.pop("KUBECONFIG", None)
os.environ["HELM_KUBECLIENT_CONTENT_TYPE"] = "application/json"

import helm_sdkpy  # noqa: E402
import yaml  # noqa: E402

BUILT_IN = {
    "v1": "ConfigMap Secret Service ServiceAccount Pod PersistentVolumeClaim Namespace",
    "apps/v1": "Deployment StatefulSet DaemonSet ReplicaSet",
    "batch/v1": "Job CronJob",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "policy/v1": "PodDisruptionBudget",
    "networking.k8s.io/v1": "Ingress NetworkPolicy IngressClass",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding ClusterRole ClusterRoleBinding",
}
CUSTOM = [
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "gateway.networking.k8s.io/v1/GRPCRoute",
    "gateway.networking.k8s.io/v1/HTTPRoute",
    "cert-manager.io/v1/Certificate",
    "external-secrets.io/v1/ExternalSecret",
    "postgresql.cnpg.io/v1/Cluster",
]
OF_THE_CLUSTER = {"Namespace", "IngressClass", "ClusterRole", "ClusterRoleBinding"}


class Refused(Exception):
    """Helm would not render it; the text is what its user reads."""


@dataclass
class Rendered:
    objects: list
    hooks: list
    notes: str
    manifest: str

    def all(self):
        return self.objects + self.hooks


class Cluster:
    """An API server that knows its version and its kinds, and forbids all writes."""

    def __init__(self, kube="1.34", custom=CUSTOM):
        self.kube = kube
        self.groups = {version: kinds.split() for version, kinds in BUILT_IN.items()}
        for api in custom:
            version, kind = api.rsplit("/", 1)
            self.groups.setdefault(version, []).append(kind)
        self.release = None

    def answer(self, path):
        if path == "/version":
            major, minor = self.kube.split(".")
            return {"major": major, "minor": minor, "gitVersion": f"v{self.kube}.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        if path == "/apis":
            groups = {}
            for version in self.groups:
                if "/" in version:
                    groups.setdefault(version.split("/")[0], []).append({"groupVersion": version, "version": version.split("/")[1]})
            listed = [{"name": n, "versions": v, "preferredVersion": v[0]} for n, v in groups.items()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
        group = re.fullmatch(r"/apis?/(.+)", path)
        if group and group[1] in self.groups:
            kinds = [
                {"name": plural(k), "singularName": k.lower(), "namespaced": k not in OF_THE_CLUSTER, "kind": k,
                 "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]}
                for k in self.groups[group[1]]
            ]
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group[1], "resources": kinds}
        if path.endswith("/secrets"):
            return {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}
        return None

    def take(self, body):
        if b"helm.sh/release.v1" not in body or self.release is not None:
            return
        try:
            packed = base64.b64decode(json.loads(body)["data"]["release"])
        except ValueError:
            # Protobuf: the record's text stands in it as it is.
            packed = max(re.findall(rb"H4sI[A-Za-z0-9+/]+=*", body), key=len)
        self.release = json.loads(gzip.decompress(base64.b64decode(packed)))

    def __enter__(self):
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, code, body):
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def refuse(self, code, reason):
                self.reply(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
                                  "message": "this cluster only listens", "details": {}})

            def do_GET(self):
                answer = cluster.answer(self.path.split("?")[0].rstrip("/"))
                self.reply(200, answer) if answer else self.refuse(404, "NotFound")

            def do_POST(self):
                cluster.take(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.refuse(403, "Forbidden")

            do_PUT = do_PATCH = do_DELETE = do_POST

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def config(self, namespace):
        path = os.path.join(tempfile.mkdtemp(dir=os.environ["HOME"]), "config")
        with open(path, "w") as out:
            yaml.safe_dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
                "users": [{"name": "u", "user": {"token": "none"}}],
            }, out)
        return path


def plural(kind):
    kind = kind.lower()
    if kind.endswith(("s", "x", "ch")):
        return kind + "es"
    return kind[:-1] + "ies" if kind.endswith("cy") else kind + "s"


def merged(base, over):
    for key, value in over.items():
        base[key] = merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return base


def documents(text):
    """Every object in a YAML text; the loader in C is ten times as fast as the other."""
    return [o for o in yaml.load_all(text, Loader=yaml.CSafeLoader) if o]


def values_of(files):
    values = {}
    for name in files:
        with open(name) as text:
            merged(values, yaml.safe_load(text) or {})
    return values


def render(chart, values, kube="1.34", custom=CUSTOM, namespace="tahuka", release="tahuka"):
    with Cluster(kube, custom) as cluster:
        configuration = helm_sdkpy.Configuration(namespace=namespace, kubeconfig=cluster.config(namespace))
        try:
            asyncio.run(helm_sdkpy.Install(configuration).run(release, str(chart), values=values, wait=False, timeout=20))
        except Exception as refused:  # The library has one kind of error for everything.
            if cluster.release is None:
                raise Refused(str(refused)) from None
        if cluster.release is None:
            raise Refused("Helm stored no release")
        made = cluster.release
    hooks = [h["manifest"] for h in made.get("hooks") or []]
    return Rendered(documents(made["manifest"]), [o for h in hooks for o in documents(h)], made["info"].get("notes", ""), made["manifest"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chart")
    parser.add_argument("-f", "--values", action="append", default=[])
    parser.add_argument("--kube", default="1.34")
    parser.add_argument("--api", action="append", default=None)
    parser.add_argument("--namespace", default="tahuka")
    parser.add_argument("--release", default="tahuka")
    parser.add_argument("--notes", action="store_true")
    asked = parser.parse_args()
    custom = CUSTOM if asked.api is None else asked.api
    try:
        made = render(asked.chart, values_of(asked.values), asked.kube, custom, asked.namespace, asked.release)
    except Refused as why:
        sys.exit(f"render: {why}")
    print(made.notes if asked.notes else yaml.safe_dump_all(made.all(), sort_keys=False, width=200), end="")


if __name__ == "__main__":
    main()
