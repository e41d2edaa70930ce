"""Custom Functions: programs for both libraries (see `programs`)."""

from __future__ import annotations

import gc
import weakref

from . import leaf, outcome, program


def make(lib, forward, backward, setup=None, **members):
    """A Function from plain functions."""
    members["forward"] = staticmethod(forward)
    if backward is not None:
        members["backward"] = staticmethod(backward)
    if setup is not None:
        members["setup_context"] = staticmethod(setup)
    return type("Custom", (lib.autograd.Function,), members)


def cube(lib):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g

    return make(lib, forward, backward)


@program
def function_with_saved_input(lib):
    x = leaf(lib, 1.0, 2.0)
    y = cube(lib).apply(x)
    y.sum().backward()
    return y, x.grad, y.grad_fn.name()


@program
def function_differentiated_again(lib):
    x = lib.tensor(2.0, dtype=lib.float64, requires_grad=True)
    found = []
    y = cube(lib).apply(x)
    for _ in range(3):
        (y,) = lib.autograd.grad(y, x, create_graph=True)
        found.append(y)
    return found


@program
def function_with_saved_output(lib):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * g

    x = leaf(lib, 0.5, 1.0)
    y = make(lib, forward, backward).apply(x)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@program
def function_dies_with_its_output(lib):
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(x, y)
        return y

    x = leaf(lib, 0.5, 1.0)
    y = make(lib, forward, lambda ctx, g: g).apply(x)
    gc.disable()
    try:
        dead = weakref.ref(y.grad_fn)
        del y
        return dead() is None
    finally:
        gc.enable()


@program
def function_with_setup_context(lib):
    found = []

    def setup(ctx, inputs, output):
        found.append((len(inputs), inputs[1], tuple(output.shape), ctx.needs_input_grad))
        ctx.power = inputs[1]
        ctx.save_for_backward(inputs[0])

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ctx.power * x ** (ctx.power - 1), None

    f = make(lib, lambda x, power=2: x**power, backward, setup)
    x = leaf(lib, 1.0, 3.0)
    (f.apply(x, 3) + f.apply(x) + f.apply(x, power=4)).sum().backward()
    return x.grad, found


@program
def function_with_keyword_arguments(lib):
    def forward(ctx, x, scale=1.0):
        ctx.scale = scale
        return x * scale

    x = leaf(lib, 1.0, 2.0)
    one = make(lib, forward, lambda ctx, g: g * ctx.scale)
    two = make(lib, forward, lambda ctx, g: (g * ctx.scale, None))
    two.apply(x, scale=3.0).sum().backward()
    return x.grad, outcome(lambda: one.apply(x, scale=3.0).sum().backward()), outcome(
        lambda: one.apply(x).sum().backward()
    )  # fmt: skip


@program
def function_gradients_of_wrong_number_or_kind(lib):
    results = (
        lambda g: (g, None), lambda g: g, lambda g: (g, g), lambda g: [g, None],
        lambda g: (g, None, None), lambda g: (g, None, g), lambda g: (1.0, None),
        lambda g: (), lambda g: None, lambda g: (None, None), lambda g: ("x", None),
    )  # fmt: skip
    found = []
    for result in results:
        x = leaf(lib, 1.0, 2.0)
        f = make(lib, lambda ctx, x, n: x * n, lambda ctx, g, result=result: result(g))
        found.append((outcome(lambda f=f, x=x: f.apply(x, 2).sum().backward()), x.grad))
    return found


@program
def function_gradients_of_wrong_shape_or_dtype(lib):
    results = (
        lib.ones(3), lib.ones(4, 2), lib.ones(()), lib.ones(1), lib.ones(2, 1),
        lib.ones(2).double(), lib.ones(2, dtype=lib.int64), lib.ones(2, dtype=lib.complex64),
        lib.ones(3, 1, 2),
    )  # fmt: skip
    found = []
    for result in results:
        x = leaf(lib, 1.0, 2.0)
        f = make(lib, lambda ctx, x: x * 2, lambda ctx, g, result=result: result)
        found.append((outcome(lambda f=f, x=x: f.apply(x).sum().backward()), x.grad))
    return found


@program
def function_of_several(lib):
    def forward(ctx, x, n, y, text):
        ctx.n = n
        ctx.save_for_backward(x, None, y)
        return x * y, n, x + y, text

    def backward(ctx, g, gn, h, gt):
        x, nothing, y = ctx.saved_tensors
        assert nothing is None and gn is None and gt is None
        return g * y + h, None, g * x + h, None

    f = make(lib, forward, backward)
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    a, n, b, text = f.apply(x, 5, y, "text")
    (a.sum() + 2 * b.sum()).backward(retain_graph=True)
    first = x.grad.clone(), y.grad.clone()
    a.sum().backward(retain_graph=True)
    only = lib.autograd.grad(b.sum(), y)
    return (
        first,
        n,
        text,
        x.grad,
        y.grad,
        only,
        len(a.grad_fn.next_functions),
        a.grad_fn is b.grad_fn,
    )


