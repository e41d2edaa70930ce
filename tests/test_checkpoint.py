"""Checkpointing: as in PyTorch; with modules; memory; under `compile`."""

from __future__ import annotations

import gc
import weakref

import pytest

import numbagrad as ng
from numbagrad.utils.checkpoint import (
    CheckpointError,
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)
from tests.programs import expected, programs, run, same

EXPECTED = expected()
variants = pytest.mark.parametrize("reentrant", [False, True])


@pytest.mark.parametrize("name", programs("recomputed"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


@variants
def test_a_model_trains_the_same(reentrant):
    def train(call):
        ng.manual_seed(0)
        model = ng.nn.Sequential(
            ng.nn.Linear(6, 16), ng.nn.Tanh(), ng.nn.Dropout(0.3), ng.nn.Linear(16, 2)
        )
        optimizer = ng.optim.SGD(model.parameters(), lr=0.1)
        x = ng.rand(8, 6, requires_grad=True)
        for _ in range(3):
            optimizer.zero_grad()
            (call(model, x) ** 2).sum().backward()
            optimizer.step()
        return [p.detach() for p in model.parameters()] + [x.grad]

    plain = train(lambda model, x: model(x))
    whole = train(lambda model, x: checkpoint(model, x, use_reentrant=reentrant))
    parts = train(lambda model, x: checkpoint_sequential(model, 2, x, use_reentrant=reentrant))
    assert all(ng.allclose(a, b) and ng.allclose(a, c) for a, b, c in zip(plain, whole, parts))


@variants
def test_what_is_inside_is_not_kept(reentrant):
    kept = []

    def f(x):
        y = x.exp()
        kept.append(weakref.ref(y._data))
        return y.sin().sum()

    x = ng.rand(5, requires_grad=True)
    gc.disable()
    try:
        y = checkpoint(f, x, use_reentrant=reentrant)
        assert kept[0]() is None
        y.backward()
        assert all(ref() is None for ref in kept)
    finally:
        gc.enable()


def test_graph_dies_with_its_output():
    x = ng.rand(5, requires_grad=True)
    gc.disable()
    try:
        y = checkpoint(lambda x: x.exp().sin(), x, use_reentrant=False)
        y.sum().backward(retain_graph=True)
        alive = weakref.ref(y.grad_fn)
        del y
        assert alive() is None
    finally:
        gc.enable()


def test_messages():
    first = [True]

    def f(x):
        again, first[0] = not first[0], False
        return x.exp() if again else x.exp().sin()

    y = checkpoint(f, ng.ones(2, requires_grad=True), use_reentrant=False)
    with pytest.raises(CheckpointError, match=r"during forward: 2\n.*recomputation: 1"):
        y.sum().backward()
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed"):
        checkpoint(lambda x: x * 2, ng.ones(2, requires_grad=True))
    with pytest.warns(UserWarning, match="None of the inputs"):
        checkpoint(lambda x: x * 2, ng.ones(2), use_reentrant=True)


def test_saved_tensors_are_handed_out_once():
    class Twice(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x * 1)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0] * ctx.saved_tensors[0]

    y = checkpoint(Twice.apply, ng.ones(1, requires_grad=True), use_reentrant=False)
    with pytest.raises(CheckpointError, match="already unpacked once"):
        y.backward()


def test_saved_outside_of_a_backward_pass():
    x = ng.rand(3, requires_grad=True)

    class Keeps(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

    y = checkpoint(Keeps.apply, x, use_reentrant=False)
    for _ in range(2):
        assert ng.allclose(y.grad_fn.saved_tensors[0], x)


def test_deep_nesting():
    def nest(depth):
        if not depth:
            return lambda x: x.sin()
        inner = nest(depth - 1)
        return lambda x: checkpoint(inner, x.exp() * 0.5, use_reentrant=False)

    x = ng.rand(3, dtype=ng.float64, requires_grad=True)
    assert ng.autograd.gradcheck(nest(4), x)


@variants
def test_inside_a_compiled_function(reentrant):
    w = ng.rand(3, 3, requires_grad=True)

    def step(x):
        y = checkpoint(lambda x: (x @ w).tanh().exp(), x, use_reentrant=reentrant)
        (y.sum() * 2).backward()
        return y.sum()

    x = ng.rand(4, 3, requires_grad=True)
    eager = step(x)
    expected, w.grad = w.grad, None
    assert ng.allclose(ng.compile(step)(x), eager)
    assert ng.allclose(w.grad, expected)


# -- selective ------------------------------------------------------------------------------------


def test_results_that_are_kept_are_not_computed_again():
    runs = []

    def policy(context, op, *args, **params):
        runs.append(op.name)
        return CheckpointPolicy.MUST_SAVE if op.name == "matmul" else False

    x, w = ng.rand(3, 3, requires_grad=True), ng.rand(3, 3, requires_grad=True)
    f = lambda x, w: ((x @ w).tanh() @ w).sum()  # noqa: E731
    first, second = create_selective_checkpoint_contexts(policy)
    evaluated, calls = second.evaluated, []
    second.evaluated = lambda op, args, params, run: evaluated(
        op, args, params, lambda: calls.append(op.name) or run()
    )
    y = checkpoint(f, x, w, use_reentrant=False, context_fn=lambda: (first, second))
    assert runs.count("matmul") == 2
    y.backward()
    assert "matmul" not in calls and "tanh" in calls
    for a, b in zip((x.grad, w.grad), ng.func.grad(f, (0, 1))(x.detach(), w.detach()), strict=True):
        assert ng.allclose(a, b)


def test_what_is_kept_is_not_changed_in_place():
    def f(x):
        y = x.sin()
        z = y * 2
        y.mul_(0)
        return (z.cos() + y).sum()

    x = ng.rand(3, requires_grad=True)
    keep = lambda: create_selective_checkpoint_contexts(["sin"])  # noqa: E731
    checkpoint(f, x, use_reentrant=False, context_fn=keep).backward()
    assert x.grad is not None and ng.allclose(x.grad, ng.func.grad(f)(x.detach()))


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (["cross_entropy"], "no op"),
        ([ng.mm, ng.logsumexp], "is made of several ops"),
        ([3], "3 is"),
    ],
)
def test_what_is_no_op_cannot_be_kept(ops, message):
    with pytest.raises(ValueError, match=message):
        create_selective_checkpoint_contexts(ops)


