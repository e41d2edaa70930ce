"""Training scripts written for PyTorch, which run here with nothing but their imports changed.

Each has a `main` that returns what it has learned. What PyTorch gives is kept in ``expected.json``;
``python -m tests.scripts`` writes it anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = ("mlp", "convnet", "language_model")
EXPECTED = HERE / "expected.json"


def run(name: str, library: str) -> Any:
    """The outcome of a script whose imports name another library in place of torch."""
    path = HERE / f"{name}.py"
    source = path.read_text()
    source = re.sub(r"^import torch$", f"import {library} as torch", source, flags=re.M)
    source = re.sub(r"^(import|from) torch\b", rf"\1 {library}", source, flags=re.M)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(source, str(path), "exec"), namespace)
    return namespace["main"]()


def expected() -> dict[str, Any]:
    """What PyTorch gives, by script."""
    return json.loads(EXPECTED.read_text())


def assert_same(a: Any, b: Any, where: str = "result") -> None:
    """Equal, floats within what rounding does to a training run."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for k in a:
            assert_same(a[k], b[k], f"{where}[{k!r}]")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b)):
            assert_same(x, y, f"{where}[{i}]")
    elif isinstance(a, float):
        assert abs(a - b) <= 1e-3 * abs(b) + 1e-5, f"{where}: {a} != {b}"
    else:
        assert a == b, f"{where}: {a} != {b}"
