"""Free TCP ports that stay free while a server is away: those that ``iothub up`` takes."""

from __future__ import annotations

from iothub.servers.ports import free_port, is_open

__all__ = ["free_port", "is_open"]
