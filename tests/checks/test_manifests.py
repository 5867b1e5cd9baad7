"""Tests of tools/checks/manifests.py: what it lets pass, and what it finds."""

from copy import deepcopy
from typing import Any

import pytest
import yaml

from tools.checks.manifests import OVERLAYS, RENDERED, find_problems, settings_problems


def rendered() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((OVERLAYS[0] / RENDERED).read_text()))


def the(kind: str, name: str, manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name)


def test_the_committed_manifests_have_no_problem():
    assert list(find_problems(rendered())) == []


def _misspelled_probe(deployment: dict[str, Any]) -> None:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["readynessProbe"] = container.pop("readinessProbe")


def _as_root(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] = False


def _writable(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False


def _unlimited(deployment: dict[str, Any]) -> None:
    del deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


def _latest(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "evenkeel/policy:latest"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_misspelled_probe, "readynessProbe"),
        (_as_root, "non-root"),
        (_writable, "read-only"),
        (_unlimited, "memory limit"),
        (_latest, "tag that stays"),
    ],
)
def test_each_spoiled_deployment_is_found(spoil, says):
    manifests = deepcopy(rendered())
    spoil(the("Deployment", "policy-service", manifests))

    assert any(says in problem for problem in find_problems(manifests))


def test_a_service_whose_pods_no_network_policy_selects_is_found():
    manifests = [each for each in rendered() if each["metadata"]["name"] != "audit-edges"]

    assert list(find_problems(manifests)) == ["no NetworkPolicy selects the pods of audit"]


@pytest.mark.parametrize(
    ("kind", "spoil", "says"),
    [
        (
            "Service",
            lambda spec: spec["selector"].pop("app.kubernetes.io/component"),
            "Service/audit-service selects pods of a job, which serve nobody",
        ),
        (
            "Service",
            lambda spec: spec["selector"].update({"app.kubernetes.io/component": "none"}),
            "Service/audit-service selects no pod that serves",
        ),
        (
            "PodDisruptionBudget",
            lambda spec: spec["selector"]["matchLabels"].pop("app.kubernetes.io/component"),
            "PodDisruptionBudget/audit-service selects pods of a job, which serve nobody",
        ),
        (
            "PodDisruptionBudget",
            lambda spec: spec.pop("selector"),
            "PodDisruptionBudget/audit-service selects no pod that serves",
        ),
        (
            "Deployment",
            lambda spec: spec["template"]["spec"]["topologySpreadConstraints"][0].pop("labelSelector"),
            "a topologySpreadConstraint counts none of the pods that it is for",
        ),
    ],
)
def test_a_selector_that_selects_others_than_the_pods_that_serve_is_found(kind, spoil, says):
    manifests = deepcopy(rendered())
    spoil(the(kind, "audit-service", manifests)["spec"])

    assert list(find_problems(manifests)) == [says]


def test_the_committed_settings_are_those_that_the_services_know_and_need():
    assert list(settings_problems(rendered())) == []


def test_a_misspelled_setting_and_a_missing_one_are_found():
    manifests = deepcopy(rendered())
    settings = next(each for each in manifests if each["metadata"]["name"].startswith("policy-settings"))["data"]
    settings["EVENKEEL_POLICY_TOKEN_ISUER"] = settings.pop("EVENKEEL_POLICY_TOKEN_ISSUER")

    assert list(settings_problems(manifests)) == [
        "EVENKEEL_POLICY_TOKEN_ISUER is not a setting of the policy service",
        "EVENKEEL_POLICY_TOKEN_ISSUER is not set",
    ]
