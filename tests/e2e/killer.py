"""SIGKILL for a pod's processes, as the kernel's memory killer or a power cut would send it.

Neither `kubectl delete --grace-period=0 --force` (the kubelet still sends SIGTERM first) nor `kill -9 1` from within
the container (the kernel shields a namespace's first process) does that. So a privileged pod on the same node, in a
namespace of its own, looks for the processes and kills them from outside; the kubelet then starts the containers anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2e.kube import Kube

__all__ = ["Killer"]

# A container's processes are those whose /etc/hosts is the pod's: its folder carries the pod's uid, whatever the
# runtime and the cgroup driver. The pause process has no such mount, so the pod keeps its address, as after a crash.
SCRIPT = """
import os, signal, sys
uid, killed = sys.argv[1], []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/mountinfo") as mounts:
            ours = any(line.split()[4] == "/etc/hosts" and f"/{uid}/" in line.split()[3] for line in mounts)
        if ours:
            os.kill(int(pid), signal.SIGKILL)
            killed.append(pid)
    except (OSError, IndexError):
        pass
print(len(killed))
"""


@dataclass
class Killer:
    """Kills pods' processes; makes one privileged pod for each node where that is asked for."""

    kube: Kube
    """The namespace for the privileged pods."""
    image: str
    _pods: dict[str, str] = field(default_factory=dict)

    def kill(self, kube: Kube, pod: str) -> None:
        """SIGKILL every process of a pod."""
        found = kube.get("pod", pod)
        helper = self._helper(found["spec"]["nodeName"])
        said = self.kube.exec(helper, "python", "-c", SCRIPT, found["metadata"]["uid"])
        assert int(said) > 0, f"no process of pod {pod} was found on node {found['spec']['nodeName']}"

    def prepare(self, kube: Kube, pod: str) -> None:
        """Have the helper ready on the pod's node, so that `kill` strikes at once."""
        self._helper(kube.get("pod", pod)["spec"]["nodeName"])

    def close(self) -> None:
        """Remove the namespace with the privileged pods."""
        self.kube.run("delete", "namespace", self.kube.namespace, "--ignore-not-found", "--wait=false")

    def _helper(self, node: str) -> str:
        if node not in self._pods:
            if not self._pods:
                self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.kube.namespace}})
                labels = [f"pod-security.kubernetes.io/{mode}=privileged" for mode in ("enforce", "warn")]
                self.kube.run("label", "namespace", self.kube.namespace, "--overwrite", *labels)
            name = f"killer-{len(self._pods)}"
            self.kube.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": name},
                    "spec": {
                        "nodeName": node,
                        "hostPID": True,
                        "automountServiceAccountToken": False,
                        "terminationGracePeriodSeconds": 0,
                        "tolerations": [{"operator": "Exists"}],
                        "containers": [
                            {
                                "name": "killer",
                                "image": self.image,
                                "imagePullPolicy": "IfNotPresent",
                                "command": ["sleep", "infinity"],
                                "securityContext": {"privileged": True, "runAsUser": 0},
                            }
                        ],
                    },
                }
            )
            self.kube.wait("condition=Ready", f"pod/{name}")
            self._pods[node] = name
        return self._pods[node]
