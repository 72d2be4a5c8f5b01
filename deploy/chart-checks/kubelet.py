"""What a node does with rendered objects, as far as podman 4.3 cannot do it by itself: pods out of Deployments and Jobs, and
files out of ConfigMaps, Secrets and projected volumes. Everything that is changed on the way is in `ADAPTED`."""

import copy
import os

import yaml

ADAPTED = [
    "a Deployment becomes one Pod for each replica, a Job one Pod: podman has no controllers",
    "volumes of ConfigMaps and Secrets become directories of this machine, mounted read-only, with the same files, names and "
    "modes: podman does not know projected volumes",
    "a claim and an emptyDir become directories of this machine too; what a CronJob would start is started once",
    "probes are left out, since podman does not know gRPC probes; the same three questions are asked of the same port by `tahuka health`",
    "lifecycle.preStop.sleep, topology spread, service accounts and ports of containers are left out: they are the cluster's",
    "headless Services are aliases of the pods' names on podman's network, whose DNS answers with the address of every replica",
    "NetworkPolicies are not in force here; tests/test_network.py works out what they allow",
]


class Node:
    def __init__(self, objects, secrets, directory):
        """`secrets`: name -> {key: text}, what the release expects to exist."""
        self.objects, self.directory = objects, directory
        self.sources = {("secret", name): data for name, data in secrets.items()}
        for o in objects:
            if o["kind"] == "ConfigMap":
                self.sources[("configMap", o["metadata"]["name"])] = o["data"]

    def pods(self):
        """(component, replica's name, pod) of every Deployment."""
        for o in self.objects:
            if o["kind"] == "Deployment":
                component = o["metadata"]["labels"]["app.kubernetes.io/component"]
                for n in range(o["spec"].get("replicas", 1)):
                    name = f"{o['metadata']['name']}-{n}"
                    yield component, name, self.pod(name, o["spec"]["template"])

    def job(self):
        jobs = [o for o in self.objects if o["kind"] == "Job"]
        return self.pod(jobs[0]["metadata"]["name"], jobs[0]["spec"]["template"]) if jobs else None

    def cron(self, component):
        """What a CronJob starts."""
        for o in self.objects:
            if o["kind"] == "CronJob" and o["metadata"]["labels"]["app.kubernetes.io/component"] == component:
                return self.pod(f"{o['metadata']['name']}-1", o["spec"]["jobTemplate"]["spec"]["template"])
        raise KeyError(component)

    def test(self):
        tests = [o for o in self.objects if o["kind"] == "Pod"]
        return self.pod(tests[0]["metadata"]["name"], tests[0])

    def aliases(self, labels):
        """Names of the Services that select these labels."""
        for o in self.objects:
            if o["kind"] == "Service" and all(labels.get(k) == v for k, v in o["spec"]["selector"].items()):
                yield o["metadata"]["name"]

    def pod(self, name, template):
        spec = copy.deepcopy(template["spec"])
        labels = template["metadata"]["labels"]
        for field in ("topologySpreadConstraints", "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"):
            spec.pop(field, None)
        for container in spec["containers"]:
            for field in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports"):
                container.pop(field, None)
            container["imagePullPolicy"] = "Never"
        spec["volumes"] = [self.volume(name, v) for v in spec.get("volumes") or []]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}

    def volume(self, pod, volume):
        kind = next(k for k in volume if k != "name")
        at = os.path.join(self.directory, pod, volume["name"])
        os.makedirs(at, mode=0o755, exist_ok=True)
        if kind in ("persistentVolumeClaim", "emptyDir"):
            os.chmod(at, 0o777)
            return {"name": volume["name"], "hostPath": {"path": at, "type": "Directory"}}
        parts = volume["projected"]["sources"] if kind == "projected" else [{kind: volume[kind]}]
        mode = volume[kind].get("defaultMode", 0o644)
        for part in parts:
            (source, told), = part.items()
            data = self.sources[(source, told.get("name") or told["secretName"])]
            items = told.get("items") or [{"key": key, "path": key} for key in data]
            for item in items:
                file = os.path.join(at, item["path"])
                os.makedirs(os.path.dirname(file), mode=0o755, exist_ok=True)
                with open(file, "w") as out:
                    out.write(data[item["key"]])
                os.chmod(file, mode)
        return {"name": volume["name"], "hostPath": {"path": at, "type": "Directory"}}


def text(pod):
    return yaml.safe_dump(pod, sort_keys=False)
