"""Jacobians, Hessians and their products: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


def one(x):
    return x.sin() * x


def two(x, y):
    return x * y.sum(), (x**2).sum()


def scalar(x, y):
    return (x**2 * y).sum() + (y**3).sum()


def inputs(lib):
    return (
        lib.tensor([0.5, 1.0], dtype=lib.float64), lib.tensor([2.0, 3.0], dtype=lib.float64)
    )  # fmt: skip


@program
def functional_jacobian(lib):
    f = lib.autograd.functional.jacobian
    x, y = inputs(lib)
    return (
        f(one, x), f(one, (x,)), f(two, (x, y)), f(lambda x: (one(x),), x), f(lambda x: x.sum(), x),
        f(lambda x: lib.ones(3), x), f(lambda x: x * 0 + x.detach(), x),
        f(one, lib.ones(2, 1)), f(two, (x, y), vectorize=True),
        f(two, (x, y), vectorize=True, strategy="forward-mode"),
    )  # fmt: skip


@program
def functional_hessian(lib):
    f = lib.autograd.functional.hessian
    x, y = inputs(lib)
    cube = lambda x: (x**3).sum()  # noqa: E731
    return (
        f(cube, x), f(cube, (x,)), f(scalar, (x, y)), f(lambda x: cube(x).reshape(1, 1), x),
        f(lambda x, y: cube(x), (x, y)), f(lambda x: x.sum(), x),
        f(scalar, (x, y), vectorize=True),
    )  # fmt: skip


@program
def functional_products(lib):
    f = lib.autograd.functional
    x, y = inputs(lib)
    v = lib.tensor([1.0, -2.0], dtype=lib.float64)
    return (
        f.vjp(one, x, v), f.vjp(two, (x, y), (v, v.sum())), f.vjp(lambda x: x.prod(), x),
        f.jvp(one, x, v), f.jvp(two, (x, y), (v, v * 3)), f.jvp(one, x[:1]),
        f.vhp(scalar, (x, y), (v, v * 3)), f.vhp(lambda x: (x**3).sum(), x, v),
        f.hvp(scalar, (x, y), (v, v * 3)), f.hvp(lambda x: (x**3).sum(), x, v),
        f.vjp(lambda x, y: x * 2, (x, y), v), f.jvp(lambda x, y: x * 2, (x, y), (v, v)),
        f.vhp(lambda x, y: (x**2).sum(), (x, y), (v, v)),
        f.hvp(lambda x, y: (x**2).sum(), (x, y), (v, v)), f.vhp(lambda x: (x**3).sum(), x[:1]),
    )  # fmt: skip


@program
def functional_create_graph(lib):
    f = lib.autograd.functional
    found = []
    for name, fn, v in (
        ("jacobian", one, None), ("hessian", lambda x: (x**3).sum(), None),
        ("vjp", one, True), ("jvp", one, True), ("vhp", lambda x: (x**4).sum(), True),
        ("hvp", lambda x: (x**4).sum(), True),
    ):  # fmt: skip
        x = lib.tensor([0.5, 1.0], dtype=lib.float64, requires_grad=True)
        v = v and lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
        args = (fn, x) if v is None else (fn, x, v)
        plain = getattr(f, name)(*args)
        result = getattr(f, name)(*args, create_graph=True)
        if isinstance(result, tuple):
            plain, result = plain[1], result[1]
        found.append(
            (plain.requires_grad, result.requires_grad, lib.autograd.grad(result.sum(), x))
        )
        if v is not None:
            found.append(lib.autograd.grad(getattr(f, name)(*args, create_graph=True)[1].sum(), v))
    return found, lib.is_grad_enabled()


@program
def functional_without_recording(lib):
    f = lib.autograd.functional
    x, v = leaf(lib, 0.5, 1.0), leaf(lib, 1.0, 2.0)
    with lib.no_grad():
        return f.jacobian(one, x), f.vjp(one, x, v), f.jvp(one, x, v), x.grad


@program
def functional_closes_over_its_input(lib):
    x = leaf(lib, 0.5, 1.0)
    return lib.autograd.functional.jacobian(lambda y: x * y, x)


@program
def functional_strict(lib):
    f = lib.autograd.functional
    x, y = inputs(lib)
    v = lib.ones(2, dtype=lib.float64)
    first = lambda x, y: (x**2).sum()  # noqa: E731
    linear = lambda x: x.sum()  # noqa: E731
    detached = lambda x: x.detach() * 2  # noqa: E731
    return [
        outcome(lambda: f.jacobian(detached, x, strict=True)),
        outcome(lambda: f.jacobian(first, (x, y), strict=True)),
        outcome(lambda: f.jacobian(one, x, strict=True)),
        outcome(lambda: f.jacobian(one, x, strict=True, vectorize=True)),
        outcome(lambda: f.jacobian(lambda x: x * 2, x, strict=True, create_graph=True)),
        outcome(lambda: f.hessian(linear, x, strict=True)),
        outcome(lambda: f.hessian(first, (x, y), strict=True)),
        outcome(lambda: f.hessian(lambda x: (x**3).sum(), x, strict=True)),
        outcome(lambda: f.vjp(first, (x, y), strict=True)),
        outcome(lambda: f.vjp(detached, x, v, strict=True)),
        outcome(lambda: f.jvp(first, (x, y), (v, v), strict=True)),
        outcome(lambda: f.jvp(detached, x, v, strict=True)),
        outcome(lambda: f.jvp(lambda x: x * 2, x, v, strict=True)),
        outcome(lambda: f.vhp(linear, x, v, strict=True)),
        outcome(lambda: f.vhp(first, (x, y), (v, v), strict=True)),
        outcome(lambda: f.hvp(linear, x, v, strict=True)),
        outcome(lambda: f.hvp(first, (x, y), (v, v), strict=True)),
    ]


@program
def functional_errors(lib):
    f = lib.autograd.functional
    x, y = inputs(lib)
    v = lib.ones(3, dtype=lib.float64)
    return [
        outcome(lambda: f.jacobian(one, 3.0)),
        outcome(lambda: f.jacobian(one, [x])),
        outcome(lambda: f.jacobian(lambda x: 3.0, x)),
        outcome(lambda: f.jacobian(lambda x: [x], x)),
        outcome(lambda: f.jacobian(one, x, create_graph=True, strategy="forward-mode")),
        outcome(lambda: f.jacobian(one, x, strategy="forward-mode")),
        outcome(lambda: f.hessian(one, x)),
        outcome(lambda: f.hessian(lambda x: (x.sum(),), x)),
        outcome(lambda: f.vjp(one, x)),
        outcome(lambda: f.vjp(one, x, v)),
        outcome(lambda: f.vjp(one, x, (x, x))),
        outcome(lambda: f.vjp(two, (x, y), (x, x))),
        outcome(lambda: f.vjp(two, (x, y), x)),
        outcome(lambda: f.jvp(one, x)),
        outcome(lambda: f.jvp(one, x, v)),
        outcome(lambda: f.jvp(one, x, 3.0)),
        outcome(lambda: f.vhp(one, x, x)),
        outcome(lambda: f.vhp(lambda x: (x.sum(),), x, x)),
        outcome(lambda: f.hvp(lambda x: x.sum(), x)),
        outcome(lambda: f.hvp(one, x, x)),
    ]
