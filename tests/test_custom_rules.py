"""Functions with derivatives of their own, and checkpoints, under all transforms."""

from __future__ import annotations

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import func

F64 = ng.float64


def t(*values):
    return ng.tensor(values[0] if len(values) == 1 else values, dtype=F64)


def close(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-12, 1e-12)


def reference(x, y):
    return {"a": x.sin() * y, "b": (x * y).sum()}


def doubling():
    """`reference` with twice its true derivative, so that a test sees that the rule was used."""

    @func.custom_vjp
    def fn(x, y):
        return reference(x, y)

    def forward(x, y):
        return fn(x, y), (x.cos(), x, y)

    def backward(residuals, g):
        cosine, x, y = residuals
        gx = g["a"] * cosine * y + g["b"] * y
        gy = g["a"] * x.sin() + g["b"] * x
        return 2 * gx, 2 * gy

    fn.defvjp(forward, backward)
    return fn


def doubling_forward():
    @func.custom_jvp
    def fn(x, y):
        return reference(x, y)

    @fn.defjvp
    def rule(primals, tangents):
        (x, y), (p, q) = primals, tangents
        product = x * q + y * p
        return fn(x, y), {"a": 2 * (x.cos() * y * p + x.sin() * q), "b": 2 * product.sum()}

    return fn


def loss(fn):
    def scalar(x, y):
        out = fn(x, y)
        return out["a"].sum() * 3 + out["b"]

    return scalar


X, Y = t(0.3, 0.7), t(1.1, -0.4)
XS, YS = ng.stack([X, X + 1, X - 2]), ng.stack([Y, Y * 2, Y + 1])
BOTH = (0, 1)
USES = {
    "grad": lambda f: func.grad(f, BOTH)(X, Y),
    "grad of one": lambda f: (func.grad(f, 1)(X, Y),),
    "backward": lambda f: backward(f),
    "jvp": lambda f: (func.jvp(f, (X, Y), (Y, X))[1],),
    "jvp of one": lambda f: (func.jvp(lambda x: f(x, Y), (X,), (Y,))[1],),
    "vmap of grad": lambda f: func.vmap(func.grad(f, BOTH))(XS, YS),
    "vmap of grad, one mapped": lambda f: func.vmap(func.grad(f, BOTH), (0, None))(XS, Y),
    "grad of vmap": lambda f: func.grad(lambda *a: func.vmap(f)(*a).sum(), BOTH)(XS, YS),
    "grad of vmap, one mapped": lambda f: func.grad(
        lambda x, y: func.vmap(f, (None, 1))(x, y.T).sum(), BOTH
    )(X, YS),
    "jvp of vmap": lambda f: (func.jvp(func.vmap(f), (XS, YS), (YS, XS))[1],),
    "vmap of jvp": lambda f: (func.vmap(lambda x, y: func.jvp(f, (x, y), (y, x))[1])(XS, YS),),
    "two vmaps": lambda f: (
        func.grad(lambda x: func.vmap(lambda y: func.vmap(f, (0, None))(x, y))(YS).sum())(XS),
    ),
    "linearize": lambda f: (func.linearize(f, X, Y)[1](Y, X),),
    "jacrev": lambda f: func.jacrev(f, BOTH)(X, Y),
    "jacfwd": lambda f: func.jacfwd(f, BOTH)(X, Y),
    "compiled grad": lambda f: ng.compile(func.grad(f, BOTH))(X, Y),
    "grad of compiled": lambda f: func.grad(ng.compile(f), BOTH)(X, Y),
    "compiled vmap of grad": lambda f: ng.compile(func.vmap(func.grad(f, BOTH)))(XS, YS),
}


def backward(f):
    x, y = X.clone().requires_grad_(), Y.clone().requires_grad_()
    f(x, y).backward()
    return x.grad, y.grad


@pytest.mark.parametrize("make", [doubling, doubling_forward])
@pytest.mark.parametrize("use", USES)
def test_the_rule_is_used(make, use):
    for found, expected in zip(USES[use](loss(make())), USES[use](loss(reference)), strict=True):
        close(found, 2 * expected)


def cube_by_vjp():
    fn = func.custom_vjp(lambda x: x**3)
    fn.defvjp(lambda x: (x**3, x * x), lambda square, g: (3 * square * g,))
    return fn


def cube_by_jvp():
    fn = func.custom_jvp(lambda x: x**3)
    fn.defjvp(lambda p, t: (fn(p[0]), 3 * p[0] ** 2 * t[0]))
    return fn


def cube_by_jvps():
    fn = func.custom_jvp(lambda x: x**3)
    fn.defjvps(lambda t, out, x: 3 * x**2 * t)
    return fn


