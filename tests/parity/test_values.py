"""Values and dtypes at the edges: special floats, integer division, promotion, reductions."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.ops.registry import REGISTRY

from .oracle import DTYPES, check, check_gradients, to_ng, torch

pytestmark = [
    pytest.mark.parity,
    # Both warn where a variance has no degree of freedom, PyTorch also of complex made real.
    pytest.mark.filterwarnings("ignore"),
]

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, 3.0, -7.0, 1e-40, 1e-5, 88.8, -104.0,
           1e10, -1e10, 1e38, float("inf"), float("-inf"), float("nan")]  # fmt: skip
SPECIAL_INTS = [0, 1, -1, 2, -2, 3, 7, -7, 100, -100, 127, -128]
TORCH_DTYPES = list(DTYPES)


def both(fn: Any, *args: Any) -> None:
    """The same result, or the same type of exception."""
    try:
        theirs = fn(torch, *args)
    except Exception as error:
        with pytest.raises(type(error)):
            fn(ng, *[to_ng(a) for a in args])
        return
    check(fn(ng, *[to_ng(a) for a in args]), theirs)


def public(arity: int) -> list[str]:
    return sorted(
        n
        for op in REGISTRY.values()
        for n in op.public
        if len(op.inputs) == arity and hasattr(torch, n)
    )


# -- elementwise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", public(1))
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool", "complex128"])
def test_unary_at_special_values(name, dtype):
    d = getattr(torch, dtype)
    if d.is_complex:
        finite = [0.0, 1.0, -1.0, 0.5, -2.0]
        values = [complex(a, b) for a in finite for b in finite if a or b]
    elif d.is_floating_point:
        values = SPECIAL
    else:
        values = [v for v in SPECIAL_INTS if d is not torch.uint8 or v >= 0]
    x = torch.tensor(values).to(d)
    if name in ("digamma", "lgamma", "polygamma") and d.is_floating_point:
        x = x[x.abs() < 1e30]  # PyTorch is off by an ulp of a huge number, or overflows
    if name in ("acos", "arccos", "acosh", "arccosh", "asin", "arcsin", "atanh", "arctanh", "log1p",
                "asinh", "arcsinh", "tan", "atan", "arctan", "log") and d.is_complex:  # fmt: skip
        x = x[(x.imag != 0) & (x.real != 0)]  # the side of a branch cut hangs on the sign of 0
    both(lambda m, x: getattr(m, name)(x), x)


@pytest.mark.parametrize("name", public(2))
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", "uint8", "bool"])
def test_binary_at_special_values(name, dtype):
    d = getattr(torch, dtype)
    values = SPECIAL if d.is_floating_point else SPECIAL_INTS
    values = [v for v in values if d is not torch.uint8 or v >= 0]
    x = torch.tensor(values).to(d)
    if "shift" in name:
        both(lambda m, x: getattr(m, name)(x, x.clamp(0, 6)), x)
        return
    if name in ("floor_divide", "remainder", "fmod") and not d.is_floating_point:
        y = x[x != 0]
        if d.is_signed:  # the one overflow of division
            y = y[y != -1]
    elif name in ("remainder", "fmod"):  # PyTorch's vector path gives NaN for huge quotients
        x = y = x[~((x.abs() < 0.1) & (x != 0)) & ((x.abs() < 1e30) | x.isinf())]
    else:
        y = x
    both(lambda m, x, y: getattr(m, name)(x.unsqueeze(1), y), x, y)


@pytest.mark.parametrize("mode", ["floor", "trunc", None])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", "uint8"])
def test_division(mode, dtype):
    d = getattr(torch, dtype)
    values = SPECIAL if d.is_floating_point else [v for v in SPECIAL_INTS if v > -128]
    x = torch.tensor([v for v in values if d is not torch.uint8 or v >= 0]).to(d)
    y = x if d.is_floating_point else x[x != 0]
    both(lambda m, x, y: m.div(x.unsqueeze(1), y, rounding_mode=mode), x, y)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float64", "float32"])
def test_powers(dtype):
    d = getattr(torch, dtype)
    base = torch.tensor([-3, -2, -1, 0, 1, 2, 3]).abs() if d is torch.uint8 else torch.tensor(
        [-3, -2, -1, 0, 1, 2, 3])  # fmt: skip
    base = base.to(d)
    for exponent in (0, 1, 2, 3, 5, -1, -2, 0.5, -0.5, 2.0, True, 0.0):
        both(lambda m, x, e=exponent: x**e, base)
        both(lambda m, x, e=exponent: e**x, base)
    both(lambda m, x: x.unsqueeze(1) ** x, base)


# -- promotion ------------------------------------------------------------------------------------


def operands(d: Any) -> list[Any]:
    """A tensor, a 0-d tensor and a Python number of (the category of) one dtype."""
    if d is torch.bool:
        number: Any = True
    elif d.is_complex:
        number = 1 + 2j
    else:
        number = 1.5 if d.is_floating_point else 2
    return [torch.ones(2).to(d), torch.tensor(number).to(d), number]


PAIRS = list(itertools.product(TORCH_DTYPES, TORCH_DTYPES))


@pytest.mark.parametrize(
    "op",
    [
        "add",
        "sub",
        "mul",
        "div",
        "pow",
        "eq",
        "maximum",
        "floor_divide",
        "remainder",
        "bitwise_and",
        "logical_or",
        "atan2",
        "where",
    ],
)
def test_promotion_table(op):
    def call(m: Any, a: Any, b: Any) -> Any:
        if op == "where":
            return m.where(m.tensor([True, False]), a, b)
        return getattr(m, op)(a, b)

    for d1, d2 in PAIRS:
        for a, b in itertools.product(operands(d1), operands(d2)):
            if not isinstance(a, torch.Tensor) and not isinstance(b, torch.Tensor):
                continue
            try:
                theirs = call(torch, a, b)
            except Exception as error:
                if isinstance(error, TypeError):  # PyTorch takes no numbers there, ours does
                    continue
                half = torch.float16 in (d1, d2)
                if (
                    half
                    or op == "pow"
                    or torch.complex64 in (d1, d2)
                    or torch.complex128 in (d1, d2)
                ):
                    continue
                with pytest.raises(RuntimeError):
                    call(ng, to_ng(a), to_ng(b))
                continue
            ours = call(ng, to_ng(a), to_ng(b))
            if theirs.dtype not in DTYPES:  # complex32
                continue
            assert ours.dtype is DTYPES[theirs.dtype], f"{op} {a!r} {b!r}: {ours.dtype}"


def test_promote_types_and_can_cast():
    for d1, d2 in PAIRS:
        ours = ng.promote_types(DTYPES[d1], DTYPES[d2])
        theirs = torch.promote_types(d1, d2)
        if theirs in DTYPES:
            assert ours is DTYPES[theirs], (d1, d2)
        assert ng.can_cast(DTYPES[d1], DTYPES[d2]) == torch.can_cast(d1, d2), (d1, d2)


def test_result_type():
    for d1, d2 in PAIRS:
        for a, b in itertools.product(operands(d1), operands(d2)):
            theirs = torch.result_type(a, b)
            if theirs in DTYPES:
                assert ng.result_type(to_ng(a), to_ng(b)) is DTYPES[theirs], (a, b)


@pytest.mark.parametrize("op", ["add_", "mul_", "div_", "pow_", "bitwise_or_", "copy_"])
def test_promotion_in_place(op):
    for d1, d2 in PAIRS:
        for a, b in itertools.product(operands(d1)[:2], operands(d2)):
            if op == "copy_" and not isinstance(b, torch.Tensor):
                continue
            if op == "pow_" and not isinstance(b, torch.Tensor):
                b = 2
            try:
                theirs = getattr(a.clone(), op)(b)
            except Exception as error:
                if "not implemented for" in str(error) and op in ("pow_", "div_"):
                    continue
                with pytest.raises(type(error)):
                    getattr(to_ng(a.clone()), op)(to_ng(b))
                continue
            check(getattr(to_ng(a.clone()), op)(to_ng(b)), theirs, f"{op} {a} {b}")


# -- reductions -----------------------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "prod", "max", "min", "amax", "amin", "argmax", "argmin", "var", "std",
              "logsumexp", "all", "any", "median", "nansum", "nanmean", "norm", "count_nonzero",
              "aminmax", "nanmedian", "std_mean", "var_mean"]  # fmt: skip
INPUTS = {
    "plain": torch.tensor([[3.0, 1.0, 2.0], [-1.0, 5.0, 0.5]], dtype=torch.float64),
    "nan": torch.tensor([[3.0, float("nan"), 2.0], [-1.0, 5.0, 0.5]], dtype=torch.float64),
    "inf": torch.tensor([[3.0, float("inf"), 2.0], [-float("inf"), 5.0, 0.5]]),
    "ties": torch.tensor([[2.0, 2.0, 1.0], [0.0, -0.0, 0.0]], dtype=torch.float64),
    "zeros": torch.zeros(2, 3, dtype=torch.float64),
    "ints": torch.tensor([[3, 1, 2], [-1, 5, 0]]),
    "bools": torch.tensor([[True, False, True], [False, False, False]]),
    "empty": torch.zeros(2, 0, dtype=torch.float64),
    "empty rows": torch.zeros(0, 3, dtype=torch.float64),
    "0-d": torch.tensor(2.5, dtype=torch.float64),
    "vector": torch.tensor([2.0, -1.0, 4.0], dtype=torch.float64),
    "strided": torch.arange(12.0, dtype=torch.float64).view(3, 4).t()[::2],
    "broadcast": torch.tensor([1.0, 2.0], dtype=torch.float64).expand(3, 2),
    "bytes": torch.tensor([[200, 100, 3]], dtype=torch.uint8),
    "float16": torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float16),
    "complex": torch.tensor([[1 + 2j, 3 - 1j]], dtype=torch.complex128),
}
DIMS = [(), (0,), (1,), (-1,), (2,), (None,)]


@pytest.mark.parametrize("which", INPUTS)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, which):
    x = INPUTS[which]
    if name in ("argmax", "argmin") and which in ("ties", "zeros", "broadcast", "bools"):
        return  # which of equal elements is not specified
    if which == "complex" and name in ("max", "min", "amax", "amin", "aminmax", "argmax", "argmin",
                                       "median", "nanmedian", "nansum", "nanmean"):  # fmt: skip
        return  # not ordered; PyTorch's support for NaNs depends on the dimension
    if (name in ("median", "nanmedian") and which == "broadcast") or (
        name in ("std_mean", "var_mean") and which == "inf"
    ):
        return  # PyTorch gives uninitialised memory, and NaN for a mean of inf
    # See docs/differences.md: NaN extrema, products with NaN, ties of the full median.
    differs = (which == "nan" and name in ("amax", "amin", "aminmax", "prod")) or (
        name in ("median", "nanmedian") and which in ("ties", "zeros", "broadcast"))  # fmt: skip
    if which == "bools" and name in (
        "max",
        "min",
        "median",
        "nanmedian",
        "amax",
        "amin",
        "aminmax",
    ):
        return
    if which in ("ties", "zeros") and name in ("max", "min", "median", "nanmedian"):
        dims: Any = [()]
    else:
        dims = DIMS
    for args in dims:
        for kwargs in ({}, {"keepdim": True}) if args and name != "count_nonzero" else ({},):
            if name == "aminmax" and args == (None,):
                continue

            def call(m, x, args=args, kwargs=kwargs):
                if name == "aminmax":
                    return m.aminmax(x, **({"dim": args[0]} if args else {}), **kwargs)
                if name == "norm":
                    return m.norm(x, 2, *args, **kwargs)
                return getattr(m, name)(x, *args, **kwargs)

            if not args and name == "logsumexp":
                continue
            try:
                theirs = call(torch, x)
            except Exception as error:
                if name in ("median", "nanmedian", "argmax", "argmin", "prod") and "dim" in str(
                    error
                ):
                    continue  # dim=None is not among PyTorch's signatures
                if isinstance(error, NotImplementedError | TypeError):
                    continue
                with pytest.raises((IndexError, RuntimeError)):
                    call(ng, to_ng(x))
                continue
            check(call(ng, to_ng(x)), theirs, f"{name} {args} {kwargs}")
            if x.is_floating_point() and x.dtype is torch.float64 and not differs:
                a, b = to_ng(x).clone().requires_grad_(), x.clone().requires_grad_()
                ours, theirs = call(ng, a), call(torch, b)
                check_gradients(ours, [a], theirs, [b], order=1)


# -- random programs ------------------------------------------------------------------------------

UNARY = ["sin", "exp", "tanh", "sigmoid", "abs", "relu", "square", "neg", "sqrt", "log1p"]
BINARY = ["add", "sub", "mul", "maximum", "minimum", "div", "atan2", "where"]
SHAPING = ["t", "flip", "cumsum", "sum0", "max1", "cat", "index", "clone", "softplus"]


def reshaped(m: Any, name: str, a: Any) -> Any:
    cases = {
        "t": lambda: a.t().contiguous().view(3, 4), "flip": lambda: a.flip(0),
        "cumsum": lambda: a.cumsum(1), "sum0": lambda: a.sum(0), "clone": lambda: a.clone(),
        "max1": lambda: a.amax(1, keepdim=True), "cat": lambda: m.cat([a[:1], a[1:] * 2]),
        "index": lambda: a[[2, 0, 0]], "softplus": lambda: m.log1p(m.exp(a.clamp(max=20))),
    }  # fmt: skip
    return cases[name]()


def program(m: Any, x: Any, y: Any, rng: np.random.Generator) -> Any:
    """A random expression of x (3, 4) and y (4,), the same for both libraries."""
    values = [x, y, x * 0.5 + 2]
    for _ in range(12):
        a = values[rng.integers(len(values))]
        b = values[rng.integers(len(values))]
        kind = rng.integers(3)
        if kind == 0:
            name = UNARY[rng.integers(len(UNARY))]
            if name in ("sqrt", "log1p"):
                a = a.abs() + 0.1
            values.append(getattr(m, name)(a))
        elif kind == 1:
            name = BINARY[rng.integers(len(BINARY))]
            if name == "div":
                b = b.abs() + 0.5
            if name == "where":
                values.append(m.where(a > b, a, b))
            else:
                values.append(getattr(m, name)(a, b))
        else:
            name = SHAPING[rng.integers(len(SHAPING))]
            if a.ndim == 2 and tuple(a.shape) == (3, 4):
                values.append(reshaped(m, name, a))
        values[-1] = values[-1].clamp(-50, 50)
    return sum(v.sum() for v in values[3:])


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed):
    data = np.random.default_rng(seed)
    x, y = data.standard_normal((3, 4)), data.standard_normal(4)
    results = []
    for m in (torch, ng):
        a = m.tensor(x, requires_grad=True)
        b = m.tensor(y, requires_grad=True)
        out = program(m, a, b, np.random.default_rng(zlib.crc32(str(seed).encode())))
        results.append((out, [a, b]))
    (theirs, their_inputs), (ours, our_inputs) = results
    check(ours, theirs)
    check_gradients(ours, our_inputs, theirs, their_inputs, order=2)
