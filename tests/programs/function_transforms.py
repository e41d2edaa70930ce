"""Custom Functions under the transforms: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


def product(lib, log=None, **members):
    """x * y and x + n, with everything a Function may have but `vmap`."""

    class Product(lib.autograd.Function):
        @staticmethod
        def forward(x, y, n):
            return x * y, x + n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, y, ctx.n = inputs
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)

        @staticmethod
        def backward(ctx, a, b):
            x, y = ctx.saved_tensors
            return a * y + b, a * x, None

        @staticmethod
        def jvp(ctx, tx, ty, tn):
            if log is not None:
                log.append([tx is None, ty is None, tn is None])
            x, y = ctx.saved_tensors
            return tx * y + ty * x, tx

    for name, value in members.items():
        setattr(Product, name, value)
    return Product


def scaled(lib, **members):
    """A Function whose derivatives are not those of its forward, to see which are used."""

    class Scaled(lib.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, y):
            return x * y.sum()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return 2 * g * y.sum(), 2 * (g * x).sum().expand_as(y)

        @staticmethod
        def jvp(ctx, tx, ty):
            x, y = ctx.saved_tensors
            return 3 * (tx * y.sum() + x * ty.sum())

    for name, value in members.items():
        setattr(Scaled, name, value)
    return Scaled


def pair(lib):
    return lib.tensor([1.0, 2.0]), lib.tensor([3.0, 4.0])


@program
def function_jvp(lib):
    x, y = pair(lib)
    log = []
    F = product(lib, log)
    both = lib.func.jvp(lambda x, y: F.apply(x, y, 2), (x, y), (y, x))
    one = lib.func.jvp(lambda x: F.apply(x, y, 2), (x,), (y,))
    return both, one, log


@program
def function_jvp_without_materialized_tangents(lib):
    x, y = pair(lib)
    log = []

    def setup(ctx, inputs, output):
        ctx.set_materialize_grads(False)

    def jvp(ctx, tx, ty, tn):
        log.append([tx is None, ty is None, tn is None])
        return tx, tx

    F = product(lib, setup_context=staticmethod(setup), jvp=staticmethod(jvp))
    return lib.func.jvp(lambda x: F.apply(x, y, 2), (x,), (y,)), log


@program
def function_jvp_that_is_wrong(lib):
    x, y = pair(lib)

    def given(jvp, **members):
        F = product(lib, jvp=staticmethod(jvp), **members)
        return outcome(lambda: lib.func.jvp(lambda x, y: F.apply(x, y, 2), (x, y), (x, y)))

    def fixed(ctx, inputs, output):
        ctx.mark_non_differentiable(output[1])

    fixed_second = {"setup_context": staticmethod(fixed)}
    return [
        given(lambda ctx, a, b, n: a),
        given(lambda ctx, a, b, n: (a, b, b)),
        given(lambda ctx, a, b, n: (a[:1], b)),
        given(lambda ctx, a, b, n: (3, b)),
        given(lambda ctx, a, b, n: [a, b]),
        given(lambda ctx, a, b, n: (a, b), **fixed_second),
        given(lambda ctx, a, b, n: (a, None), **fixed_second),
    ]


@program
def function_without_jvp(lib):
    x, y = pair(lib)
    F = product(lib)
    del F.jvp
    return outcome(lambda: lib.func.jvp(lambda x: F.apply(x, y, 2), (x,), (y,)))


@program
def function_jvp_is_differentiable(lib):
    x, y = pair(lib)
    F = product(lib)
    w = leaf(lib, 5.0, 6.0)
    (_, t) = lib.func.jvp(lambda x: F.apply(x, w, 2)[0] * w, (x,), (y,))
    t.sum().backward()
    return t, w.grad


@program
def function_in_func_grad(lib):
    x, y = pair(lib)
    F = product(lib)
    f = lambda x, y: (F.apply(x, y, 2)[0] ** 2).sum()  # noqa: E731
    once = lib.func.grad(f, argnums=(0, 1))(x, y)
    twice = lib.func.grad(lambda x: lib.func.grad(f)(x, y).sum())(x)
    _, pull = lib.func.vjp(lambda x, y: F.apply(x, y, 2), x, y)
    return once, twice, pull((x, y))


@program
def function_forward_over_reverse(lib):
    x, y = pair(lib)
    F = product(lib)
    f = lambda x: (F.apply(x, y, 2)[0] ** 3).sum()  # noqa: E731
    return lib.func.jvp(lib.func.grad(f), (x,), (y,))


@program
def function_reverse_over_forward(lib):
    x, y = pair(lib)
    F = product(lib)
    f = lambda x: (F.apply(x, y, 2)[0] ** 3).sum()  # noqa: E731
    return lib.func.grad(lambda x: lib.func.jvp(f, (x,), (y,))[1])(x)


@program
def function_with_its_own_vmap(lib):
    log = []

    def vmap(info, in_dims, x, y, n):
        log.append([info.batch_size, info.randomness, in_dims[1:], x.dim(), y.dim()])
        return F.apply(x, y, n), (in_dims[0], in_dims[0])

    F = product(lib, vmap=staticmethod(vmap))
    x = lib.arange(6.0).reshape(3, 2).requires_grad_()
    y = lib.tensor([3.0, 4.0], requires_grad=True)
    a, b = lib.vmap(lambda x: F.apply(x, y, 2))(x)
    (a * b).sum().backward()
    return a, b, x.grad, y.grad, log


@program
def function_vmap_with_other_out_dims(lib):
    def vmap(info, in_dims, x, y, n):
        return (F.apply(x, y, n)[0].t(), lib.ones(2)), (1, None)

    F = product(lib, vmap=staticmethod(vmap))
    x, y = lib.arange(6.0).reshape(3, 2), lib.tensor([3.0, 4.0])
    return lib.vmap(lambda x: F.apply(x, y, 2))(x)


@program
def function_vmap_that_is_wrong(lib):
    x, y = lib.arange(6.0).reshape(3, 2), lib.tensor([3.0, 4.0])

    def given(rule, **members):
        F = scaled(lib, vmap=staticmethod(rule), generate_vmap_rule=False, **members)
        return outcome(lambda: lib.vmap(F.apply, (0, None))(x, y))

    both = scaled(lib, vmap=staticmethod(lambda info, dims, x, y: (x, 0)))
    neither = scaled(lib, generate_vmap_rule=False)
    return [
        given(lambda info, dims, x, y: x),
        given(lambda info, dims, x, y: (x, 0, 0)),
        given(lambda info, dims, x, y: (x, 0)),
        outcome(lambda: lib.vmap(both.apply, (0, None))(x, y)),
        outcome(lambda: lib.vmap(neither.apply, (0, None))(x, y)),
    ]


@program
def function_without_setup_context_in_transforms(lib):
    class Old(lib.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(ctx, x):
            return x.exp()

        @staticmethod
        def backward(ctx, g):
            return g

        @staticmethod
        def jvp(ctx, t):
            return t

    x, y = pair(lib)
    return [
        outcome(lambda: lib.vmap(Old.apply)(x)),
        outcome(lambda: lib.func.jvp(Old.apply, (x,), (y,))),
    ]


@program
def function_with_generated_vmap(lib):
    F = scaled(lib)
    x = lib.arange(6.0).reshape(3, 2).requires_grad_()
    y = lib.tensor([3.0, 4.0], requires_grad=True)
    out = lib.vmap(F.apply, (0, None))(x, y)
    out.sum().backward()
    return out, x.grad, y.grad


@program
def function_with_generated_vmap_along_other_dims(lib):
    F = scaled(lib)
    x = lib.arange(6.0).reshape(3, 2).requires_grad_()
    y = lib.arange(12.0).reshape(2, 3, 2).requires_grad_()
    out = lib.vmap(F.apply, in_dims=(1, 2), out_dims=1)(x, y)
    (out * out).sum().backward()
    return out, x.grad, y.grad


@program
def function_with_generated_vmap_twice(lib):
    F = scaled(lib)
    x = lib.arange(12.0).reshape(2, 3, 2).requires_grad_()
    y = lib.arange(6.0).reshape(3, 2).requires_grad_()
    out = lib.vmap(lib.vmap(F.apply), (0, None))(x, y)
    (out * x).sum().backward()
    return out, x.grad, y.grad


@program
def function_in_vmap_of_grad(lib):
    F = scaled(lib)
    x, y = lib.arange(6.0).reshape(3, 2), lib.tensor([3.0, 4.0])
    per_sample = lib.vmap(lib.func.grad(lambda y, x: F.apply(x, y).pow(2).sum()), (None, 0))(y, x)
    jacobian = lib.func.jacrev(lambda x: F.apply(x, y))(x[0])
    return per_sample, jacobian


@program
def function_in_jacfwd_and_hessian(lib):
    F = scaled(lib)
    x, y = pair(lib)
    return [
        lib.func.jacfwd(lambda x: F.apply(x, y))(x),
        lib.func.jacfwd(lambda y: F.apply(x, y))(y),
        lib.func.hessian(lambda x: F.apply(x, x).pow(2).sum())(x),
        lib.func.jacrev(lib.func.jacrev(lambda x: F.apply(x, x).pow(2).sum()))(x),
    ]


@program
def function_in_jvp_of_vmap(lib):
    F = scaled(lib)
    x, y = lib.arange(6.0).reshape(3, 2), lib.tensor([3.0, 4.0])
    return [
        lib.func.jvp(lambda x: lib.vmap(F.apply, (0, None))(x, y), (x,), (x + 1,)),
        lib.func.jvp(lambda y: lib.vmap(F.apply, (0, None))(x, y), (y,), (y,)),
        lib.vmap(lambda x: lib.func.jvp(F.apply, (x, y), (x, y))[1])(x),
    ]


@program
def function_generated_vmap_saves_outputs_and_attributes(lib):
    class Root(lib.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, n):
            return x.sqrt() * n, x.round()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.n = inputs[1]
            ctx.save_for_backward(output[0])
            ctx.mark_non_differentiable(output[1])

        @staticmethod
        def backward(ctx, g, _):
            (y,) = ctx.saved_tensors
            return g * ctx.n**2 / (2 * y), None

    x = lib.tensor([[1.0, 4.0], [9.0, 2.5]], requires_grad=True)
    y, r = lib.vmap(lambda x: Root.apply(x, 3))(x)
    y.sum().backward()
    return y, r.detach(), x.grad


@program
def function_vmap_in_an_outer_gradient(lib):
    F = scaled(lib)
    x, y = lib.arange(6.0).reshape(3, 2), lib.tensor([3.0, 4.0])
    f = lambda x, y: lib.vmap(F.apply, (0, None))(x, y).pow(2).sum()  # noqa: E731
    once = lib.func.grad(f, argnums=(0, 1))(x, y)
    twice = lib.func.grad(lambda y: lib.func.grad(f)(x, y).sum())(y)
    return once, twice


@program
def function_of_a_closed_over_tensor_in_vmap(lib):
    F = product(lib)
    x, y = pair(lib)
    return outcome(lambda: lib.vmap(lambda z: z * 2)(F.apply(x, y, 1)[0]))


@program
def function_with_keyword_arguments_in_grad(lib):
    class Power(lib.autograd.Function):
        @staticmethod
        def forward(x, n=2):
            return x**n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.n * x ** (ctx.n - 1), None

    x = lib.tensor(2.0)
    return [
        lib.func.grad(Power.apply)(x),
        lib.func.grad(lambda x: Power.apply(x, n=3))(x),
        lib.func.grad(lib.func.grad(lambda x: Power.apply(x, 3)))(x),
    ]


@program
def function_marks_dirty_in_grad_and_vmap(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(x):
            return x.mul_(2)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.mark_dirty(inputs[0])

        @staticmethod
        def backward(ctx, g):
            return g * 2

        @staticmethod
        def vmap(info, in_dims, x):
            return Double.apply(x), in_dims[0]

    def f(x):
        y = x.clone()
        z = Double.apply(y)
        return (z * y).sum(), z is y

    x = lib.arange(4.0).reshape(2, 2)
    log = []

    def g(x):
        value, same = f(x)
        log.append(same)
        return value

    return lib.func.grad(g)(x), lib.vmap(g)(x), lib.vmap(lib.func.grad(g))(x), log


# -- dual tensors ---------------------------------------------------------------------------------


def old_exponential(lib, log=None):
    """The style in which forward saves on ctx; its derivatives are not those of exp."""

    class Exponential(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, n=1):
            y = (x * n).exp()
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)
            ctx.n = n
            ctx.y = y
            if log is not None:
                log.append(lib.is_grad_enabled())
            return y

        @staticmethod
        def backward(ctx, g):
            _, y = ctx.saved_tensors
            return 2 * g * y, None

        @staticmethod
        def jvp(ctx, t, n=None):
            x, y = ctx.saved_tensors
            if log is not None:
                log.append([n, ctx.n, y is ctx.y, ctx.needs_input_grad[0]])
            return 3 * t * ctx.y + 0 * x

    return Exponential


@program
def function_of_a_dual_tensor(lib):
    fa = lib.autograd.forward_ad
    x, y = pair(lib)
    log = []
    F = old_exponential(lib, log)
    with fa.dual_level():
        d = fa.make_dual(x, y)
        p, t = fa.unpack_dual(F.apply(d))
        q, s = fa.unpack_dual(F.apply(d * 2, 3) * d)
        new = fa.unpack_dual(product(lib).apply(d, y, 2)[0])
        plain = fa.unpack_dual(F.apply(x)).tangent
    return p, t, q, s, list(new), plain, log


@program
def function_of_a_dual_tensor_that_requires_grad(lib):
    fa = lib.autograd.forward_ad
    x, v = leaf(lib, 1.0, 2.0), lib.tensor([3.0, 4.0])
    F = old_exponential(lib)
    with fa.dual_level():
        d = fa.make_dual(x, v)
        p, t = fa.unpack_dual(F.apply(d))
        (g,) = lib.autograd.grad(p.sum(), x, retain_graph=True)
        (h,) = lib.autograd.grad(t.sum(), x, allow_unused=True)
        (k,) = lib.autograd.grad(F.apply(d).sum(), x)
    return p, t, g, h, k


@program
def function_of_a_dual_tensor_without_jvp(lib):
    fa = lib.autograd.forward_ad
    x, v = pair(lib)
    F = old_exponential(lib)
    del F.jvp
    with fa.dual_level():
        d = fa.make_dual(x, v)
        first = outcome(lambda: F.apply(d) and None)
        p = F.apply(x)
    return first, p


@program
def function_changes_a_dual_tensor_in_place(lib):
    fa = lib.autograd.forward_ad

    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def jvp(ctx, t):
            return t.mul_(5)

    x, v = pair(lib)
    with fa.dual_level():
        d = fa.make_dual(x.clone(), v.clone())
        e = Double.apply(d)
        return e is d, list(fa.unpack_dual(d)), list(fa.unpack_dual(d * 2))


@program
def function_with_several_dual_outputs(lib):
    fa = lib.autograd.forward_ad

    class Split(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.set_materialize_grads(False)
            return x * 2, y + 1

        @staticmethod
        def jvp(ctx, tx, ty):
            log.append([tx is None, ty is None])
            return tx * 2, tx

    log = []
    x, v = pair(lib)
    with fa.dual_level():
        d = fa.make_dual(x, v)
        outs = [fa.unpack_dual(o) for o in Split.apply(d, x)]
    return [[p, t] for p, t in outs], log


@program
def function_with_attributes_of_any_name(lib):
    names = (
        "constant", "shapes", "shape", "own", "saved", "saving", "forget", "dims", "saved_dims",
        "node", "given", "function", "inputs", "outputs", "x", "lower", "order", "edges", "hooks",
    )  # fmt: skip

    class Scale(lib.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, constant):
            return x * constant

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])
            ctx.save_for_forward(inputs[0])
            for i, name in enumerate(names):
                setattr(ctx, name, inputs[1] + i)

        @staticmethod
        def backward(ctx, g):
            log.append([getattr(ctx, name) for name in names])
            return g * ctx.constant, None

        @staticmethod
        def jvp(ctx, t, _):
            log.append([getattr(ctx, name) for name in names])
            return t * ctx.constant

    log = []
    x, v = pair(lib)
    w = leaf(lib, 1.0, 2.0)
    Scale.apply(w, 3).sum().backward()
    return [
        w.grad, lib.func.jvp(lambda x: Scale.apply(x, 5), (x,), (v,)),
        lib.vmap(lib.func.grad(lambda x: Scale.apply(x, 7)))(x),
        lib.func.jvp(lib.vmap(lambda x: Scale.apply(x, 9)), (x,), (v,)), log,
    ]  # fmt: skip
