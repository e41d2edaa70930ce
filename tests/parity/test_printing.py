"""The text of a tensor is PyTorch's, character for character."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import numbagrad as ng

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:invalid value")]

SHAPES = [
    (), (1,), (3,), (7,), (30,), (0,), (0, 3), (2, 0, 2), (1, 1), (2, 3), (4, 5, 2), (2, 2, 2, 2),
    (1001,), (1000,), (50, 50), (7, 3, 60), (6, 200), (11, 100), (2, 3, 4, 50), (1, 1, 1200),
]  # fmt: skip
DTYPES = ["float16", "float32", "float64", "complex64", "complex128", "uint8", "int8", "int16",
          "int32", "int64", "bool"]  # fmt: skip


def fill(shape: tuple[int, ...], dtype: str, style: str, rng: np.random.Generator):
    d = np.dtype(dtype)
    if d.kind == "b":
        return rng.random(shape) < 0.5
    if d.kind in "iu":
        top = np.iinfo(d).max
        high = {"small": 10, "whole": 100}.get(style, top)
        low = 0 if d.kind == "u" else -high
        return rng.integers(low, high, shape).astype(d)

    def real():
        values = {
            "small": lambda: rng.standard_normal(shape),
            "whole": lambda: rng.integers(-200, 200, shape).astype(float),
            "wide": lambda: rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 5, shape),
            "tiny": lambda: rng.standard_normal(shape) * 1e-6,
            "huge": lambda: np.round(rng.standard_normal(shape) * 1e4) * 1e6,
            "special": lambda: rng.choice([0.0, -0.0, 1.5, np.nan, np.inf, -np.inf], shape),
            "empty": lambda: rng.choice([0.0, np.nan, np.inf], shape),
        }[style]()
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(np.float16 if dtype == "float16" else np.float64)

    if d.kind == "c":
        return (real() + 1j * real()).astype(d)
    return real().astype(d)


def same(array: np.ndarray, requires_grad: bool = False) -> None:
    array = np.asarray(array)
    theirs = torch.from_numpy(array).requires_grad_(requires_grad)
    ours = ng.from_numpy(array).requires_grad_(requires_grad)
    expected = repr(theirs).replace("torch.", "numbagrad.")
    assert repr(ours) == str(ours)
    # The longer name of the dtype may reach the end of a line where PyTorch's does not.
    if "dtype=" in expected:
        assert repr(ours).split() == expected.split()
    else:
        assert repr(ours) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("style", ["small", "whole", "wide", "tiny", "huge", "special", "empty"])
def test_repr(dtype, style):
    rng = np.random.default_rng(len(dtype) * 100 + len(style))
    for shape in SHAPES:
        same(fill(shape, dtype, style, rng))


@pytest.mark.parametrize("seed", range(20))
def test_random_shapes(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        shape = tuple(int(n) for n in rng.integers(0, 9, rng.integers(0, 5)))
        style = rng.choice(["small", "whole", "wide", "tiny", "huge", "special"])
        dtype = str(rng.choice(["float32", "complex64", "int64", "bool"]))
        same(fill(shape, dtype, style, rng), dtype in ("float32", "complex64") and seed % 2 == 0)


def test_layouts():
    a = np.arange(24.0, dtype=np.float32).reshape(4, 6)
    for view in (a.T, a[::2], a[:, ::3], a[1:2], np.broadcast_to(a, (2, 4, 6)).copy()):
        same(view)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"precision": 8},
        {"precision": 0},
        {"threshold": 5},
        {"threshold": 5, "edgeitems": 1},
        {"threshold": 5, "edgeitems": 0},
        {"linewidth": 30},
        {"linewidth": 200},
        {"sci_mode": True},
        {"sci_mode": False},
        {"profile": "short"},
        {"profile": "full"},
        {"profile": "full", "linewidth": 40},
    ],
    ids=str,
)
def test_options(options):
    rng = np.random.default_rng(0)
    try:
        ng.set_printoptions(**options)
        torch.set_printoptions(**options)
        for shape, style in itertools.product(SHAPES, ["small", "wide", "whole", "special"]):
            same(fill(shape, "float32", style, rng))
            same(fill(shape, "complex64", style, rng))
    finally:
        ng.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")


def test_default_dtype():
    try:
        ng.set_default_dtype(ng.float64)
        torch.set_default_dtype(torch.float64)
        for dtype in DTYPES:
            same(np.ones(3, dtype))
            same(np.ones((0, 2), dtype))
    finally:
        ng.set_default_dtype(ng.float32)
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "program",
    [
        lambda lib, x: x.sin(),
        lambda lib, x: x * 2,
        lambda lib, x: x.sum(),
        lambda lib, x: (x * x).mean(),
        lambda lib, x: x[0],
        lambda lib, x: x.reshape(-1)[:1].exp(),
        lambda lib, x: x.T @ x,
        lambda lib, x: x.to(lib.float64),
        lambda lib, x: x.detach(),
        lambda lib, x: x > 0,
    ],
)
def test_gradient_facts(program):
    rng = np.random.default_rng(3)
    for shape in [(2, 3), (3, 7), (40, 50)]:
        a = rng.standard_normal(shape).astype(np.float32)
        ours = repr(program(ng, ng.from_numpy(a).requires_grad_()))
        theirs = repr(program(torch, torch.from_numpy(a).requires_grad_()))
        theirs = theirs.replace("torch.", "numbagrad.")
        assert ours.split("grad_fn")[0].split() == theirs.split("grad_fn")[0].split()
        assert ("grad_fn=<" in ours) == ("grad_fn=<" in theirs)