def checkpointed_cube():
    return func.checkpoint(lambda x: x**3)


HIGHER = {
    "rr": lambda f: func.grad(func.grad(f)),
    "rrr": lambda f: func.grad(func.grad(func.grad(f))),
    "fr": func.hessian,
    "ff": lambda f: func.jacfwd(func.jacfwd(f)),
    "rf": lambda f: func.jacrev(func.jacfwd(f)),
    "rfr": lambda f: func.jacrev(func.jacfwd(func.jacrev(f))),
    "frf": lambda f: func.jacfwd(func.jacrev(func.jacfwd(f))),
}


@pytest.mark.parametrize("order", HIGHER)
@pytest.mark.parametrize(
    "make", [cube_by_vjp, cube_by_jvp, cube_by_jvps, checkpointed_cube], ids=lambda m: m.__name__
)
def test_higher_derivatives(make, order):
    fn = HIGHER[order](make())
    x = t(1.5, -2.0)
    expected = 6 * x if len(order) == 2 else 6 + 0 * x
    close(func.vmap(fn)(x), expected)
    close(fn(x[0]), expected[0])
    close(ng.compile(fn)(x[1]), expected[1])


def test_double_backward():
    for make in (cube_by_vjp, cube_by_jvp, checkpointed_cube):
        x = t(1.5).requires_grad_()
        (g,) = ng.autograd.grad(make()(x), x, create_graph=True)
        close(ng.autograd.grad(g, x)[0], 6 * x)


def test_complex_arguments():
    def by_vjp():
        fn = func.custom_vjp(lambda z: z * z)
        fn.defvjp(lambda z: (z * z, z), lambda z, g: (g * (2 * z).conj(),))
        return fn

    def by_jvp():
        fn = func.custom_jvp(lambda z: z * z)
        fn.defjvp(lambda p, t: (p[0] * p[0], 2 * p[0] * t[0]))
        return fn

    square = lambda z: z * z  # noqa: E731
    z = ng.tensor([1 + 2j, 0.5 - 1j], dtype=ng.complex128)
    v = ng.tensor([0.3 - 1j, 2 + 1j], dtype=ng.complex128)
    for fn in (by_vjp(), by_jvp(), func.checkpoint(square)):
        for use in (
            lambda f: func.jvp(f, (z,), (v,))[1],
            lambda f: func.vjp(f, z)[1](v)[0],
            lambda f: func.jvp(func.grad(lambda z: f(z).abs().sum()), (z,), (v,))[1],
            lambda f: func.vmap(func.grad(lambda z: f(z).abs()))(z),
        ):
            close(use(fn), use(square))


def test_integer_arguments_and_results():
    fn = func.custom_vjp(lambda x, i: (x[i], i + 1))
    fn.defvjp(
        lambda x, i: ((x[i], i + 1), (x, i)),
        lambda r, g: (ng.zeros_like(r[0]).index_add(0, r[1], g[0]), None),
    )
    i = ng.tensor([1, 1, 0])
    close(func.grad(lambda x: fn(x, i)[0].sum())(X), t(1.0, 2.0))
    _, pushed = func.jvp(lambda x: fn(x, i), (X,), (X,))
    close(pushed[0], X[i])
    assert pushed[1].tolist() == [0, 0, 0]
    mapped = func.vmap(func.grad(lambda x, i: fn(x, i)[0].sum()), (None, 0))(X, ng.stack([i, i]))
    close(mapped, t([1.0, 2.0], [1.0, 2.0]))


def test_residuals_and_results_are_pytrees_and_other_arguments_pass_through():
    seen = []
    fn = func.custom_vjp(lambda p, scale, name, x: {"y": p["w"] * x * scale}, nondiff_argnums=2)

    def backward(name, residuals, g):
        seen.append(name)
        _, scale, x = residuals["all"]
        return {"w": (g["y"] * x * scale).sum(), "unused": None}, None, None

    fn.defvjp(lambda p, s, name, x: (fn(p, s, name, x), {"all": (p, s, x)}), backward)
    p = {"w": t(2.0), "unused": t(1.0)}
    out = func.grad(lambda p: fn(p, 3.0, "name", X)["y"].sum())(p)
    close(out["w"], 3 * X.sum())
    close(out["unused"], t(0.0))
    assert seen == ["name"]
    close(fn(p, x=X, scale=3.0, name="other")["y"], 6 * X)


def test_a_method():
    class Scaled:
        @func.custom_jvp
        def __call__(self, x):
            return x * 2

    Scaled.__call__.defjvp(lambda p, t: (p[1] * 2, t[1] * 5))
    close(func.grad(Scaled().__call__)(t(1.0)), t(5.0))


