"""The matrix generated from the registry: op × dtype × layout × what must hold for every op."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.autograd import gradcheck, gradgradcheck
from numbagrad.codegen.kernels import KERNELS
from numbagrad.ops.export import EXPORTS
from numbagrad.ops.registry import REGISTRY, Op
from tests.samples import DTYPES, LAYOUTS, Make, samples, takes


def ops(which: Callable[[Op], Any] = lambda op: True) -> list[Any]:
    return [pytest.param(op, id=name) for name, op in sorted(REGISTRY.items()) if which(op)]


OPS = ops()
DIFFERENTIABLE = ops(lambda op: op.rules is not None)
ELEMENTWISE = ops(lambda op: op.expr is not None)


def arrays(args: tuple[Any, ...]) -> list[Any]:
    return [a._data if isinstance(a, ng.Tensor) else a for a in args]


def evaluated(op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> list[Any]:
    with np.errstate(all="ignore"):
        r = op.evaluate(*arrays(args), **params)
    return list(r) if isinstance(r, tuple) else [r]


# -- every fact is there --------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
def test_record_is_complete(op):
    assert op.doc.endswith("."), "a sentence that says what the op computes"
    assert op.inputs and len(set(op.inputs)) == len(op.inputs)
    assert callable(op.evaluate) and callable(op.abstract)
    assert set(op.kinds) <= set("biufc") and op.kinds
    if op.expr is not None:
        assert op.reference is not None and op.dtype_rule is not None
    if isinstance(op.rules, tuple):
        assert len(op.rules) == len(op.inputs), "one rule (or None) per input"
    if op.domain:
        assert len(op.domain) == len(op.inputs) and all(a < b for a, b in op.domain)
    for name in op.public:
        assert name in EXPORTS and hasattr(ng.Tensor, name)
    found = [s for d in DTYPES if takes(op, d) for s in samples(op, Make(d))]
    assert found, "no samples: add `samples=` to the record"


@pytest.mark.parametrize("op", ops(lambda op: op.rules is None))
def test_op_without_gradient_has_none(op):
    """Without a rule, a float that comes out must not depend on a float that goes in."""
    for dtype in DTYPES:
        if dtype.np.kind in "fc" and takes(op, dtype):
            for args, params in samples(op, Make(dtype)):
                assert all(r.dtype.kind not in "fc" for r in evaluated(op, args, params))


def test_the_compiler_names_no_op():
    """What passes and code generation know of an op stands in its record."""
    package = Path(ng.__file__).parent
    files = [*(package / "passes").rglob("*.py"), *(package / "codegen").rglob("*.py")]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare | ast.Match | ast.Dict | ast.Set):
                words = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                named = words & REGISTRY.keys() - KERNELS.keys()
                assert not named, f"{path.name}:{node.lineno} decides by the name of {named}"


@pytest.mark.parametrize("op", ops(lambda op: op.native))
def test_native_kernels_exist(op):
    name, _ = op.native
    assert name in KERNELS and op.expr is None


SPECIAL = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 1e-45, 3e38], np.float32)


@pytest.mark.parametrize("op", ops(lambda op: op.unit))
def test_units_change_no_bit(op):
    for i, unit in enumerate(op.unit):
        if unit is not None:
            args = [SPECIAL, SPECIAL]
            args[i] = unit
            r = evaluated(op, tuple(args), {})[0]
            assert r.tobytes() == SPECIAL.tobytes()


@pytest.mark.parametrize("op", ops(lambda op: op.same))
def test_what_is_said_to_be_the_same_is(op):
    for dtype in DTYPES:
        if takes(op, dtype):
            for args, params in samples(op, Make(dtype)):
                (x, *_), (r, *_) = arrays(args), evaluated(op, args, params)
                if op.same(**params) and x.shape == r.shape and x.dtype == r.dtype:
                    assert r.tobytes() == x.tobytes()


@pytest.mark.parametrize("op", ops(lambda op: op.flops and op.multilinear))
def test_flops_count_the_products(op):
    """Every product of two ones adds one to the sum of the results; padding is counted, too."""
    for args, params in samples(op, Make(ng.float64)):
        ones = [np.ones_like(a) for a in arrays(args)]
        products = sum(float(r.sum()) for r in evaluated(op, tuple(ones), params))
        counted = op.count_flops(ones, params)
        padded = any(map(any, params.get("padding", ())))
        assert counted > 2 * products if padded else counted == 2 * products


def test_public_names_are_unique():
    names = [n for op in REGISTRY.values() for n in op.public]
    assert len(names) == len(set(names))


def test_rules_name_what_they_can_have():
    for op in REGISTRY.values():
        inputs = {n.lstrip("*") for n in op.inputs}
        known = inputs | {"g", *op.outputs, "needs", "shapes"}
        known |= {f"{n}_{fact}" for n in inputs for fact in ("shape", "dtype")}
        dtype = next(d for d in reversed(DTYPES) if takes(op, d))
        known |= {p for _, params in samples(op, Make(dtype)) for p in params}
        assert op.wanted(-1) <= known, f"{op.name}: {op.wanted(-1) - known}"


# -- abstract, layouts, views ---------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS)
def test_abstract_says_what_evaluate_does(op):
    for dtype in DTYPES:
        if not takes(op, dtype):
            continue
        for layout in LAYOUTS:
            for args, params in samples(op, Make(dtype, layout)):
                avals = op.abstract(*arrays(args), **params)
                expected = avals if isinstance(avals, list) else [avals]
                found = evaluated(op, args, params)
                for r, (shape, d) in zip(found, expected, strict=True):
                    assert type(r) is np.ndarray, f"{type(r)} for {dtype} {params}"
                    assert (r.shape, r.dtype) == (tuple(shape), d), f"{dtype} {layout} {params}"
                    assert r.dtype is ng.dtypes.of(r.dtype).np, "not NumPy's native singleton"


@pytest.mark.parametrize("op", OPS)
def test_layout_does_not_matter(op):
    for dtype in (ng.int64, ng.float32, ng.float64, ng.complex128):
        if not takes(op, dtype):
            continue
        for layout in ("strided", "broadcast"):
            for args, params in samples(op, Make(dtype, layout)):
                compact = tuple(a.clone() if isinstance(a, ng.Tensor) else a for a in args)
                for a, b in zip(evaluated(op, args, params), evaluated(op, compact, params)):
                    np.testing.assert_allclose(a, b, 1e-6, 1e-6, err_msg=f"{dtype} {params}")


@pytest.mark.parametrize("op", OPS)
def test_views_share_memory_and_others_do_not(op):
    dtype = next(d for d in reversed(DTYPES) if takes(op, d))
    for args, params in samples(op, Make(dtype)):
        data = arrays(args)
        for r in evaluated(op, args, params):
            shared = any(np.shares_memory(r, a) for a in data if isinstance(a, np.ndarray))
            assert shared == (op.view and r.size > 0), params


@pytest.mark.parametrize("op", ops(lambda op: op.linear))
def test_linear_ops_are_linear(op):
    dtype = ng.complex128 if takes(op, ng.complex128) else ng.float64
    for args, params in samples(op, Make(dtype)):
        numbers = [a for a in args if not isinstance(a, ng.Tensor)]
        casts = [p for p in params.values() if isinstance(p, np.dtype) and p.kind not in "fc"]
        if numbers or casts:  # affine, or rounding
            continue
        once = op(*args, **params)
        twice = op(*[a * 2 if is_float(a) else a for a in args], **params)
        np.testing.assert_allclose(twice.numpy(), 2 * once.numpy(), 1e-12)


# -- derivatives ----------------------------------------------------------------------------------


def leaves(op: Op, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, those that the op has a gradient for requiring grad."""
    rules = op.rules if isinstance(op.rules, tuple) else (True,) * len(args)
    return tuple(
        a.requires_grad_() if rule and is_float(a) else a
        for a, rule in zip(args, rules, strict=True)
    )


