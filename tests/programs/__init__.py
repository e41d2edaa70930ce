"""Small programs that run under numbagrad and under PyTorch, with the same outcome.

Each takes the library as its argument. The outcomes of PyTorch are kept in ``expected.json``, so
that the tests need no PyTorch; a parity test compares them with the PyTorch that is installed and
``python -m tests.programs`` writes them anew.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Program = Callable[[Any], Any]
MODULES = (
    "backward",
    "tensors",
    "inplace",
    "modes",
    "functions",
    "function_transforms",
    "mapped_values",
    "transformed",
    "extending",
    "hooks",
    "hooks_more",
    "recomputed",
    "functional",
    "training",
    "dual_tensors",
    "views",
    "mutated",
    "changes_in_use",
    "outs",
    "inference",
    "threads",
    "edges",
    "checks",
    "comparisons",
    "modules",
    "types_and_devices",
    "distributions",
)
EXPECTED = Path(__file__).with_name("expected.json")
ANSWERS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError)
_programs: dict[str, Program] = {}


def program(fn: Program) -> Program:
    """Register a program under its name."""
    assert fn.__name__ not in _programs, fn.__name__
    _programs[fn.__name__] = fn
    return fn


def programs(*modules: str) -> dict[str, Program]:
    """The programs of these modules by name."""
    names = {import_module(f"{__name__}.{m}").__name__ for m in modules}
    return {name: fn for name, fn in _programs.items() if fn.__module__ in names}


def theme(name: str) -> str:
    """What a program is about: its module, and the table in that of `edges`."""
    module = _programs[name].__module__.rpartition(".")[2].replace("_", " ")
    return f"{module}: {name.split('_')[1]}" if module == "edges" else module


def expected() -> dict[str, Any]:
    """What PyTorch answers, by program."""
    return json.loads(EXPECTED.read_text())


def leaf(lib: Any, *values: float, grad: bool = True) -> Any:
    return lib.tensor(values, requires_grad=grad)


def plain(x: Any) -> Any:
    """A result as JSON has it: tensors as dtype, shape, flags and values."""
    if hasattr(x, "requires_grad"):
        return [str(x.dtype).split(".")[1], list(x.shape), x.requires_grad, x.is_leaf,
                plain(x.detach().tolist())]  # fmt: skip
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    if isinstance(x, complex):
        return {"real": x.real, "imag": x.imag}
    if isinstance(x, dict):  # plain already
        return x
    assert x is None or isinstance(x, bool | int | float | str), x
    return x


def outcome(fn: Callable[[], Any]) -> Any:
    """The result of `fn`, or which error it raised."""
    try:
        return plain(fn())
    except Exception as error:
        # AttributeError and the like are mistakes of ours, not answers.
        assert isinstance(
            error, RuntimeError | TypeError | ValueError | IndexError | AssertionError
        ), error
        builtin = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
        return f"raises {builtin.__name__}"


def run(name: str, lib: Any) -> Any:
    """The outcome of one program; no error may escape from it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain(_programs[name](lib))


def same(a: Any, b: Any) -> bool:
    """Equal, floats to float32's precision."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return same([a["real"], a["imag"]], [b["real"], b["imag"]])
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= 1e-5 * max(abs(b), 1e-2) or (a != a and b != b)
    return type(a) is type(b) and a == b