def test_a_result_that_is_an_argument_keeps_its_own_history():
    fn = func.custom_vjp(lambda x: x)
    fn.defvjp(lambda x: (x, None), lambda _, g: (g * 7,))
    x = t(1.0).requires_grad_()
    y = fn(x)
    assert x.is_leaf and y.grad_fn.name() == "<lambda>Backward"
    (y + x).backward()
    close(x.grad, t(8.0))


def test_the_graph_is_freed_and_changes_are_noticed():
    fn = cube_by_vjp()
    x = t(1.0).requires_grad_()
    y = fn(x)
    y.backward()
    with pytest.raises(ng.errors.GraphFreedError, match="second time"):
        y.backward()
    a = x * 1
    y = fn(a)
    a.add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation"):
        y.backward()


def lost(rule, w):
    fn = rule(lambda x: x * w)
    if rule is func.custom_vjp:
        fn.defvjp(lambda x: (x * w, None), lambda _, g: (g,))
    else:
        fn.defjvp(lambda p, t: (p[0] * w, t[0]))
    return fn


def returning(result):
    fn = func.custom_vjp(lambda x: x * 2)
    fn.defvjp(lambda x: (x * 2, None), lambda _, g: result)
    return fn


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "no derivative yet", lambda: func.custom_vjp(lambda x: x)(X)),
        (TypeError, "no derivative yet", lambda: func.custom_jvp(lambda x: x)(X)),
        (TypeError, "takes a function", lambda: func.custom_vjp(3)),  # type: ignore[arg-type]
        (TypeError, "each of the 1 arguments", lambda: func.grad(returning(X))(t(1.0))),
        (TypeError, "each of the 1 arguments", lambda: func.grad(returning((X, X)))(t(1.0))),
        (TypeError, r"the shape .* \(\), got \(2,\)", lambda: func.grad(returning((X,)))(t(1.0))),
        (TypeError, "the structure", lambda: func.grad(returning(((X, X),)))(t(1.0))),
        (RuntimeError, "closes over a tensor that requires grad",
         lambda: func.grad(lost(func.custom_vjp, t(1.0).requires_grad_()))(t(1.0))),
        (RuntimeError, "closes over a tensor that vmap follows",
         lambda: func.vmap(lambda w: lost(func.custom_vjp, w)(w))(X)),
        (RuntimeError, "closes over a tensor that jvp follows",
         lambda: func.jvp(lambda w: lost(func.custom_jvp, w)(w), (X,), (X,))),
    ],
)  # fmt: skip
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call()


# -- checkpoint -----------------------------------------------------------------------------------


def test_checkpoint_runs_again_instead_of_keeping():
    runs = []

    def fn(x):
        runs.append(1)
        return x.sin().sin().sum()

    close(func.grad(func.checkpoint(fn))(X), func.grad(fn)(X))
    assert len(runs) == 3
    x = X.clone().requires_grad_()
    y = func.checkpoint(fn)(x)
    assert [n.name() for n, _ in y.grad_fn.next_functions] == ["AccumulateGrad"]


def test_checkpoint_closes_over_tensors_that_require_grad():
    w = t(2.0).requires_grad_()
    hooked = []
    w.register_hook(hooked.append)
    fn = lambda x: (w * x).sin().sum()  # noqa: E731
    found, expected = [], []
    for grads, f in ((found, func.checkpoint(fn)), (expected, fn)):
        for use in (
            f,
            lambda x, f=f: func.vmap(f)(x).sum(),
            lambda x, f=f: func.grad(f)(x).sum(),
            lambda x, f=f: func.jvp(f, (x,), (x,))[1],
            ng.compile(f),
        ):
            x = X.clone().requires_grad_()
            use(x).backward()
            grads += [w.grad, x.grad]
            w.grad = None
    for a, b in zip(found, expected, strict=True):
        close(a, b)
    assert len(hooked) == 10
    # A closed-over tensor that vmap follows.
    close(
        func.vmap(lambda v: func.grad(func.checkpoint(lambda x: (x * v).sin()))(v))(X),
        func.vmap(lambda v: func.grad(lambda x: (x * v).sin())(v))(X),
    )


def test_checkpoint_draws_the_same_random_numbers_again():
    def fn(x):
        return (x * ng.rand(2, dtype=F64)).sum()

    uses = [
        lambda f: func.grad(f)(X),
        lambda f: func.vmap(func.grad(f), randomness="different")(XS),
        lambda f: func.grad(lambda x: func.vmap(f, randomness="different")(x).sum())(XS),
        lambda f: ng.compile(func.grad(f))(X),
    ]
    for use in uses:
        results = []
        for f in (fn, func.checkpoint(fn)):
            ng.manual_seed(0)
            results.append(use(f))
        close(*results)
