"""The chart knows what the binary knows: its targets, who asks whom, its version."""

import re
import tomllib

import render
import yaml
from places import CHART, ROOT


def known():
    return yaml.safe_load((CHART / "files" / "targets.yaml").read_text())


def services_of_the_binary():
    source = (ROOT / "services" / "tahuka" / "src" / "house.rs").read_text()
    return set(re.findall(r"tahuka_(\w+)::service\(\)", source))


def asks_of_the_binary():
    source = (ROOT / "services" / "chassis" / "src" / "passport.rs").read_text()
    table = re.search(r"const ASKS[^=]*= &\[(.*?)\];", source, re.S)
    assert table, "ASKS is not where it was"
    return {by: set(re.findall(r'"(\w+)"', asked)) for by, asked in re.findall(r'\("(\w+)", &\[([^\]]*)\]\)', table[1])}


def test_targets_are_the_binarys():
    services = services_of_the_binary()
    assert len(services) >= 6
    assert set(known()) == services | {"gateway"}
    assert {name for name, target in known().items() if target["database"]} == services


def test_values_have_a_place_for_each_target():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values["targets"]) == set(known()) | {"all"}


def test_who_asks_whom_is_the_binarys():
    told, asks = known(), asks_of_the_binary()
    assert asks
    for name, target in told.items():
        expected = services_of_the_binary() if name == "gateway" else asks.get(name, set())
        assert set(target["asks"]) == expected, name


def test_version_is_the_binarys():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    assert chart["appVersion"] == cargo["workspace"]["package"]["version"]
    assert f":{chart['appVersion']}" in chart["annotations"]["artifacthub.io/images"]


def test_configuration_has_no_key_that_the_binary_does_not_know(full):
    """Every key that the chart writes stands in a struct of the configuration, by name."""
    source = (ROOT / "services" / "chassis" / "src" / "config.rs").read_text()
    fields = set(re.findall(r"pub (\w+):", source)) | {"peers"}

    def keys(table, at=()):
        for key, value in table.items():
            if at[:1] != ("peers",):
                yield key
            if isinstance(value, dict):
                yield from keys(value, (*at, key))

    toml = tomllib.loads(full.one("ConfigMap", "tahuka-config")["data"]["tahuka.toml"])
    unknown = set(keys(toml)) - fields
    assert not unknown


def test_an_older_kubernetes_is_refused():
    try:
        render.render(CHART, {}, kube="1.30")
    except render.Refused as why:
        assert "kubeVersion" in str(why)
    else:
        raise AssertionError("it rendered")
