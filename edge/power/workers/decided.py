"""Reads the governor's last decision about the number of workers."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.core.host import boot_id
from edge.model import ScalingStatus

_decode = msgspec.json.Decoder(ScalingStatus).decode


def decided(path: Path) -> ScalingStatus | None:
    """Return the last decision of this boot, or None if there is none that can be read."""
    try:
        status = _decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return status if status.boot_id == boot_id() else None
