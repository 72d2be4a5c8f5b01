"""What holds between the objects of every release."""

import tomllib
from collections import Counter

import pytest
from restricted import pod_specs


def targets(release):
    return {o["metadata"]["labels"]["app.kubernetes.io/component"]: o for o in release.of("Deployment")}


def matches(selector, labels):
    return all(labels.get(k) == v for k, v in selector.items())


def pod_labels(release):
    """Of every pod that the release makes, whatever makes it."""
    for o in release.objects:
        if o["kind"] in ("Deployment", "Job"):
            yield o["kind"], o["spec"]["template"]["metadata"]["labels"]
        elif o["kind"] == "CronJob":
            yield o["kind"], o["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
        elif o["kind"] == "Pod":
            yield o["kind"], o["metadata"]["labels"]


def test_no_object_is_there_twice(release):
    seen = Counter((o["kind"], o["metadata"]["name"]) for o in release.objects)
    assert not [key for key, count in seen.items() if count > 1]


def test_no_secret_is_made(release):
    assert not release.of("Secret")


def test_every_target_has_its_objects(release):
    for name, deployment in targets(release).items():
        full = deployment["metadata"]["name"]
        assert full == f"tahuka-{name}"
        assert release.one("Service", full)["spec"]["clusterIP"] == "None"
        assert release.one("ServiceAccount", full)["automountServiceAccountToken"] is False
        assert release.one("PodDisruptionBudget", full)
        assert release.one("NetworkPolicy", full)
        assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == full


def test_no_replicas_are_written_where_an_autoscaler_decides(release):
    scaled = {o["spec"]["scaleTargetRef"]["name"] for o in release.of("HorizontalPodAutoscaler")}
    for o in release.of("Deployment"):
        assert ("replicas" in o["spec"]) != (o["metadata"]["name"] in scaled)


def test_selectors_find_their_own_pods_and_no_others(release):
    pods = [labels for _, labels in pod_labels(release)]
    for kind in ("Deployment", "PodDisruptionBudget"):
        for o in release.of(kind):
            found = [p for p in pods if matches(o["spec"]["selector"]["matchLabels"], p)]
            assert len(found) == 1, (kind, o["metadata"]["name"])
    for o in release.of("Service"):
        assert len([p for p in pods if matches(o["spec"]["selector"], p)]) == 1, o["metadata"]["name"]


def test_probes_ask_the_operators_port_by_name(release):
    for o in release.of("Deployment"):
        container = o["spec"]["template"]["spec"]["containers"][0]
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        for probe in ("startup", "readiness", "liveness"):
            assert container[f"{probe}Probe"]["grpc"] == {"port": ports["operators"], "service": probe}


def test_a_pod_has_time_to_end(release):
    toml = tomllib.loads(release.one("ConfigMap", "tahuka-config")["data"]["tahuka.toml"])["server"]
    for o in release.of("Deployment"):
        spec = o["spec"]["template"]["spec"]
        sleep = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert spec["terminationGracePeriodSeconds"] > sleep + toml["drain_seconds"] + toml["grace_seconds"]


def test_the_configuration_is_toml_with_whole_numbers(release):
    text = release.one("ConfigMap", "tahuka-config")["data"]["tahuka.toml"]
    toml = tomllib.loads(text)
    assert isinstance(toml["database"]["max_connections"], int)
    assert isinstance(toml["server"]["drain_seconds"], int)
    assert toml["database"]["migrate_on_start"] is False
    assert "@" not in text


def test_a_pod_sees_its_own_secrets_and_no_others(release):
    for o in release.of("Deployment"):
        name = o["metadata"]["labels"]["app.kubernetes.io/component"]
        sources = [s for v in o["spec"]["template"]["spec"]["volumes"] for s in v.get("projected", {}).get("sources", [])]
        seen = {(s["secret"]["name"], item["key"]) for s in sources if "secret" in s for item in s["secret"]["items"]}
        assert all(s.get("secret", s.get("configMap"))["items"] for s in sources)
        signs = any(secret == "tahuka-gateway-keys" for secret, _ in seen)
        assert signs == (name in ("gateway", "all"))
        databases = {path["path"] for v in o["spec"]["template"]["spec"]["volumes"] if v["name"] == "database"
                     for s in v["projected"]["sources"] for path in s["secret"]["items"]}
        if name != "all":
            assert databases == (set() if name == "gateway" else {name})
        assert not any("migrator" in secret for secret, _ in seen)


def test_secrets_come_as_files_only(release):
    for o in release.objects:
        for _, spec in pod_specs(o):
            for container in spec["containers"]:
                for variable in container.get("env") or []:
                    assert "secretKeyRef" not in (variable.get("valueFrom") or {}), (o["metadata"]["name"], variable["name"])


def test_volumes_that_are_mounted_are_there(release):
    for o in release.objects:
        for name, spec in pod_specs(o):
            volumes = [v["name"] for v in spec.get("volumes") or []]
            assert len(volumes) == len(set(volumes)), name
            for container in spec["containers"]:
                assert {m["name"] for m in container.get("volumeMounts") or []} <= set(volumes), name


def test_accounts_that_pods_run_under_are_made(release):
    made = {o["metadata"]["name"] for o in release.of("ServiceAccount")}
    for o in release.objects:
        for name, spec in pod_specs(o):
            assert spec["serviceAccountName"] in made, name


@pytest.mark.parametrize("field", ["runAsUser", "runAsGroup", "fsGroup"])
def test_users_are_unset_by_default(microservices, field):
    for o in microservices.objects:
        for name, spec in pod_specs(o):
            assert field not in spec["securityContext"], name
            assert all(field not in c["securityContext"] for c in spec["containers"]), name


def test_the_pod_template_can_be_merged(full):
    assert full.one("Deployment", "tahuka-registry")["spec"]["template"]["spec"]["schedulerName"] == "packed"
    assert "schedulerName" not in full.one("Deployment", "tahuka-tenancy")["spec"]["template"]["spec"]


def test_without_nats_two_processes_never_overlap():
    from conftest import Release

    assert Release("all").one("Deployment", "tahuka-all")["spec"]["strategy"] == {"type": "Recreate"}
    assert Release("all-nats").one("Deployment", "tahuka-all")["spec"]["strategy"]["type"] == "RollingUpdate"


def test_a_digest_goes_over_a_tag():
    from conftest import Release

    images = {c["image"] for o in Release("airgap").objects for _, spec in pod_specs(o) for c in spec["containers"]}
    assert len(images) == 1
    assert images.pop().startswith("mirror.ministry.example:5000/tahuka/tahuka@sha256:")
