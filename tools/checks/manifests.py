"""Are the Kubernetes manifests what we mean? Checked without a cluster.

The rendered form of each overlay is committed beside it, so that a change of manifests shows in review as what the
cluster will see, and so that the checks run where there is no kubectl. Where there is one, what it renders must equal
what is committed.

    python -m tools.checks.manifests            check
    python -m tools.checks.manifests --write    render again, then check
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = (ROOT / "deploy" / "k8s" / "production",)
RENDERED = "rendered.yaml"
SERVICES = ("policy", "decision", "execution", "audit")

# The version whose schemas decide, and the oldest kubectl that renders our kustomizations.
KUBERNETES = "1.34"
KUBECTL_MINOR_MIN = 27

Manifest: TypeAlias = Mapping[str, Any]


def main() -> None:
    """Check every overlay, and end with code 1 if something is wrong."""
    parser = argparse.ArgumentParser(description="Render and check the Kubernetes manifests.")
    parser.add_argument("--write", action="store_true", help="write the rendered manifests")
    arguments = parser.parse_args()
    problems: list[str] = []
    for overlay in OVERLAYS:
        problems += render(overlay, write=arguments.write)
        manifests = list(yaml.safe_load_all((overlay / RENDERED).read_text()))
        problems += [f"{overlay.name}: {problem}" for problem in find_problems(manifests)]
        problems += [f"{overlay.name}: {problem}" for problem in settings_problems(manifests)]
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    sys.exit(1 if problems else 0)


def render(overlay: Path, *, write: bool) -> list[str]:
    """Compare what kubectl renders of `overlay` with what is committed, or write it; does nothing without kubectl."""
    kubectl = usable_kubectl()
    if kubectl is None:
        return [f"{overlay}: writing needs kubectl 1.{KUBECTL_MINOR_MIN} or newer"] if write else []
    done = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"{overlay}: {done.stderr.strip()}"]
    committed = overlay / RENDERED
    if write:
        committed.write_text(done.stdout)
    if not committed.exists() or committed.read_text() != done.stdout:
        return [f"{committed} is not what kubectl renders: python -m tools.checks.manifests --write"]
    return []


def usable_kubectl() -> str | None:
    """Return the path of a kubectl that can render our kustomizations, or None."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return None
    said = subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v1\.(\d+)", said)
    return kubectl if version and int(version[1]) >= KUBECTL_MINOR_MIN else None


def find_problems(manifests: list[Manifest]) -> Iterator[str]:
    """Yield what is wrong with rendered `manifests`."""
    for manifest in manifests:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        try:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {error.message}"
        if manifest["kind"] in ("Deployment", "Job"):
            pod = manifest["spec"]["template"]["spec"]
            for problem in _pod_problems(pod, serves=manifest["kind"] == "Deployment"):
                yield f"{name}: {problem}"
    yield from _edge_problems(manifests)
    yield from _selector_problems(manifests)


def settings_problems(manifests: list[Manifest]) -> Iterator[str]:
    """Yield settings in the manifests that a service does not know, and those it needs that are not there."""
    for service in SERVICES:
        prefix = f"EVENKEEL_{service.upper()}_"
        config = import_module(f"services.{service}.config")
        fields = getattr(config, f"{service.capitalize()}Settings").model_fields
        known = {prefix + name.upper() for name in fields}
        needed = {prefix + name.upper() for name, field in fields.items() if field.is_required()}
        given: set[str] = set()
        for manifest in manifests:
            if manifest["kind"] == "ConfigMap" and manifest["metadata"]["name"].startswith(f"{service}-settings"):
                given |= set(manifest["data"])
        for name in sorted(given - known):
            yield f"{name} is not a setting of the {service} service"
        # A database's address has a password in it and comes from a Secret.
        for name in sorted(needed - given - {f"{prefix}DATABASE_URL", f"{prefix}KEEPER_DATABASE_URL"}):
            yield f"{name} is not set"


def _pod_problems(pod: Manifest, *, serves: bool) -> Iterator[str]:
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield "the pod must run as non-root"
    if pod.get("automountServiceAccountToken", True):
        yield "the pod must not mount a token for Kubernetes' own interface"
    for container in pod["containers"]:
        context = container.get("securityContext", {})
        if not context.get("readOnlyRootFilesystem"):
            yield "the root file system must be read-only"
        if context.get("allowPrivilegeEscalation", True) or context.get("capabilities", {}).get("drop") != ["ALL"]:
            yield "the container must drop all capabilities and not escalate"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield "the container needs a memory limit"
        if ":" not in container["image"] or container["image"].endswith(":latest"):
            yield f"the image needs a tag that stays: {container['image']}"
        if serves:
            yield from _probe_problems(container)


def _probe_problems(container: Manifest) -> Iterator[str]:
    for probe in ("startupProbe", "readinessProbe"):
        if "grpc" not in container.get(probe, {}):
            yield f"{probe} must ask the gRPC health service"
    if "livenessProbe" not in container:
        yield "livenessProbe is missing"


def _edge_problems(manifests: list[Manifest]) -> Iterator[str]:
    policies = {
        manifest["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for manifest in manifests
        if manifest["kind"] == "NetworkPolicy"
    }
    for service in SERVICES:
        if service not in policies:
            yield f"no NetworkPolicy selects the pods of {service}"


def _selector_problems(manifests: list[Manifest]) -> Iterator[str]:
    jobs = [each["spec"]["template"]["metadata"]["labels"] for each in manifests if each["kind"] == "Job"]
    pods = [each["spec"]["template"] for each in manifests if each["kind"] == "Deployment"]
    for manifest in manifests:
        name, spec = f"{manifest['kind']}/{manifest['metadata']['name']}", manifest.get("spec", {})
        match manifest["kind"]:
            case "Service":
                selector = spec.get("selector", {})
            case "PodDisruptionBudget":
                selector = spec.get("selector", {}).get("matchLabels", {})
            case _:
                continue
        if any(_selects(selector, labels) for labels in jobs):
            yield f"{name} selects pods of a job, which serve nobody"
        if not any(_selects(selector, pod["metadata"]["labels"]) for pod in pods):
            yield f"{name} selects no pod that serves"
    for pod in pods:
        for spread in pod["spec"].get("topologySpreadConstraints", ()):
            if not _selects(spread.get("labelSelector", {}).get("matchLabels", {}), pod["metadata"]["labels"]):
                yield "a topologySpreadConstraint counts none of the pods that it is for"


def _selects(selector: Manifest, labels: Manifest) -> bool:
    """Return whether a selector that names something selects a pod with `labels`."""
    return bool(selector) and selector.items() <= labels.items()


if __name__ == "__main__":
    main()
