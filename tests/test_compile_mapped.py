"""Gradients through a call of a compiled function for many cotangents at once."""

from __future__ import annotations

import pytest

import numbagrad as ng


def f(x):
    y = x.sin() * x
    return (y @ ng.ones(3, 2, dtype=x.dtype)).exp() * y.sum(), y * 2


def tensors():
    x = ng.linspace(-1, 1, 6, dtype=ng.float64).reshape(2, 3).requires_grad_()
    return x, ng.eye(4, dtype=ng.float64).reshape(4, 2, 2)


@pytest.mark.parametrize("create_graph", [False, True])
def test_batched_gradients(create_graph):
    def gradients(fn):
        x, rows = tensors()
        out, _ = fn(x)
        (g,) = ng.autograd.grad(
            out, x, rows, is_grads_batched=True, create_graph=create_graph, retain_graph=True
        )
        if not create_graph:
            assert not g.requires_grad
            return [g]
        # The graph leads on to x, and to what the cotangents were made of.
        (second,) = ng.autograd.grad((g**2).sum(), x)
        return [g.detach(), second]

    for ours, expected in zip(gradients(ng.compile(f)), gradients(f), strict=True):
        assert ng.allclose(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "transform", [ng.func.jacrev, lambda f: ng.func.jacrev(ng.func.jacrev(f)), ng.func.hessian]
)
def test_jacobians(transform):
    x = tensors()[0].detach()[0]

    def vector(x):
        return x.sin() * x.sum()

    expected = transform(vector)(x)
    assert ng.allclose(transform(ng.compile(vector))(x), expected, rtol=1e-12, atol=1e-12)


def test_one_gradient_of_several_outputs():
    x, _ = tensors()
    both = ng.compile(f)(x)
    expected = f(x)
    rows = ng.eye(6, dtype=ng.float64).reshape(6, 2, 3)
    for outs in (both, expected):
        (g,) = ng.autograd.grad(outs[1], x, rows, is_grads_batched=True)
        assert ng.allclose(
            g, ng.autograd.functional.jacobian(lambda x: f(x)[1], x).reshape(6, 2, 3)
        )


def test_vectorized_functional():
    x = tensors()[0].detach()
    first = ng.compile(lambda x: f(x)[0])
    jacobian = ng.autograd.functional.jacobian
    expected = jacobian(lambda x: f(x)[0], x)
    assert ng.allclose(jacobian(first, x, vectorize=True), expected)


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_random_numbers_are_those_of_the_call(create_graph):
    x = ng.ones(50, dtype=ng.float64, requires_grad=True)
    drop = ng.compile(lambda x: ng.nn.functional.dropout(x * 3, 0.5))
    out = drop(x)
    (g,) = ng.autograd.grad(
        out, x, ng.eye(50, dtype=ng.float64), is_grads_batched=True, create_graph=create_graph
    )
    assert ng.equal(g.diagonal(), out.detach())


def test_anomaly_mode_sees_through_vmap():
    rows = ng.zeros(2, 3)
    for fn in (lambda x: (x.sqrt() * 0).sum(), ng.compile(lambda x: (x.sqrt() * 0).sum())):
        with (
            ng.autograd.set_detect_anomaly(True),
            pytest.warns(UserWarning, match="Error detected"),
            pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan"),
        ):
            ng.func.vmap(ng.func.grad(fn))(rows)