def test_ops_to_keep_may_be_functions():
    keep = lambda: create_selective_checkpoint_contexts([ng.matmul, ng.sin])  # noqa: E731
    x = ng.rand(2, 2, requires_grad=True)
    checkpoint(lambda x: (x @ x).sin().sum(), x, use_reentrant=False, context_fn=keep).backward()
    assert x.grad is not None


def test_debug_shows_what_ran_and_where():
    first = [True]

    def f(x):
        y = x.exp().sin() if first[0] else x.exp()
        first[0] = False
        return y.sum()

    y = checkpoint(f, ng.ones(2, requires_grad=True), use_reentrant=False, debug=True)
    with pytest.raises(CheckpointError, match=r"sin\(\[2\]\)  at .*test_checkpoint.py:\d+ in f"):
        y.backward()


def test_under_transforms():
    f = lambda x: (x.sin() * x.exp()).sum()  # noqa: E731
    g = lambda x: checkpoint(f, x, use_reentrant=False)  # noqa: E731
    rows = ng.rand(3, 2)
    assert ng.allclose(ng.vmap(ng.func.grad(g))(rows), ng.vmap(ng.func.grad(f))(rows))
    assert ng.allclose(ng.func.hessian(g)(rows[0]), ng.func.hessian(f)(rows[0]))
    x = rows.clone().requires_grad_()
    ng.vmap(g)(x).sum().backward()
    assert x.grad is not None and ng.allclose(x.grad, ng.vmap(ng.func.grad(f))(rows))
