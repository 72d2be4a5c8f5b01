"""Who can speak to whom, worked out from the rendered NetworkPolicies as a cluster would."""

from conftest import Release
from test_objects import matches, pod_labels

PORTS = {"house": 50060, "door": 50051, "operators": 9090, "database": 5432, "nats": 4222, "oidc": 443, "otlp": 4317}


def policies_of(release, labels, direction):
    return [p for p in release.of("NetworkPolicy")
            if direction in p["spec"]["policyTypes"] and matches(p["spec"]["podSelector"].get("matchLabels", {}), labels)]


def peer_matches(peer, labels):
    # Of this release's own pods: a peer of another namespace or an address is none of them.
    return "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"].get("matchLabels", {}), labels)


def allowed(release, labels, direction, other, port):
    side = "to" if direction == "Egress" else "from"
    for policy in policies_of(release, labels, direction):
        for rule in policy["spec"].get(direction.lower()) or []:
            if "ports" in rule and port not in {p["port"] for p in rule["ports"]}:
                continue
            peers = rule.get(side)
            if not peers or any(peer_matches(peer, other) for peer in peers):
                return True
    return False


def components(release):
    return {labels["app.kubernetes.io/component"]: labels for _, labels in pod_labels(release)}


def reach(release, port):
    """Every (from, to) of the release's own pods where both sides allow it."""
    parts = components(release)
    return {(a, b) for a, one in parts.items() for b, other in parts.items() if a != b
            and allowed(release, one, "Egress", other, port) and allowed(release, other, "Ingress", one, port)}


def test_every_pod_is_under_a_default_deny(release):
    everything = [p for p in release.of("NetworkPolicy") if p["metadata"]["name"] == "tahuka-default-deny"]
    assert len(everything) == 1
    spec = everything[0]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in spec and "egress" not in spec
    for kind, labels in pod_labels(release):
        assert matches(spec["podSelector"]["matchLabels"], labels), kind


def test_services_are_reached_by_those_that_ask_them_alone(microservices):
    services = {"tenancy", "registry", "assistance", "projects", "funding", "insight", "handover"}
    assert reach(microservices, PORTS["house"]) == {("gateway", s) for s in services} | {
        ("assistance", "registry"),
        *(("handover", s) for s in ("tenancy", "assistance", "projects", "funding")),
    }


def test_metrics_are_reached_by_the_doctor_and_prometheus_alone(microservices):
    parts = set(components(microservices)) - {"doctor", "migrate"}
    assert reach(microservices, PORTS["operators"]) == {("doctor", p) for p in parts}


def outward(release, component):
    labels = components(release)[component]
    return {p["port"] for policy in policies_of(release, labels, "Egress") for rule in policy["spec"].get("egress") or []
            for p in rule["ports"]} - {53, PORTS["house"], PORTS["operators"], PORTS["door"]}


def test_what_goes_out(microservices):
    assert outward(microservices, "gateway") == {PORTS["oidc"]}
    assert outward(microservices, "registry") == {PORTS["database"], PORTS["nats"]}
    assert outward(microservices, "migrate") == {PORTS["database"]}
    assert outward(microservices, "doctor") == set()
    assert PORTS["otlp"] in outward(Release("full"), "registry")
    assert outward(Release("airgap"), "gateway") == set()
    assert outward(Release("all"), "all") == {PORTS["database"], PORTS["oidc"]}


def test_nobody_enters_the_job(release):
    for kind, labels in pod_labels(release):
        if kind in ("Job", "CronJob", "Pod"):
            assert not any(p["spec"].get("ingress") for p in policies_of(release, labels, "Ingress"))
