"""Installs a seeded bug (bugs.py) and the probe (probe.py); Python runs this at the start of each board process."""

import os
import sys
from pathlib import Path

if os.environ.get("POWERCUT_BUG") or os.environ.get("POWERCUT_GROUPS"):
    sys.path.insert(0, str(Path(__file__).parents[3]))
    if os.environ.get("POWERCUT_BUG"):
        from tests.powercut import bugs

        bugs.install(os.environ["POWERCUT_BUG"])
    from tests.powercut import probe

    probe.install()
