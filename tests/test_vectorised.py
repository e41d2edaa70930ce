"""The main kernels are vector code: seen in LLVM's own text, not hoped for."""

from __future__ import annotations

import re
from typing import Any

import pytest

import numbagrad as ng
from numbagrad.runtime import lower, vectorize

X, Y = ng.ones(64, 48), ng.ones(64, 48)
KERNELS = {
    "dense": (lambda x, y: x * 2 + y, r"fm?u?l?(?:add|mul)"),
    "division": (lambda x, y: x / (y + 1), "fdiv"),
    "row": (lambda x, y: x + y[0], "fadd"),
    "column": (lambda x, y: x + y[:, :1], "fadd"),
    "select": (lambda x, y: ng.where(x > y, x, -y), "select"),
    "exp": (lambda x, y: x.exp(), "fmul"),
    "tanh of a chain": (lambda x, y: (x * y).tanh() + x.sigmoid(), "fmul"),
    "float64": (lambda x, y: (x.double() * 2 + 1).sin(), "fmul"),
    "integers": (lambda x, y: x.long() + 3, "add"),
    "sum of rows": (lambda x, y: x.sum(1), "fadd"),
    "sum of columns": (lambda x, y: x.sum(0), "fadd"),
    "sum of all": (lambda x, y: x.sum(), "fadd"),
    "largest of columns": (lambda x, y: x.amax(0), "fcmp|fmax|maximum"),
}


def llvm_text(source: str, monkeypatch: Any) -> str:
    """The optimised LLVM text of a kernel."""
    texts: list[str] = []
    original = lower._optimise

    def keep(*args: Any) -> Any:
        module = original(*args)
        texts.append(str(module))
        return module

    monkeypatch.setattr(lower, "_optimise", keep)
    lower.compile_object(source, "kernel", "kernel", "ng_test", "<test>", vectorize.DEFAULT)
    return texts[0]


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_is_vector_code(name, monkeypatch):
    fn, operation = KERNELS[name]
    compiled = ng.compile(fn)
    compiled(X, Y)
    (traced,) = compiled._latest()
    assert traced.forward.sources, "a kernel of our own, not NumPy"
    for source in traced.forward.sources:
        text = llvm_text(source, monkeypatch)
        element = "double" if "float64" in source else "i64" if "int64" in source else "float"
        vector = rf"<\d+ x {element}>"
        found = re.findall(rf"(?:{operation})[^\n]*{vector}", text)
        assert found, f"no vector {operation} in the kernel:\n{source}"
