"""Write what the installed PyTorch answers to ``expected.json``."""

from __future__ import annotations

import json

import torch  # type: ignore[import-not-found]

from . import EXPECTED, MODULES, programs, run

lines = [
    f"{json.dumps(name)}: {json.dumps(run(name, torch))}" for name in sorted(programs(*MODULES))
]
EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
print(f"{len(lines)} outcomes written to {EXPECTED.name}")
