"""Reads the governor's last decision about the number of workers."""

from __future__ import annotations

from pathlib import Path

from edge.core import stored
from edge.core.host import boot_id
from edge.model import ScalingStatus


def decided(path: Path) -> ScalingStatus | None:
    """Return the last decision of this boot, or None if there is none that can be read."""
    try:
        status = stored.read(path, ScalingStatus)
    except (OSError, stored.BadContent):
        return None
    return status if status.boot_id == boot_id() else None
