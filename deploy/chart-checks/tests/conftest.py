"""What the tests look at: the objects that `check.py rendering` has written for the newest Kubernetes."""

import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from places import CHART, KUBERNETES, RENDERED  # noqa: E402
from render import documents  # noqa: E402

NAMES = sorted(p.name.removesuffix("-values.yaml") for p in (CHART / "ci").glob("*-values.yaml"))


@functools.cache
class Release:
    """Read once; nobody changes it."""

    def __init__(self, name, kube=KUBERNETES[-1]):
        file = RENDERED / f"{name}-{kube}.yaml"
        assert file.exists(), f"{file} is missing: run deploy/chart-checks/check rendering"
        self.name = name
        self.objects = documents(file.read_text())

    def of(self, kind):
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind, name):
        found = [o for o in self.of(kind) if o["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind}/{name}: {len(found)} of it"
        return found[0]


@pytest.fixture(params=NAMES)
def release(request):
    return Release(request.param)


@pytest.fixture
def microservices():
    return Release("microservices")


@pytest.fixture
def full():
    return Release("full")