def is_float(a: Any) -> bool:
    return isinstance(a, ng.Tensor) and a._data.dtype.kind in "fc"


@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_gradients(op, layout):
    for dtype in (ng.float64, ng.complex128):
        if not takes(op, dtype):
            continue
        for args, params in samples(op, Make(dtype, layout)):
            inputs = leaves(op, args)
            wanted = [a for a in inputs if isinstance(a, ng.Tensor) and a.requires_grad]
            if not wanted:
                continue

            def fn(*xs, params=params):
                outs = (op.checked or op)(*xs, **params)
                if isinstance(outs, tuple):
                    return tuple(o for o in outs if o.requires_grad)
                return outs if outs.requires_grad else ()

            if fn(*inputs) == ():
                continue
            where = f"{op.name} {dtype} {[tuple(w.shape) for w in wanted]} {params}"
            assert gradcheck(fn, inputs, check_grad_dtypes=True), where
            if layout == "contiguous":
                assert gradgradcheck(fn, inputs, fast_mode=True, atol=1e-4), where


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_wrong_dtypes_are_refused(op):
    for dtype in DTYPES:
        if takes(op, dtype):
            continue
        make = Make(dtype)
        args = [make.mask(2) if n == "condition" else make(2) for n in op.inputs]
        # A floating op takes integers by making them floats: then the kind says so.
        if dtype.np.kind in "biu" and op.dtype_rule.name == "floating":
            continue
        with pytest.raises(RuntimeError):
            op(*args)


@pytest.mark.parametrize("op", ops(lambda op: op.expr is not None and len(op.inputs) > 1))
def test_shapes_that_do_not_broadcast_are_refused(op):
    dtype = next(d for d in reversed(DTYPES) if takes(op, d))
    low, high = op.domain[-1] if op.domain else (1, 2)
    for d in {dtype, ng.int64 if takes(op, ng.int64) else dtype}:
        make = Make(d)
        args = [make.mask(2) if n == "condition" else make(2, low=low, high=high)
                for n in op.inputs[:-1]]  # fmt: skip
        with pytest.raises(RuntimeError, match=r"tensor a \(\d\) must match .* dimension 0"):
            op(*args, make(3, low=low, high=high))


@pytest.mark.parametrize("name", sorted({n for op in REGISTRY.values() for n in op.public}))
def test_public_functions_refuse_other_types(name):
    fn = getattr(ng, name)
    arity = next(len(op.inputs) for op in REGISTRY.values() if name in op.public)
    for bad in ("a", [1.0], None, np.ones(2)):
        with pytest.raises(TypeError):
            fn(*[bad] * arity)
        if arity == 2:
            with pytest.raises(TypeError):
                fn(ng.ones(2), bad)
