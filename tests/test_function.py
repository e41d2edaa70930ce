"""Custom Functions: as in PyTorch; messages; under `compile`; memory."""

from __future__ import annotations

import gc
import weakref

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same
from tests.programs.function_transforms import product, scaled

EXPECTED = expected()


@pytest.mark.parametrize("name", programs("functions", "function_transforms", "extending"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


class Square(ng.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 20 * x * g  # ten times the derivative, to tell who computed it


def test_apply_function():
    x = ng.tensor([1.0, 2.0], requires_grad=True)
    ng.autograd.apply_function(Square, [x]).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [20.0, 40.0]


def test_gradcheck_finds_a_wrong_backward():
    x = ng.rand(3, dtype=ng.float64, requires_grad=True)
    assert not ng.autograd.gradcheck(Square.apply, x, raise_exception=False)


def test_attributes_on_ctx_do_not_disturb_the_node():
    class Scaled(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x, order):
            ctx.order = ctx.edges = ctx.hooks = ctx.stack = ctx.name = ctx.n_outputs = order
            return x * order

        @staticmethod
        def backward(ctx, g):
            return g * ctx.order, None

    x = ng.ones(2, requires_grad=True)
    y = Scaled.apply(x, 3)
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert y.grad_fn.name() == "ScaledBackward"


def test_attributes_are_read_through_the_node():
    class Noted(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.note = "kept"
            return x * 1

    y = Noted.apply(ng.ones(1, requires_grad=True))
    assert y.grad_fn.note == "kept"
    with pytest.raises(AttributeError):
        _ = y.grad_fn.missing


def test_calling_an_instance_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"Square\.apply"):
        Square()(ng.ones(1))


def test_an_error_in_forward_gives_the_mode_back():
    class Fails(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            raise KeyError("from the user")

    with pytest.raises(KeyError):
        Fails.apply(ng.ones(1, requires_grad=True))
    assert ng.is_grad_enabled()


def test_what_was_saved_is_freed_by_backward():
    class Exp(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            kept.append(weakref.ref(y._data))
            ctx.save_for_backward(y)
            return y + 0

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    kept: list = []
    gc.disable()
    try:
        y = Exp.apply(ng.ones(3, requires_grad=True))
        assert kept[0]() is not None
        y.sum().backward()
        assert kept[0]() is None
    finally:
        gc.enable()


# -- inside compiled functions --------------------------------------------------------------------


def test_compiled_forward_and_backward_outside():
    f = ng.compile(lambda x: (Square.apply(x) * 2).sum())
    x = ng.tensor([1.0, 2.0], requires_grad=True)
    y = f(x)
    y.backward()
    assert float(y) == 10.0
    assert x.grad is not None and x.grad.tolist() == [40.0, 80.0]


def test_compiled_training_step():
    def step(w, x):
        loss = (Square.apply(x @ w) + x.sum()).mean()
        loss.backward()
        with ng.no_grad():
            w -= 0.01 * w.grad
            w.grad = None
        return loss

    start, x = ng.rand(3, 2), ng.rand(4, 3)
    eager, compiled = (start.clone().requires_grad_() for _ in range(2))
    fast = ng.compile(step)
    for _ in range(3):
        a, b = step(eager, x), fast(compiled, x)
        assert ng.allclose(a, b) and ng.allclose(eager, compiled)


def test_compiled_with_attributes_and_several_outputs():
    class Both(ng.autograd.Function):
        @staticmethod
        def forward(x, n):
            return x * n, x.sin(), n

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.n = inputs[1]
            ctx.save_for_backward(inputs[0])

        @staticmethod
        def backward(ctx, g, h, _):
            return g * ctx.n + h * ctx.saved_tensors[0].cos(), None

    def f(x):
        a, b, n = Both.apply(x, 3)
        return ng.autograd.grad((a * b * n).sum(), x)[0]

    x = ng.rand(4, requires_grad=True)
    assert ng.allclose(ng.compile(f)(x), f(x))


def test_compiled_once_differentiable_only_runs_in_backward():
    class Once(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @ng.autograd.function.once_differentiable
        def backward(ctx, g):
            return g * 2

    x = ng.ones(2, requires_grad=True)
    ng.compile(lambda x: Once.apply(x).sum())(x).backward()
    assert x.grad.tolist() == [2.0, 2.0]


X, Y = ng.tensor([1.0, 2.0]), ng.tensor([3.0, 4.0])
ROWS = ng.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
Product, Scaled = product(ng), scaled(ng)


@pytest.mark.parametrize(
    ("fn", "x"),
    [
        (lambda x: ng.func.jvp(lambda x: Product.apply(x, Y, 2)[0], (x,), (Y,))[1], X),
        (ng.func.grad(lambda x: Product.apply(x, Y, 2)[0].sin().sum()), X),
        (ng.func.hessian(lambda x: Product.apply(x, Y, 2)[0].pow(2).sum()), X),
        (ng.func.hessian(lambda x: Scaled.apply(x, x).pow(2).sum()), X),
        (lambda x: ng.vmap(Scaled.apply, (0, None))(x, Y), ROWS),
        (ng.vmap(ng.func.grad(lambda x: Scaled.apply(x, Y).pow(2).sum())), ROWS),
    ],
    ids=["jvp", "grad", "hessian", "hessian-generated", "vmap", "vmap-of-grad"],
)
def test_transforms_in_a_compiled_function(fn, x):
    assert ng.allclose(ng.compile(fn)(x), fn(x))


def test_transforms_of_a_compiled_function():
    fn = lambda x: Scaled.apply(x, Y).pow(2).sum()  # noqa: E731
    compiled = ng.compile(fn)
    for transform in (ng.vmap, lambda f: ng.vmap(ng.func.grad(f))):
        assert ng.allclose(transform(compiled)(ROWS), transform(fn)(ROWS))
    assert ng.allclose(ng.func.hessian(compiled)(X), ng.func.hessian(fn)(X))


def test_what_a_transform_misses_in_a_function_is_named():
    with pytest.raises(RuntimeError, match="Square does not"):
        ng.vmap(Square.apply)(X)
    with pytest.raises(RuntimeError, match="Product, but it does not have vmap support"):
        ng.vmap(lambda x: Product.apply(x, Y, 2))(ROWS)


def test_a_tensor_of_an_ended_transform_is_refused():
    kept = []
    ng.vmap(lambda x: kept.append(x) or x)(ROWS)
    with pytest.raises(RuntimeError, match="Product: a tensor that was made inside vmap"):
        Product.apply(kept[0], Y, 2)


def test_what_forward_mode_saved_is_let_go():
    class Twice(ng.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_forward(*inputs)
            held.append(weakref.ref(ctx))

        @staticmethod
        def jvp(ctx, t):
            assert len(ctx.saved_tensors) == 1
            return t * 2

    held: list = []
    gc.disable()
    try:
        ng.func.jvp(Twice.apply, (X,), (X,))
        assert held[0]() is None
    finally:
        gc.enable()
