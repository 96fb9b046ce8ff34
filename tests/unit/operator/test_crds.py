"""Applying the CRDs: done once the API server serves them."""

from __future__ import annotations

from typing import Any

from telemetry_operator.crds import apply_crds

CRD: dict[str, Any] = {"kind": "CustomResourceDefinition", "metadata": {"name": "telemetryconsumers.example"}}


class SlowServer:
    """Answers as the API server does in the moments after a CRD was made: its list of conditions is null at first."""

    def __init__(self) -> None:
        established = {"type": "Established", "status": "True"}
        self.answers: list[Any] = [
            None,
            {},
            {"status": {"conditions": None}},
            {"status": {"conditions": [established]}},
        ]

    async def apply(self, *_: Any, **__: Any) -> dict[str, Any]:
        return CRD

    async def read(self, *_: Any) -> dict[str, Any] | None:
        answer: dict[str, Any] | None = self.answers.pop(0)
        return answer


async def test_a_crd_is_waited_for_until_it_is_served() -> None:
    server = SlowServer()
    await apply_crds(server, [CRD])  # type: ignore[arg-type]
    assert server.answers == []
