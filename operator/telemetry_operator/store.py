"""What the cluster was last seen to hold, fed by the watches and, once in a while, by whole lists.

A watch can fall silent without an error, and what vanished while it was away is never told. The lists mend both: they
bring what the watch missed, and they show which objects are gone. They also tell on the watch: an object in a list that
the watch has still not shown after a while means that the watch stands still, which `liveness` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from telemetry_operator.facts import ConsumerFact, DeploymentFact, Fact, Owned, PodFact, ScaledObjectFact
from telemetry_operator.naming import Key

FactT = TypeVar("FactT", bound=Fact)
Place = tuple[str, str]


class Shelf(Generic[FactT]):
    """The facts of one kind of object, by namespace and name; the newest resource version wins."""

    def __init__(self) -> None:
        self._facts: dict[Place, FactT] = {}
        self._unseen: dict[Place, tuple[int, float]] = {}
        """Resource versions that a list showed and the watch has not shown yet, and since when."""

    def __len__(self) -> int:
        return len(self._facts)

    def __iter__(self) -> Iterator[FactT]:
        return iter(list(self._facts.values()))

    def get(self, namespace: str, name: str) -> FactT | None:
        """Return the fact of that place, None where nothing is known to be there."""
        return self._facts.get((namespace, name))

    def keep(self, fact: FactT) -> bool:
        """Keep ``fact`` unless a newer one is there. Return whether that changes anything but the resource version."""
        place = (fact.namespace, fact.name)
        known = self._facts.get(place)
        if known is not None and known.version > fact.version:
            return False
        self._facts[place] = fact
        return known != fact

    def see(self, fact: FactT) -> bool:
        """Keep ``fact``, which the watch has shown. Return whether it changes anything."""
        self._catch_up(fact)
        return self.keep(fact)

    def see_gone(self, fact: FactT) -> bool:
        """Forget the object that the watch has shown to be gone. Return whether it was known."""
        self._catch_up(fact)
        place = (fact.namespace, fact.name)
        known = self._facts.get(place)
        if known is None or (known.uid != fact.uid and known.version > fact.version):
            return False
        del self._facts[place]
        return True

    def learn(self, facts: Iterable[FactT], version: int, namespace: str | None, now: float) -> list[FactT]:
        """Take over a whole list of ``namespace`` (None: of the cluster) that the server gave at ``version``.

        ``now`` is a monotonic time in seconds. Returns the facts that changed, and those of objects that are gone.
        """
        listed = {(fact.namespace, fact.name): fact for fact in facts}
        changed: list[FactT] = []
        for place, fact in listed.items():
            known = self._facts.get(place)
            if known is None or known.version < fact.version:
                self._unseen.setdefault(place, (fact.version, now))
            if self.keep(fact):
                changed.append(fact)
        for place, fact in list(self._facts.items()):
            in_scope = namespace is None or fact.namespace == namespace
            # What came after the list was drawn up is not in it, and is no less there.
            if in_scope and place not in listed and fact.version <= version:
                del self._facts[place]
                self._unseen.pop(place, None)
                changed.append(fact)
        return changed

    def oldest_unseen(self) -> float | None:
        """Return the monotonic time since when the watch owes an object, None where it owes none."""
        return min((since for _, since in self._unseen.values()), default=None)

    def _catch_up(self, fact: FactT) -> None:
        owed = self._unseen.get((fact.namespace, fact.name))
        if owed is not None and fact.version >= owed[0]:
            del self._unseen[(fact.namespace, fact.name)]


class Store:
    """Everything that a reconcile looks at: TelemetryConsumers, their Deployments, their pods."""

    def __init__(self) -> None:
        self.consumers: Shelf[ConsumerFact] = Shelf()
        self.deployments: Shelf[DeploymentFact] = Shelf()
        self.pods: Shelf[PodFact] = Shelf()
        self.scaled_objects: Shelf[ScaledObjectFact] = Shelf()
        self.trigger_authentications: Shelf[Owned] = Shelf()

    def shelves(self) -> dict[str, Shelf[ConsumerFact] | Shelf[DeploymentFact] | Shelf[PodFact]]:
        """Return the shelves that a watch feeds, by the name of what is on them."""
        return {"telemetryconsumers": self.consumers, "deployments": self.deployments, "pods": self.pods}

    def consumer_keys(self) -> list[Key]:
        """Return the TelemetryConsumers that there are."""
        return [fact.key for fact in self.consumers]

    def pods_of(self, key: Key) -> list[PodFact]:
        """Return the pods of a TelemetryConsumer, by name."""
        pods = (pod for pod in self.pods if pod.namespace == key.namespace and pod.consumer == key.name)
        return sorted(pods, key=lambda pod: pod.name)
