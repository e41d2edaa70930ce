"""Imports point one way, and importing the package costs little."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import numbagrad

ROOT = Path(numbagrad.__file__).parent

#: The layers, lowest first. A module may import from its own layer and from those above it in
#: this list. A name covers the modules inside it, unless a longer name is listed.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "config", "locks", "return_types", "stack"),
    ("dtypes", "devices"),
    ("kernels",),
    ("runtime", "cpu"),
    ("ir.graph", "ir.pytree"),
    ("modes", "tensor", "tape", "views"),
    ("codegen",),
    ("eager",),
    ("dispatch",),
    ("ir",),
    ("passes",),
    ("ops.registry",),
    ("ops.batching", "ops.elementwise", "ops.view", "ops.reduction", "ops.linalg", "ops.random"),
    ("inplace",),
    ("ops.export",),
    (
        "ops",
        "creation",
        "conversion",
        "typed",
        "inspection",
        "printing",
        "random",
        "sampling",
        "lowrank",
        "masked",
        "special",
        "linalg",
        "fft",
    ),
    ("transforms.levels", "transforms.vmap"),
    ("autograd", "profiler"),
    (
        "transforms",
        "func",
        "surroundings",
        "tracing",
        "traced",
        "traces",
        "residuals",
        "direct",
        "replay",
        "compiled",
        "extend",
        "numba_functions",
        "autograd.forward_ad",
        "autograd.functional",
        "autograd.gradcheck_forward",
    ),
    (
        "nn",
        "optim",
        "amp",
        "serialization",
        "utils",
        "serve",
        "cuda",
        "testing",
        "backends",
        "distributions",
        "signal",
    ),
    ("",),  # the package itself
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    """All modules by name, without the package's own."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer(module: str) -> int | None:
    """The level of the longest listed name that covers the module."""
    name = module
    while name:
        if name in LEVEL:
            return LEVEL[name]
        name = name.rpartition(".")[0]
    return LEVEL[""] if not module else None


def imports(module: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """(line, module) of each import of our own modules, also inside functions."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    package = [p for p in package if p]

    def visit(node: ast.AST) -> Iterator[tuple[int, str]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.split(".")[0] == "numbagrad":
                        yield child.lineno, alias.name.partition(".")[2]
            elif isinstance(child, ast.ImportFrom):
                if child.level:
                    base = package[: len(package) - child.level + 1]
                elif child.module and child.module.split(".")[0] == "numbagrad":
                    base = child.module.split(".")[1:]
                else:
                    continue
                if child.level and child.module:
                    base = base + child.module.split(".")
                for alias in child.names:
                    inner = ".".join([*base, alias.name])
                    yield child.lineno, inner if inner in known else ".".join(base)
            yield from visit(child)

    return visit(ast.parse(path.read_text(encoding="utf-8")))


def test_every_module_has_a_layer():
    homeless = [m for m in modules() if layer(m) is None]
    assert not homeless, f"add them to LAYERS: {homeless}"


def test_imports_point_down():
    known = modules()
    back = []
    for module, path in known.items():
        own = layer(module)
        for line, target in imports(module, path, known):
            other = layer(target)
            if own is not None and other is not None and other > own:
                name = path.relative_to(ROOT.parent)
                back.append(f"{name}:{line} imports {target or 'the package'}, which is above it")
    assert not back, "\n".join(back)


def test_kernels_import_only_numpy_and_what_compiles_them():
    for path in (ROOT / "kernels").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            else:
                continue
            for name in names:
                if name.startswith("numbagrad.kernels"):
                    continue
                top = name.split(".")[0]
                allowed = {"numpy", "numba", "llvmlite"} | sys.stdlib_module_names
                assert top in allowed, f"{path.name}: {name}"


def python(code: str) -> str:
    # Byte code is written as it is for users, whatever the environment of the tests says.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120,
        env=environment,
    ).stdout  # fmt: skip


@pytest.mark.parametrize(
    "first_use", ["", "(ng.rand(3, requires_grad=True) ** 2).sum().backward()"]
)
def test_import_and_first_use_load_no_compiler(first_use):
    """And nothing else that is large: the first op on small data waits for nobody."""
    code = f"import sys, numbagrad as ng\n{first_use}\nprint(*sorted(sys.modules))"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert not loaded & {"numba", "llvmlite", "scipy", "scipy_openblas32", "safetensors"}


def test_import_is_quick_relative_to_numpy():
    def seconds(what: str) -> float:
        start = time.perf_counter()
        python(f"import {what}")
        return time.perf_counter() - start

    seconds("numbagrad")  # writes the byte code
    pairs = [(seconds("numpy"), seconds("numbagrad")) for _ in range(5)]
    ratio = min(ours for _, ours in pairs) / min(base for base, _ in pairs)
    # 1.9 on the machine of the benchmarks, the start of Python included in both.
    assert ratio < 2.5, f"import numbagrad takes {ratio:.1f} times as long as import numpy"


def test_any_public_name_may_be_used_first():
    """Modules are loaded when they are asked for, in whatever order a user asks."""
    code = """
import sys, numbagrad
for name in list(numbagrad._LAZY):
    for module in [m for m in sys.modules if m.partition(".")[0] == "numbagrad"]:
        del sys.modules[module]
    import numbagrad
    getattr(numbagrad, name)
print("all")
"""
    assert python(code).split() == ["all"]


def test_the_compiler_loads_no_modules_of_nn():
    """A submodule that is asked for by name (`from numbagrad import config`) is no reason to."""
    code = (
        "import sys, numbagrad as ng; ng.compile(lambda x: x + 1)(ng.ones(3)); print(*sys.modules)"
    )
    assert not [m for m in python(code).split() if m.startswith("numbagrad.nn")]


def test_type_checkers_know_the_lazy_names():
    """What `numbagrad` loads when it is asked for is imported for them at the top."""
    tree = ast.parse(Path(numbagrad.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "else it counts as private"
            found[alias.name] = node.module or alias.name
    assert found == numbagrad._LAZY
