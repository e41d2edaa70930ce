"""Compiled == eager for every op of the registry: values, dtypes, shapes, first and second
gradients, in every memory layout."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.ops.registry import REGISTRY, Op
from tests.samples import DTYPES, LAYOUTS, Make, samples, takes


def ops(which: Callable[[Op], Any] = lambda op: True) -> list[Any]:
    return [pytest.param(op, id=name) for name, op in sorted(REGISTRY.items()) if which(op)]


OPS = ops()

# Kernels use vecmath, whose functions are off by 4 ulp at most, and sum in another order; float16
# is rounded once in each.
TOLERANCE = {2: 4e-3, 4: 4e-6, 8: 2e-14}


def close(ours: Any, eager: Any, what: str, factor: float = 1) -> None:
    a, b = ours.detach().numpy(), eager.detach().numpy()
    assert a.dtype == b.dtype and a.shape == b.shape, what
    if a.dtype.kind in "biu":
        assert np.array_equal(a, b), what
        return
    tolerance = factor * TOLERANCE[a.dtype.itemsize // (2 if a.dtype.kind == "c" else 1)]
    scale = max(1.0, np.abs(b[np.isfinite(b)], dtype=float).max(initial=0))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def outputs(op: Any, params: dict[str, Any]) -> Any:
    def call(*args: Any) -> list[ng.Tensor]:
        r = op(*args, **params)
        return list(r) if isinstance(r, tuple) else [r]

    return call


def agree(op: Op, make: Make) -> None:
    for args, params in samples(op, make):
        fn = outputs(op, params)
        what = f"{op.name}({[getattr(a, 'shape', a) for a in args]}, {params})"
        for ours, eager in zip(ng.compile(fn)(*args), fn(*args), strict=True):
            close(ours, eager, what)


#: One for each way in which code is generated: NumPy runs float16 and complex numbers, small
#: integers wrap around, and float64 is tested with the gradients.
GENERATED = (ng.bool, ng.int8, ng.float16, ng.float32, ng.complex64)


@pytest.mark.parametrize("op", OPS)
def test_dtypes(op):
    for dtype in GENERATED:
        if takes(op, dtype):
            agree(op, Make(dtype))


@pytest.mark.parametrize("op", OPS)
def test_every_layout(op):
    dtype = ng.float32 if takes(op, ng.float32) else next(d for d in DTYPES if takes(op, d))
    for layout in LAYOUTS[1:]:
        agree(op, Make(dtype, layout))


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, float("inf"), float("-inf"), float("nan"), 1e-40, 3e38]


@pytest.mark.parametrize("op", ops(lambda op: op.expr is not None))
def test_special_numbers(op):
    if not takes(op, ng.float32):
        return
    values = np.array(SPECIAL, np.float32)
    grids = np.meshgrid(*[values] * min(len(op.inputs), 2))
    args = [ng.from_numpy(g.ravel()) for g in grids]
    args = [*args, *[args[0]] * (len(op.inputs) - len(args))]
    if op.dtype_rule is not None and op.dtype_rule.condition:
        args[0] = args[0] > 0
    ours, eager = ng.compile(op)(*args).numpy(), op(*args).numpy()
    assert ours.dtype == eager.dtype
    if ours.dtype.kind != "f":
        assert np.array_equal(ours, eager)
        return
    assert np.array_equal(np.isnan(ours), np.isnan(eager)), "NaN where eager has it"
    finite = np.isfinite(eager)
    same = ~finite & ~np.isnan(eager)
    assert np.array_equal(ours[same], eager[same]), "infinities where eager has them"
    np.testing.assert_allclose(ours[finite], eager[finite], rtol=1e-5, atol=1e-37)
    if op.name == "remainder":  # a kernel keeps the sign of a zero as PyTorch does, NumPy does not
        return
    zero = eager == 0
    assert np.array_equal(np.signbit(ours[zero]), np.signbit(eager[zero])), "zeros with their sign"


def gradients(fn: Any, leaves: list[ng.Tensor], seed: int) -> list[Any]:
    """First and second gradients of random combinations of the results."""
    rng = np.random.default_rng(seed)

    def combined(ts: Any) -> Any:
        terms = [
            (t * ng.from_numpy(rng.uniform(0.5, 1.5, tuple(t.shape)))).sum().real
            if t.is_complex() else (t * ng.from_numpy(rng.uniform(0.5, 1.5, tuple(t.shape)))).sum()
            for t in ts if t is not None and t.requires_grad
        ]  # fmt: skip
        return sum(terms) if terms else None

    total = combined(fn())
    if total is None:
        return []
    first = ng.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    total = combined(first)
    if total is None or not total.requires_grad:
        return [*first]
    return [*first, *ng.autograd.grad(total, leaves, allow_unused=True)]


@pytest.mark.parametrize("op", ops(lambda op: op.rules is not None))
def test_gradients(op):
    dtype = ng.float64 if takes(op, ng.float64) else next(d for d in DTYPES[::-1] if takes(op, d))
    for args, params in samples(op, Make(dtype)):
        args = [
            a.clone().requires_grad_()
            if isinstance(a, ng.Tensor) and (a.is_floating_point() or a.is_complex()) else a
            for a in args
        ]  # fmt: skip
        leaves = [a for a in args if isinstance(a, ng.Tensor) and a.requires_grad]
        if not leaves:
            continue
        fn = outputs(op.checked or op, params)
        compiled = ng.compile(fn)
        seed = zlib.crc32(op.name.encode())
        eager = gradients(lambda: fn(*args), leaves, seed)  # noqa: B023
        ours = gradients(lambda: compiled(*args), leaves, seed)  # noqa: B023
        what = f"{op.name}({[getattr(a, 'shape', a) for a in args]}, {params})"
        for k, (a, b) in enumerate(zip(ours, eager, strict=True)):
            if a is None or b is None:  # None and zeros mean the same
                rest = b if a is None else a
                assert rest is None or not rest.detach().numpy().any(), (what, k)
            else:
                close(a, b, f"gradient {k} of {what}", 100)
