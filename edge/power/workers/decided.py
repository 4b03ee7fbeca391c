"""What the governor decided about the workers, for those who read its file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.core.host import boot_id
from edge.model import ScalingStatus

_decode = msgspec.json.Decoder(ScalingStatus).decode


def decided(path: Path) -> ScalingStatus | None:
    """The last decision of this boot; None where there is none, or it cannot be read."""
    try:
        status = _decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return status if status.boot_id == boot_id() else None
