"""The rule itself finds what it is there to find."""

import copy

import pytest
from conftest import Release
from restricted import faults


def good():
    return copy.deepcopy(Release("microservices").one("Deployment", "tahuka-registry")["spec"]["template"]["spec"])


def broken(path, value):
    pod = good()
    at = pod
    for key in path[:-1]:
        at = at[key]
    if value is None:
        at.pop(path[-1])
    else:
        at[path[-1]] = value
    return pod


def test_ours_has_no_fault():
    assert faults(good()) == []


CONTAINER = ("containers", 0)
OWN = (*CONTAINER, "securityContext")


@pytest.mark.parametrize("path, value", [
    (("hostNetwork",), True),
    (("securityContext", "runAsUser"), 0),
    (("volumes",), [{"name": "h", "hostPath": {"path": "/"}}]),
    (("automountServiceAccountToken",), True),
    (("enableServiceLinks",), None),
    ((*OWN, "allowPrivilegeEscalation"), True),
    ((*OWN, "privileged"), True),
    ((*OWN, "capabilities"), {"drop": ["NET_RAW"]}),
    ((*OWN, "capabilities"), {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    ((*OWN, "readOnlyRootFilesystem"), None),
    ((*OWN, "seccompProfile"), {"type": "Unconfined"}),
    ((*OWN, "runAsNonRoot"), False),
    ((*CONTAINER, "resources"), {}),
    ((*CONTAINER, "env"), [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
    ((*CONTAINER, "ports"), [{"containerPort": 1, "hostPort": 1}]),
])
def test_each_fault_is_found(path, value):
    assert faults(broken(path, value))
