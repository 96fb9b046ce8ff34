"""How long ago this process was started: what a person who typed the command has waited."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil


def measure_age() -> float:
    """Return the seconds since this process was started, to a hundredth where the system tells."""
    try:
        # psutil counts from the boot time, which Linux tells in whole seconds; the 22nd field counts from boot itself.
        fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return time.time() - psutil.Process().create_time()