@program
def function_needs_input_grad(lib):
    found = []

    def forward(ctx, *xs):
        found.append(ctx.needs_input_grad)
        return xs[0] * 2

    f = make(lib, forward, lambda ctx, *g: (g[0] * 2, None, None))
    x, c = leaf(lib, 1.0), leaf(lib, 1.0, grad=False)
    f.apply(x, c, 3)
    f.apply(c, x, None)
    f.apply(c, c, c)
    with lib.no_grad():
        y = f.apply(x, c, x)
    return found, y


@program
def function_without_gradient(lib):
    f = make(lib, lambda ctx, x: x * 2, lambda ctx, g: g)
    c = leaf(lib, 1.0, grad=False)
    y = f.apply(c)
    with lib.no_grad():
        z = f.apply(leaf(lib, 1.0))
    with lib.inference_mode():
        w = f.apply(leaf(lib, 1.0))
    return y, z, w, w.is_inference()


@program
def function_forward_does_not_record(lib):
    found = []

    def forward(ctx, x):
        found.append((lib.is_grad_enabled(), (x * 2).requires_grad))
        with lib.enable_grad():
            y = x.sin()
            found.append(y.requires_grad)
        return y

    x = leaf(lib, 1.0)
    y = make(lib, forward, lambda ctx, g: g * 10).apply(x)
    y.backward()
    return found, x.grad, y.grad_fn.name()


