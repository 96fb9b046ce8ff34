"""The operator's account with exactly the rights that the chart gives it, in any namespace."""

from __future__ import annotations

from typing import Any

from contract.kubectl import Kubectl
from unit.charts.render import NAMESPACE, Rendered, render

__all__ = ["ACCOUNT", "grant", "list_rights"]

_RELEASE = "tests"
ACCOUNT = f"{_RELEASE}-operator"


def grant(kubectl: Kubectl, *, account_in: str | None = None) -> None:
    """Make the chart's account and Role in the namespace; ``account_in`` has the account where it is another one."""
    rendered = _render()
    kinds = ("Role", "RoleBinding") if account_in is not None else ("ServiceAccount", "Role", "RoleBinding")
    objects = [_move(dict(item), kubectl.namespace, account_in) for kind in kinds for item in rendered.all(kind)]
    kubectl.apply({"apiVersion": "v1", "kind": "List", "items": objects})


def _move(item: dict[str, Any], namespace: str, account_in: str | None) -> dict[str, Any]:
    moved = item | {"metadata": item["metadata"] | {"namespace": namespace}}
    if "subjects" in item:
        moved["subjects"] = [subject | {"namespace": account_in or namespace} for subject in item["subjects"]]
    return moved


def list_rights() -> set[tuple[str, str, str]]:
    """Return every verb that the chart gives, with its group and resource."""
    (role,) = _render().all("Role")
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _render() -> Rendered:
    return render(f"watchNamespaces={{{NAMESPACE}}}", part="operator", release=_RELEASE)
