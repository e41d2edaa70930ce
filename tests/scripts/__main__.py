"""Write what the installed PyTorch gives to ``expected.json``."""

from __future__ import annotations

import json

from . import EXPECTED, NAMES, run

EXPECTED.write_text(json.dumps({name: run(name, "torch") for name in NAMES}, indent=1) + "\n")
