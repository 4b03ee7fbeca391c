"""Read by Python at the start of each process of a board that is to have a seeded bug (tests/powercut/bugs.py)."""

import os
import sys
from pathlib import Path

if os.environ.get("POWERCUT_BUG"):
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from tests.powercut import bugs

    bugs.install(os.environ["POWERCUT_BUG"])
