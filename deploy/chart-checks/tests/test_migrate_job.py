"""The Job cannot be changed, so what it is made of is in its name."""

import render
from places import CHART


def job(values):
    jobs = [o for o in render.render(CHART, values).objects if o["kind"] == "Job"]
    assert len(jobs) == 1
    return jobs[0]


def test_the_same_again_is_the_same_job():
    assert job({}) == job({})


def test_another_image_is_another_job():
    names = {job(v)["metadata"]["name"] for v in ({}, {"image": {"tag": "0.2.0"}}, {"image": {"digest": "sha256:" + "0" * 64}})}
    assert len(names) == 3


def test_another_database_configuration_is_another_job():
    names = {job(v)["metadata"]["name"] for v in ({}, {"database": {"loginRole": "other_{service}"}}, {"database": {"migrator": {"key": "dsn"}}})}
    assert len(names) == 3


def test_what_is_of_other_pods_only_is_the_same_job():
    assert job({})["metadata"]["name"] == job({"log": {"level": "debug"}, "targets": {"registry": {"replicas": 5}}})["metadata"]["name"]


def test_it_is_no_hook_and_stays():
    made = job({})
    assert not any(a.startswith("helm.sh/hook") for a in made["metadata"].get("annotations", {}))
    assert "ttlSecondsAfterFinished" not in made["spec"]