@program
def function_materializes_gradients(lib):
    found = []

    def backward(ctx, g, h):
        found.append((g, h))
        return g

    def forward(ctx, x):
        return x * 2, x * 3

    def lazy(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    x = leaf(lib, 1.0, 2.0)
    make(lib, forward, backward).apply(x)[0].sum().backward()
    make(lib, lazy, backward).apply(x)[0].sum().backward()
    return found, x.grad


@program
def function_without_any_gradient_runs_all_the_same(lib):
    found = []

    def backward(ctx, g):
        found.append(g)
        return g

    first = make(lib, lambda ctx, x: x * 2, backward)
    last = make(lib, lambda ctx, x: x * 2, lambda ctx, g: None)
    x = leaf(lib, 1.0, 2.0)
    last.apply(first.apply(x)).sum().backward()
    return found, x.grad


@program
def function_outputs_without_gradient(lib):
    def forward(ctx, x):
        y, z = x * 2, x * 3
        ctx.mark_non_differentiable(z)
        return y, z, x > 1

    def backward(ctx, g, h, i):
        return g + h

    x = leaf(lib, 1.0, 2.0)
    y, z, mask = make(lib, forward, backward).apply(x)
    y.sum().backward()
    return y, z, mask, x.grad


@program
def function_returns_its_input(lib):
    f = make(lib, lambda ctx, x: x, lambda ctx, g: g * 10)
    x = leaf(lib, 1.0, 2.0)
    y = f.apply(x)
    y.sum().backward()
    c = leaf(lib, 1.0, grad=False)
    d = f.apply(c)
    with lib.no_grad():
        e = f.apply(x)
    return y is x, y._is_view(), y, x.grad, d is c, d, e is x, e, x.requires_grad, x.is_leaf


@program
def function_returns_one_of_two_inputs(lib):
    f = make(lib, lambda ctx, x, y: (x, x * y), lambda ctx, g, h: (g * 10 + h, h * 100))
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    a, b = f.apply(x, y)
    (a + b).sum().backward()
    return x.grad, y.grad, a._is_view(), outcome(lambda: a.mul_(2))


@program
def function_returns_a_view(lib):
    f = make(lib, lambda ctx, x: x.view(-1), lambda ctx, g: g.view(2, 1) * 10)
    x = lib.ones(2, 1, requires_grad=True)
    y = f.apply(x * 1)
    y.sum().backward()
    return y, x.grad, y._is_view(), outcome(lambda: f.apply(x * 1).add_(1))


@program
def function_view_after_its_base_changed(lib):
    f = make(lib, lambda ctx, x: x.view(-1), lambda ctx, g: g.view(2, 1) * 10)
    x = lib.ones(2, 1, requires_grad=True)
    base = x * 1
    y = f.apply(base)
    base.add_(1)
    return outcome(lambda: (y * 2).sum().backward())


@program
def function_in_place(lib):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    f = make(lib, forward, lambda ctx, g: g * 10)
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    b = f.apply(a)
    b.sum().backward()
    c = leaf(lib, 1.0, grad=False)
    d = f.apply(c)
    return (
        a is b, a, a._version, x.grad, d is c, c, c._version,
        outcome(lambda: f.apply(leaf(lib, 1.0))), a.grad_fn.name(),
    )  # fmt: skip


@program
def function_in_place_on_a_view(lib):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    f = make(lib, forward, lambda ctx, g: g * 10)
    x = leaf(lib, 1.0, 2.0, 3.0)
    a = x * 1
    part = a[:2]
    f.apply(part)
    (a * lib.tensor([1.0, 10.0, 100.0])).sum().backward()
    return a, x.grad


@program
def function_in_place_on_what_was_saved(lib):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    f = make(lib, forward, lambda ctx, g: g * 10)
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    b = a * a
    f.apply(a)
    return outcome(lambda: b.sum().backward())


@program
def function_dirty_that_is_not_returned(lib):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x + 1

    f = make(lib, forward, lambda ctx, g: g)
    return outcome(lambda: f.apply(leaf(lib, 1.0) * 1))


@program
def function_saved_tensor_changed(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    y = cube(lib).apply(a)
    a.add_(1)
    return outcome(lambda: y.sum().backward())


@program
def function_saves_what_is_no_tensor(lib):
    def forward(ctx, x):
        ctx.save_for_backward(3.0)
        return x * 2

    f = make(lib, forward, lambda ctx, g: g)
    return outcome(lambda: f.apply(leaf(lib, 1.0))), outcome(
        lambda: f.apply(leaf(lib, 1.0, grad=False))
    )


@program
def function_backward_twice(lib):
    x = leaf(lib, 1.0, 2.0)
    y = cube(lib).apply(x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    nothing_saved = make(lib, lambda ctx, x: x * 2, lambda ctx, g: g * 2).apply(x)
    nothing_saved.backward(lib.ones(2))
    nothing_saved.backward(lib.ones(2))
    return x.grad, outcome(lambda: y.sum().backward()), outcome(lambda: y.grad_fn.saved_tensors)


@program
def function_saved_tensors_are_the_inputs(lib):
    found = []

    def backward(ctx, g):
        saved, out = ctx.saved_tensors
        found.extend([saved is x, saved.is_leaf, out.grad_fn is not None, out.requires_grad])
        return g

    def forward(ctx, x):
        y = x * 2
        ctx.save_for_backward(x, y)
        return y

    x = leaf(lib, 1.0)
    make(lib, forward, backward).apply(x).backward()
    return found


@program
def function_differentiable_once(lib):
    from importlib import import_module

    once = import_module(f"{lib.__name__}.autograd.function").once_differentiable

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @once
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g

    f = make(lib, forward, backward)
    x = leaf(lib, 1.0, 2.0)
    f.apply(x).sum().backward()
    weights = leaf(lib, 1.0, 1.0)
    (g,) = lib.autograd.grad((f.apply(x) * weights).sum(), x, create_graph=True)
    (h,) = lib.autograd.grad(f.apply(x).sum(), x, create_graph=True)
    return x.grad, g, outcome(lambda: g.sum().backward()), h


@program
def function_vjp_is_backward(lib):
    both = make(lib, lambda ctx, x: x * 2, lambda ctx, g: g, vjp=staticmethod(lambda ctx, g: g))
    one = make(lib, lambda ctx, x: x * 2, None, vjp=staticmethod(lambda ctx, g: g * 2))
    none = make(lib, lambda ctx, x: x * 2, None)
    x = leaf(lib, 1.0)
    one.apply(x).backward()
    return (
        x.grad, outcome(lambda: both.apply(x).backward()),
        outcome(lambda: none.apply(x).backward()), outcome(lambda: lib.autograd.Function.apply(x)),
    )  # fmt: skip


@program
def function_hooks_and_retained_gradients(lib):
    found = []
    x = leaf(lib, 1.0, 2.0)
    y = cube(lib).apply(x)
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.grad_fn.register_hook(lambda gi, go: found.append((len(gi), len(go))))
    y.sum().backward()
    return x.grad, y.grad, found


@program
def function_returns_a_list(lib):
    f = make(lib, lambda ctx, x: [x * 2, 3], lambda ctx, g: g)
    y, n = f.apply(leaf(lib, 1.0))
    return y, n


@program
def function_input_saved_and_returned(lib):
    f = make(
        lib, lambda x: x, lambda ctx, g: g,
        lambda ctx, inputs, output: ctx.save_for_backward(output),
    )  # fmt: skip
    return outcome(lambda: f.apply(leaf(lib, 1.0)))


@program
def function_gradient_is_the_cotangent(lib):
    f = make(lib, lambda ctx, x, y: x + y, lambda ctx, g: (g, g))
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 1.0, 2.0)
    f.apply(x, y).sum().backward()
    x.grad.add_(1)
    return x.grad, y.grad


@program
def function_inside_function(lib):
    inner = cube(lib)

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return inner.apply(x) * g

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return inner.apply(x) * 2

    x = leaf(lib, 1.0, 2.0)
    y = make(lib, forward, backward).apply(x)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    return y, g, lib.autograd.grad(g.sum(), x)


@program
def function_of_complex(lib):
    f = make(lib, lambda ctx, z: z.real * 2, lambda ctx, g: g * 2)
    z = lib.tensor([1 + 2j, 3j], requires_grad=True)
    f.apply(z).sum().backward()
    return z.grad
