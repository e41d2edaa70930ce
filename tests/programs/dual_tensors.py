"""``autograd.forward_ad``: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


def unpacked(lib, y):
    primal, tangent = lib.autograd.forward_ad.unpack_dual(y)
    return primal.tolist(), primal.requires_grad, None if tangent is None else tangent.tolist()


def dual(lib, *values, tangent=(1.0, 0.0)):
    return lib.autograd.forward_ad.make_dual(lib.tensor(values), lib.tensor(tangent))


def in_level(fn):
    """A program that runs in a dual level, with the module as its second argument."""

    def run(lib):
        with lib.autograd.forward_ad.dual_level():
            return fn(lib, lib.autograd.forward_ad)

    run.__name__ = fn.__name__
    run.__module__ = fn.__module__
    return program(run)


@program
def dual_outside_of_a_level(lib):
    f = lib.autograd.forward_ad
    x = lib.ones(2)
    primal, tangent = f.unpack_dual(x)
    return (
        primal is x, tangent is None, outcome(lambda: f.make_dual(x, x)),
        outcome(lambda: f.exit_dual_level()), f.enter_dual_level(), f.exit_dual_level(),
    )  # fmt: skip


@in_level
def dual_errors(lib, f):
    x = lib.tensor([1.0, 2.0])
    d = f.make_dual(x, x)
    return (
        outcome(lambda: f.make_dual(x, x[:1])), outcome(lambda: f.make_dual(x.long(), x)),
        outcome(lambda: f.make_dual(x, x.long())), outcome(lambda: f.make_dual(d, x)),
        outcome(lambda: f.make_dual(x, d)), outcome(lambda: f.enter_dual_level()),
        outcome(lambda: f.unpack_dual(3.0)), outcome(lambda: f.exit_dual_level(level=5)),
    )  # fmt: skip


@in_level
def dual_values(lib, f):
    d = dual(lib, 1.0, 2.0)
    return (
        d.requires_grad, d.is_leaf, d.tolist(), float(d.sum()), bool(d[1] > 1), d.numpy().tolist(),
        unpacked(lib, d), unpacked(lib, lib.ones(2)), unpacked(lib, d > 1),
        unpacked(lib, d.long()), unpacked(lib, d.detach()), unpacked(lib, lib.zeros_like(d)),
    )  # fmt: skip


@in_level
def dual_operations(lib, f):
    d = dual(lib, 1.0, 2.0)
    return [
        unpacked(lib, y)
        for y in (
            d * d, d / 2 + 1, lib.where(d > 1, d, d * 2), d.softmax(0), d @ lib.ones(2, 2),
            lib.cat([d, lib.ones(1)]), d.sort(descending=True)[0], d.max(0).values, d.prod(),
            d.view(2, 1).expand(2, 2), d.new_ones(2) * d, d.clone(), d.cumsum(0), d[1:], d.norm(),
            lib.nn.functional.gelu(d), lib.nn.functional.layer_norm(d, (2,)), d.to(lib.float64),
        )
    ]  # fmt: skip


@in_level
def dual_in_place(lib, f):
    d = dual(lib, 1.0, 2.0)
    changed = dual(lib, 3.0, 4.0)
    changed.mul_(2)
    plain, rows, view = lib.zeros(2), lib.zeros(2, 2), d * 1
    plain.add_(d)
    rows[0] = d
    view.view(2, 1).mul_(3)
    return [unpacked(lib, y) for y in (changed, plain, rows, view)]


@in_level
def dual_modes(lib, f):
    d = dual(lib, 1.0, 2.0)
    with lib.no_grad():
        quiet = unpacked(lib, d * 2)
    with lib.inference_mode():
        inference = f.unpack_dual(d * 2).tangent is None
    return quiet, inference


@program
def dual_after_its_level(lib):
    f = lib.autograd.forward_ad
    rows = lib.zeros(2, 2)
    with f.dual_level():
        d = dual(lib, 1.0, 2.0)
        y = d * d
        rows[0] = y
    z = y.clone().add_(1)
    y.add_(1)
    return y, unpacked(lib, y), rows, (y * 2).tolist(), z, d, d.sin().tolist()


@program
def dual_level_decorates(lib):
    f = lib.autograd.forward_ad

    @f.dual_level()
    def slope(x):
        return f.unpack_dual(f.make_dual(x, lib.ones(2)) ** 2).tangent

    return slope(lib.tensor([1.0, 2.0])), slope(lib.tensor([3.0, 4.0]))


@in_level
def reverse_over_dual(lib, f):
    x = leaf(lib, 1.0, 2.0)
    d = f.make_dual(x, lib.tensor([1.0, 0.0]))
    y = (d**3).sum()
    primal, tangent = f.unpack_dual(y)
    flags = d.requires_grad, d.is_leaf, primal.requires_grad, tangent.requires_grad
    tangent.backward(retain_graph=True)
    first = x.grad.tolist()
    x.grad = None
    y.backward(retain_graph=True)
    return flags, first, unpacked(lib, x.grad), lib.autograd.grad(primal, x)[0].tolist()


@in_level
def dual_over_reverse(lib, f):
    x = leaf(lib, 1.0, 2.0)
    d = f.make_dual(x, lib.tensor([1.0, 0.0]))
    y = (d**3).sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    (gg,) = lib.autograd.grad(g.sum(), x, create_graph=True)
    (third,) = lib.autograd.grad(f.unpack_dual(g).tangent.sum(), x, retain_graph=True)
    (plain,) = lib.autograd.grad(y, x)
    return unpacked(lib, g), unpacked(lib, gg), third.tolist(), unpacked(lib, plain)


@in_level
def dual_leaves(lib, f):
    d = dual(lib, 1.0, 2.0).requires_grad_()
    f.unpack_dual((d**3).sum()).tangent.backward()
    first = d.grad.tolist()
    (d**3).sum().backward()
    (g,) = lib.autograd.grad((d**3).sum(), d)
    return first, d.grad.tolist(), d.is_leaf, unpacked(lib, g)


@program
def backward_after_the_dual_level(lib):
    f = lib.autograd.forward_ad
    x = leaf(lib, 1.0, 2.0)
    with f.dual_level():
        y = (f.make_dual(x, lib.ones(2)) ** 3).sum()
    y.backward()
    return x.grad, y.requires_grad, y.item()


@in_level
def dual_module(lib, f):
    module = lib.nn.Linear(2, 1)
    with lib.no_grad():
        module.weight.fill_(0.5)
        module.bias.fill_(0.25)
    x = dual(lib, 1.0, 2.0)
    out = module(x)
    f.unpack_dual(out).tangent.sum().backward(retain_graph=True)
    of_tangent = module.weight.grad.tolist()
    (g,) = lib.autograd.grad(out.sum(), module.weight)
    return unpacked(lib, out), of_tangent, unpacked(lib, g)


@in_level
def dual_and_transforms(lib, f):
    d = dual(lib, 1.0, 2.0)
    cube = lambda x: x**3  # noqa: E731
    return (
        unpacked(lib, lib.func.vmap(cube)(d)), unpacked(lib, lib.func.grad(cube)(d[1])),
        unpacked(lib, lib.func.vmap(lib.func.grad(cube))(d)),
        unpacked(lib, lib.func.vjp(cube, d)[1](lib.ones(2))[0]),
        unpacked(lib, lib.func.jacrev(lambda x: x.prod())(d)),
    )  # fmt: skip
