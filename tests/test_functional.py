"""`autograd.functional` and `GradientAccumulator`."""

from __future__ import annotations

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

EXPECTED = expected()
functional = ng.autograd.functional


@pytest.mark.parametrize("name", programs("functional"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


def test_jacobian_of_nothing():
    """PyTorch raises here."""
    x = ng.ones(2)
    assert functional.jacobian(lambda x: x[:0], x).shape == (0, 2)


def test_hessian_is_symmetric_and_agrees_with_products():
    w = ng.rand(4, 4, dtype=ng.float64)
    f = lambda x: ((w @ x).sin() * x).sum()  # noqa: E731
    x, v = ng.rand(4, dtype=ng.float64), ng.rand(4, dtype=ng.float64)
    h = functional.hessian(f, x)
    assert ng.allclose(h, h.T)
    assert ng.allclose(functional.hvp(f, x, v)[1], h @ v)
    assert ng.allclose(functional.vhp(f, x, v)[1], v @ h)


def test_strategies_agree_and_map_one_pass():
    calls = []

    def f(x, y):
        calls.append(x)
        return x.exp() * y.sum(), x.prod()

    args = ng.rand(3, dtype=ng.float64), ng.rand(2, dtype=ng.float64)
    rows = functional.jacobian(f, args)
    calls.clear()
    for found in (
        functional.jacobian(f, args, vectorize=True),
        functional.jacobian(f, args, vectorize=True, strategy="forward-mode"),
    ):
        for a, b in zip(rows, found, strict=True):
            for p, q in zip(a, b, strict=True):
                assert ng.allclose(p, q)
    assert len(calls) == 2


def test_messages_name_the_argument():
    with pytest.raises(TypeError, match=r"inputs given to vjp .* given inputs has type"):
        functional.vjp(lambda x: x, [1.0])
    with pytest.raises(RuntimeError, match="v has invalid size"):
        functional.jvp(lambda x: x, ng.ones(2), ng.ones(3))


def test_third_derivative_inside_a_compiled_function():
    f = lambda x: functional.hvp(lambda t: (t**4).sum(), x, ng.ones(3))[1]  # noqa: E731
    x = ng.rand(3)
    assert ng.allclose(ng.compile(f)(x), 12 * x**2)


# -- GradientAccumulator --------------------------------------------------------------------------


def test_accumulates_the_mean_gradient():
    w, unused = ng.rand(3, requires_grad=True), ng.rand(2, requires_grad=True)
    batches = [ng.rand(5, 3) for _ in range(4)]
    collected = ng.autograd.GradientAccumulator(iter([w, unused]))
    for x in batches:
        (x @ w).tanh().mean().backward()
        collected.accumulate()
        assert w.grad is None
    collected.average()
    (mean,) = ng.autograd.grad((ng.cat(batches) @ w).tanh().mean(), w)
    assert collected.count == 4 and ng.allclose(w.grad, mean) and unused.grad is None
    collected.average()
    assert ng.allclose(w.grad, mean)
    collected.reset()
    assert collected.count == 0
    with pytest.raises(RuntimeError, match="nothing to average"):
        collected.average()


def test_gradients_of_an_average_can_be_clipped():
    w = ng.ones(3, requires_grad=True)
    collected = ng.autograd.GradientAccumulator(w)
    for _ in range(2):
        (w * 10).sum().backward()
        collected.accumulate()
    collected.average()
    assert float(ng.nn.utils.clip_grad_norm_([w], 1.0)) == pytest.approx(10 * 3**0.5)
    assert float(w.grad.norm()) == pytest.approx(1.0, rel=1e-4)
