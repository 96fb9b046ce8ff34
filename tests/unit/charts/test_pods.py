"""What holds for every pod of the charts, whatever the values."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from unit.charts.render import PARTS, Object, Pod, Rendered, render
from unit.charts.variants import VARIANTS

# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
EXACT_TAG = re.compile(
    r"[^\s:@]+(:[0-9]+/[^\s:@]+)?:(v?[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.-]*|dev)|[^\s@]+@sha256:[0-9a-f]{64}"
)


@pytest.fixture(params=[*VARIANTS, *(f"{part} alone" for part in PARTS)])
def rendered(request: pytest.FixtureRequest) -> Rendered:
    """Every variant of the hub, and every part on its own."""
    name: str = request.param
    return render(part=name.removesuffix(" alone")) if name.endswith(" alone") else render(*VARIANTS[name])


def find_breaches(spec: Object) -> Iterator[str]:
    """Yield what the restricted pod security standard has against a pod."""
    pod = spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    for volume in spec.get("volumes", []):
        yield from (f"volume {kind}" for kind in set(volume) - {"name"} - ALLOWED_VOLUMES)
    if pod.get("sysctls"):
        yield "sysctls"
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        merged = {**pod, **own}
        if own.get("privileged"):
            yield "privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield "capabilities"
        if merged.get("runAsNonRoot") is not True:
            yield "runAsNonRoot"
        if merged.get("runAsUser") == 0:
            yield "runAsUser 0"
        if merged.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            yield "seccompProfile"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "hostPort"


def check(rendered: Rendered, rule: str, holds: object) -> None:
    """Fail with the pods that break the rule; ``holds`` is given each pod."""
    assert callable(holds)
    pods = list(rendered.pods())
    assert pods
    broken = [pod.owner for pod in pods if not holds(pod)]
    assert not broken, f"{rule}: not so in {broken}"


def test_pods_meet_the_restricted_standard(rendered: Rendered) -> None:
    breaches = {pod.owner: found for pod in rendered.pods() if (found := list(find_breaches(pod.spec)))}
    assert breaches == {}


def test_the_standard_is_not_met_by_anything() -> None:
    careless = {"hostNetwork": True, "volumes": [{"name": "a", "hostPath": {}}], "containers": [{"name": "b"}]}
    assert set(find_breaches(careless)) == {
        "hostNetwork", "volume hostPath", "allowPrivilegeEscalation", "capabilities", "runAsNonRoot", "seccompProfile",
    }  # fmt: skip


def test_users_are_numbers(rendered: Rendered) -> None:
    def holds(pod: Pod) -> bool:
        context = pod.spec["securityContext"]
        return all(isinstance(context.get(key), int) and context[key] > 0 for key in ("runAsUser", "runAsGroup"))

    check(rendered, "runAsUser and runAsGroup are numbers other than root's", holds)


def test_root_file_systems_are_read_only(rendered: Rendered) -> None:
    def holds(pod: Pod) -> bool:
        return all(container["securityContext"]["readOnlyRootFilesystem"] is True for container in pod.containers)

    check(rendered, "readOnlyRootFilesystem", holds)


def test_services_put_nothing_into_the_environment(rendered: Rendered) -> None:
    check(rendered, "enableServiceLinks: false", lambda pod: pod.spec["enableServiceLinks"] is False)


def test_only_the_operator_has_a_service_account_token(rendered: Rendered) -> None:
    def holds(pod: Pod) -> bool:
        is_operator = pod.labels["app.kubernetes.io/name"] == "operator"
        return pod.spec["automountServiceAccountToken"] is is_operator

    check(rendered, "automountServiceAccountToken for the operator only", holds)


def test_containers_ask_for_cpu_and_memory(rendered: Rendered) -> None:
    def holds(pod: Pod) -> bool:
        return all({"cpu", "memory"} <= set(container["resources"]["requests"]) for container in pod.containers)

    check(rendered, "resource requests", holds)


def test_images_are_exact(rendered: Rendered) -> None:
    def holds(pod: Pod) -> bool:
        return all(EXACT_TAG.fullmatch(container["image"]) for container in pod.containers)

    check(rendered, "an image with an exact tag or a digest", holds)


def test_pods_carry_the_standard_labels(rendered: Rendered) -> None:
    wanted = {f"app.kubernetes.io/{label}" for label in ("name", "instance", "component", "part-of")}
    check(rendered, f"labels {wanted}", lambda pod: wanted <= set(pod.labels))


def test_objects_carry_the_standard_labels(rendered: Rendered) -> None:
    wanted = {"name", "instance", "component", "part-of", "managed-by", "version"}
    lacking = [
        f"{item['kind']}/{item['metadata']['name']}"
        for item in rendered.objects
        if not {f"app.kubernetes.io/{label}" for label in wanted} <= set(item["metadata"].get("labels", {}))
    ]
    assert lacking == []


def test_selectors_find_their_own_pods_and_no_others(rendered: Rendered) -> None:
    pods = list(rendered.pods())
    for workload in (*rendered.all("Deployment"), *rendered.all("StatefulSet")):
        wanted = workload["spec"]["selector"]["matchLabels"].items()
        found = [pod.owner for pod in pods if wanted <= pod.labels.items()]
        assert found == [f"{workload['kind']}/{workload['metadata']['name']}"]
    for service in rendered.all("Service"):
        wanted = service["spec"]["selector"].items()
        behind = [pod for pod in pods if wanted <= pod.labels.items()]
        assert len(behind) == 1, service["metadata"]["name"]
        ports = {port["name"] for container in behind[0].containers for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_everything_named_is_in_the_release_namespace(rendered: Rendered) -> None:
    cluster_wide = {"ClusterRole", "ClusterRoleBinding"}
    elsewhere = {
        (item["kind"], item["metadata"].get("namespace"))
        for item in rendered.objects
        if item["kind"] not in cluster_wide and item["metadata"].get("namespace") != "plant"
    }
    assert elsewhere <= {(kind, name) for kind in ("Role", "RoleBinding") for name in ("one", "two")}


def test_names_fit_with_the_longest_release_name() -> None:
    rendered = render("kafka.replicas=3", release="r" * 37)
    # A StatefulSet's name with a hash of ten characters is a label's value; a Job's and a Service's is one by itself.
    assert max(len(item["metadata"]["name"]) for item in rendered.all("StatefulSet")) + 11 <= 63
    assert max(len(item["metadata"]["name"]) for kind in ("Job", "Service") for item in rendered.all(kind)) <= 63


def test_the_hub_fits_on_a_small_machine() -> None:
    # Given what runs all the time, and the validator, which the operator makes with the CRD's default of 50m
    def millis(quantity: str) -> int:
        return int(quantity.removesuffix("m")) if quantity.endswith("m") else int(quantity) * 1000

    running = [pod for pod in render().pods() if pod.owner.startswith(("Deployment", "StatefulSet"))]
    total = sum(
        millis(container["resources"]["requests"]["cpu"]) for pod in running for container in pod.spec["containers"]
    )
    assert total + 50 < 1200
