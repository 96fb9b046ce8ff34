"""What to type for a program that is missing, on the system at hand."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """How to get a program: the packages of Debian and Homebrew that have it, and where it is told for every system."""

    link: str
    apt: str | None = None
    brew: str | None = None

    @property
    def advice(self) -> str:
        """What to type here."""
        if self.apt and shutil.which("apt-get"):
            # A container's root has no sudo, and needs none.
            return f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install {self.apt}"
        if self.brew and shutil.which("brew"):
            return f"brew install {self.brew}"
        return f"see {self.link}"


JAVA = Remedy("https://adoptium.net/installation/", "openjdk-17-jre-headless", "openjdk@21")
MAVEN = Remedy("https://maven.apache.org/install.html", "maven", "maven")
MOSQUITTO = Remedy("https://mosquitto.org/download/", "mosquitto", "mosquitto")
DOCKER = Remedy("https://docs.docker.com/engine/install/", "docker.io", "--cask docker")
COMPOSE = Remedy("https://docs.docker.com/compose/install/", "docker-compose", "docker-compose")
KIND = Remedy("https://kind.sigs.k8s.io/docs/user/quick-start/#installation", brew="kind")
KUBECTL = Remedy("https://kubernetes.io/docs/tasks/tools/", brew="kubectl")
HELM = Remedy("https://helm.sh/docs/intro/install/", brew="helm")
