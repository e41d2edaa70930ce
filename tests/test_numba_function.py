"""`numba_function`: the user's own Numba code as an op. What needs no compiler uses Python code."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numba
import numpy as np
import pytest

import numbagrad as ng


@numba.njit
def cube(x, a):
    return a * x * x * x


@numba.njit
def cube_gradient(g, x, a):
    return 3 * a * g * x * x, None


def second(h, _, g, x, a):
    return 3 * a * h * x * x, 6 * a * g * h * x, None


X = ng.tensor([1.0, 2.0, 3.0])
ROWS = ng.tensor([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
ONCE = ng.numba_function(cube, cube_gradient)
TWICE = ng.numba_function(cube, ng.numba_function(cube_gradient, second, outputs=2))


def stats(x):
    return x.sum(), int(np.argmax(x)), x * 2


def stats_gradient(g_sum, g_index, g_twice, x, total, index, twice):
    assert total == x.sum() and twice.shape == x.shape
    return g_sum * np.ones_like(x) + 2 * g_twice


STATS = ng.numba_function(stats, stats_gradient, outputs=3)


def plain(x, a=2.0):
    """The same as an ordinary function."""
    return a * x * x * x


def test_eager():
    x = X.clone().requires_grad_()
    y = ONCE(x, 2.0)
    assert y.grad_fn.name() == "CubeBackward0"
    y.sum().backward()
    assert y.tolist() == [2, 16, 54] and x.grad is not None and x.grad.tolist() == [6, 24, 54]
    assert y.dtype is ng.float32  # the number does not promote
    assert ONCE(a=2.0, x=X).tolist() == y.tolist()
    assert ONCE(ng.tensor(2.0), 1.0).item() == 8


def test_gradcheck():
    x = ng.rand(4, dtype=ng.float64).requires_grad_()
    assert ng.autograd.gradcheck(lambda x: TWICE(x, 2.0), (x,))
    assert ng.autograd.gradgradcheck(lambda x: TWICE(x, 2.0), (x,))
    wrong = ng.numba_function(cube, lambda g, x, a: (g * x, None))
    assert not ng.autograd.gradcheck(lambda x: wrong(x, 2.0), (x,), raise_exception=False)


@pytest.mark.parametrize(
    ("transform", "x"),
    [
        (lambda f: ng.func.grad(lambda x: f(x).sum()), X),
        (lambda f: lambda x: ng.func.jvp(f, (x,), (X + 1,))[1], X),
        (lambda f: ng.func.jacrev(ng.func.jacrev(lambda x: f(x).sum())), X),
        (ng.vmap, ROWS),
        (lambda f: ng.vmap(ng.func.grad(lambda x: f(x).prod())), ROWS),
        (lambda f: f, ROWS.t()),
        (lambda f: f, ng.ones(0, 3)),
    ],
    ids=["grad", "jvp", "second", "vmap", "vmap-of-grad", "transposed", "empty"],
)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_like_the_built_in_ones(transform, x, compiled):
    ours = transform(lambda x: TWICE(x.sin(), 2.0) + 1)
    theirs = transform(lambda x: plain(x.sin()) + 1)
    found = ng.compile(ours)(x) if compiled else ours(x)
    assert ng.allclose(found, theirs(x), rtol=1e-5)


def test_a_compiled_training_step():
    w = X.clone().requires_grad_()

    @ng.compile
    def step():
        loss = (ONCE(w, 1.0) ** 2).sum()
        loss.backward()
        with ng.no_grad():
            w.sub_(w.grad * 1e-3)
        w.grad = None  # type: ignore[method-assign]
        return loss

    losses = [step().item() for _ in range(3)]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 3


def test_several_outputs():
    x = X.clone().requires_grad_()
    total, index, twice = STATS(x)
    assert (total.shape, index.dtype, index.requires_grad) == ((), ng.int64, False)
    (total * 10 + twice.sum()).backward()
    assert x.grad is not None and x.grad.tolist() == [12, 12, 12]
    for ours, same in zip(ng.compile(lambda x: STATS(x))(X), (total, index, twice), strict=True):
        assert ours.tolist() == same.tolist() and ours.dtype is same.dtype


def test_a_result_that_is_an_argument_is_copied():
    same = ng.numba_function(lambda x: x)
    y = same(X)
    y.add_(1)
    assert X.tolist() == [1, 2, 3]


def test_no_second_derivative_without_a_rule():
    x = X.clone().requires_grad_()
    (g,) = ng.autograd.grad(ONCE(x, 1.0).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"make its backward a numba_function .*cube_gradient"):
        g.sum().backward()
    with pytest.raises(RuntimeError, match="gradient of cube cannot be differentiated"):
        ng.func.jvp(lambda x: ONCE(x, 1.0), (X,), (X,))


def test_no_gradient_without_a_backward():
    x = X.clone().requires_grad_()
    y = ng.numba_function(cube)(x, 1.0)
    with pytest.raises(RuntimeError, match="cube has no gradient: give its numba_function"):
        y.sum().backward()


def test_shapes_in_a_compiled_function():
    found = ng.numba_function(lambda x: np.flatnonzero(x))
    assert found(X - 1).tolist() == [1, 2]
    late = ng.compile(lambda x: found(x) * 2)
    assert late(X).tolist() == [0, 2, 4]
    with pytest.raises(RuntimeError, match=r"shape \(2,\).*for ones it was \(3,\).*give a rule"):
        late(X - 1)

    seen = []

    def shape(x, n):
        seen.append((x.shape, x.dtype, n))
        return (n,), ng.float64

    filled = ng.numba_function(lambda x, n: np.full(n, x.sum(), np.float64), shape=shape)
    assert ng.compile(lambda x: filled(x, 2) + 1)(X).tolist() == [7, 7]
    assert seen == [((3,), ng.float32, 2)]
    lying = ng.numba_function(lambda x: x[:1], shape=lambda x: (x.shape, x.dtype))
    with pytest.raises(RuntimeError, match=r"shape rule says \(3,\)"):
        ng.compile(lambda x: lying(x) + 1)(X)


THREE: Any = 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ng.numba_function(THREE), TypeError, "forward must be a function, got int"),
        (lambda: ng.numba_function(cube, THREE), TypeError, "backward must be a function"),
        (lambda: ng.numba_function(cube, outputs=0), ValueError, "positive number, got 0"),
        (lambda: ONCE(2.0, 3.0), TypeError, "one argument at least"),
        (lambda: ONCE(X, "a"), TypeError, "argument 1 must be a tensor or a number, got str"),
        (lambda: ONCE(X, np.ones(3)), TypeError, "convert arrays with ng.from_numpy"),
        (lambda: ONCE(X), TypeError, "missing a required argument: 'a'"),
        (lambda: ONCE(X.half(), 2.0), TypeError, r"float16; pass x.float\(\)"),
        (lambda: ng.numba_function(stats)(X), RuntimeError, "must return 1 array, got 3"),
        (lambda: ng.numba_function(lambda x: "a")(X), RuntimeError, "arrays or numbers, got str"),
        (lambda: ng.numba_function(cube, lambda g: g)(X, 1.0), TypeError, "it takes 1 in all"),
        (
            lambda: ng.numba_function(numba.njit(lambda x: x.nothing))(X),
            TypeError,
            r"cannot compile <lambda> for \(float32\[3\]\): Unknown attribute 'nothing'",
        ),
    ],
)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "Failed in nopython" not in str(caught.value)


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        (lambda g, x, a: (g[:1], None), r"index 0 - got \[1\] but expected the shape \[3\]"),
        (lambda g, x, a: g, "must return a gradient for each of the 2 arguments of cube, got 1"),
    ],
)
def test_a_backward_that_is_wrong(backward, message):
    y = ng.numba_function(cube, backward)(X.clone().requires_grad_(), 1.0)
    with pytest.raises(RuntimeError, match=message):
        y.sum().backward()


def test_gradients_are_cast_to_the_arguments_dtypes():
    x = X.clone().requires_grad_()
    ng.numba_function(cube, lambda g, x, a: (g.astype(np.float64), None))(x, 1.0).sum().backward()
    assert x.grad is not None and x.grad.dtype is ng.float32


@pytest.mark.parametrize("shapes", [((3, 1), (4,)), ((), (2, 3)), ((1,), (3, 1, 2))])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_gradients_of_what_was_broadcast(shapes, compiled):
    product = ng.numba_function(lambda x, y: x * y, lambda g, x, y: (g * y, g * x))
    x, y = (ng.rand(*s, requires_grad=True) for s in shapes)
    f = ng.compile(lambda x, y: product(x, y).sum()) if compiled else product
    f(x, y).sum().backward()
    for ours, theirs in zip((x.grad, y.grad), ng.autograd.grad((x * y).sum(), (x, y)), strict=True):
        assert ours is not None and ours.shape == theirs.shape and ng.allclose(ours, theirs)


def test_what_the_function_raises_is_passed_on():
    def fail(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ng.numba_function(fail)(X)


def test_numba_is_not_imported():
    code = (
        "import sys, numbagrad as ng\n"
        "ng.numba_function(lambda x: x + 1)(ng.ones(2))\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
