"""What every pod of the chart keeps to: the restricted Pod Security profile, and this house's own rules beside it."""

ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def pod_specs(document):
    """Pod specs in an object, with the name to tell them by."""
    kind, spec = document.get("kind"), document.get("spec") or {}
    name = f"{kind}/{document['metadata']['name']}"
    if kind == "Pod":
        yield name, spec
    elif kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"):
        yield name, spec["template"]["spec"]
    elif kind == "CronJob":
        yield name, spec["jobTemplate"]["spec"]["template"]["spec"]


def faults(pod):
    """Everything that is wrong with a pod spec; nothing: it may run."""
    found = []
    security = pod.get("securityContext") or {}
    found += [f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
    if security.get("runAsUser") == 0:
        found.append("runAsUser is 0")
    if security.get("supplementalGroups") or security.get("sysctls"):
        found.append("supplementalGroups or sysctls are set")
    for volume in pod.get("volumes") or []:
        found += [f"volume {volume['name']} is of kind {kind}" for kind in set(volume) - {"name"} - ALLOWED_VOLUMES]
    for container in (pod.get("initContainers") or []) + (pod.get("containers") or []):
        found += [f"container {container['name']}: {fault}" for fault in container_faults(container, security)]
    if pod.get("automountServiceAccountToken") is not False:
        found.append("a service account's token is mounted")
    if pod.get("enableServiceLinks") is not False:
        found.append("environment of other Services is set")
    return found


def container_faults(container, of_pod):
    own = container.get("securityContext") or {}
    if own.get("allowPrivilegeEscalation") is not False:
        yield "privilege escalation is allowed"
    if own.get("privileged"):
        yield "it is privileged"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "capabilities are kept"
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield "capabilities are added"
    if not own.get("runAsNonRoot", of_pod.get("runAsNonRoot")):
        yield "it may run as root"
    if own.get("runAsUser") == 0:
        yield "it runs as root"
    if (own.get("seccompProfile") or of_pod.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"
    if own.get("procMount", "Default") != "Default":
        yield "procMount is not the default"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "a port of the host is taken"
    # The house's own.
    if own.get("readOnlyRootFilesystem") is not True:
        yield "the root file system can be written"
    requests = (container.get("resources") or {}).get("requests") or {}
    if not {"cpu", "memory"} <= set(requests):
        yield "no requests"
    if "memory" not in ((container.get("resources") or {}).get("limits") or {}):
        yield "no limit of memory"
    names = [variable["name"] for variable in container.get("env") or []]
    if len(names) != len(set(names)):
        yield "a variable is set twice, which server-side apply refuses"
