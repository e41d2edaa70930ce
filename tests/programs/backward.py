"""Backward passes: programs for both libraries (see `programs`)."""

from __future__ import annotations

import warnings

from . import leaf, outcome, program


@program
def accumulates(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad.clone()
    (x * 3).sum().backward()
    kept = x.grad
    x.grad = None
    x.sum().backward()
    return first, kept, x.grad


@program
def accumulates_into_the_same_tensor(lib):
    x = leaf(lib, 1.0, 2.0)
    x.sum().backward()
    g = x.grad
    x.sum().backward()
    same = g is x.grad
    (x * x).sum().backward(create_graph=True)
    return same, g is x.grad, x.grad, g


@program
def second_backward_fails(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    return outcome(y.backward), x.grad


@program
def second_backward_of_what_saves_nothing(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x + x).sum()
    y.backward()
    y.backward()
    return x.grad


@program
def retain_graph(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad, outcome(y.backward)


@program
def partly_freed(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x.exp()
    a.sum().backward()
    return outcome((a * 2).sum().backward), x.grad


@program
def shared_subgraph(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x.sin()
    b = a * a
    (b.sum() + a.sum() + (a * b).sum()).backward()
    return x.grad


@program
def derivatives_of_any_order(lib):
    x = lib.tensor(0.7, dtype=lib.float64, requires_grad=True)
    y = x.sin() * x**3 + (x * x).exp()
    found = []
    for _ in range(6):
        (y,) = lib.autograd.grad(y, x, create_graph=True)
        found.append(y)
    return found


@program
def create_graph_keeps_the_graph(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x**3).sum()
    y.backward(create_graph=True)
    g = x.grad
    x.grad = None
    g.sum().backward()
    return g, x.grad


@program
def gradient_penalty(lib):
    x = leaf(lib, 1.0, 2.0)
    w = leaf(lib, 3.0, 4.0)
    (g,) = lib.autograd.grad((x * w).tanh().sum(), x, create_graph=True)
    ((g * g).sum() - 1).abs().backward()
    return x.grad, w.grad


@program
def no_graph_by_default(lib):
    x = leaf(lib, 2.0)
    (g,) = lib.autograd.grad(x**3, x)
    return g, g.requires_grad, outcome(lambda: lib.autograd.grad(g, x))


@program
def non_scalar(lib):
    x = leaf(lib, 1.0, 2.0)
    return outcome((x * 2).backward), outcome(lambda: lib.autograd.grad(x * 2, x))


@program
def one_element_is_scalar_enough(lib):
    x = leaf(lib, 3.0)
    y = (x * 2).reshape(1, 1)
    y.backward()
    return x.grad


@program
def nothing_requires_grad(lib):
    x = leaf(lib, 1.0, grad=False)
    return outcome((x * 2).backward), outcome(x.backward)


@program
def leaf_as_root(lib):
    x = leaf(lib, 3.0)
    x.backward()
    x.backward()
    return x.grad, lib.autograd.grad(x, x)


@program
def cotangents(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * x).backward(lib.tensor([10.0, 100.0]))
    return x.grad, lib.autograd.grad(x * x, x, lib.tensor([1.0, 2.0]))


@program
def cotangent_of_wrong_shape(lib):
    x = leaf(lib, 1.0, 2.0)
    return [
        outcome(lambda g=g: (x * 2).backward(g))
        for g in (lib.ones(3), lib.ones(1, 2), lib.tensor(1.0), lib.ones(1))
    ]


@program
def cotangent_of_other_kinds(lib):
    x = leaf(lib, 1.0, 2.0)
    return [
        outcome(lambda g=g: (x * 2).backward(g))
        for g in (1.0, [1.0, 2.0], "x", lib.ones(2, dtype=lib.complex64))
    ]


@program
def cotangent_of_another_precision(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * x).backward(lib.tensor([1.0, 2.0], dtype=lib.float64))
    return x.grad


@program
def several_roots(lib):
    x = leaf(lib, 1.0, 2.0)
    a, b = (x * x).sum(), x.exp()
    lib.autograd.backward([a, b], [None, lib.tensor([1.0, 2.0])])
    return x.grad, outcome(lambda: lib.autograd.backward([a, b], [None]))


@program
def same_root_twice(lib):
    x = leaf(lib, 2.0)
    y = x * x
    return lib.autograd.grad([y, y], x)


@program
def root_inside_the_graph_of_another(lib):
    x = leaf(lib, 2.0)
    a = x * x
    b = a * 3
    return lib.autograd.grad([b, a], [x, a])


@program
def unused_inputs(lib):
    x, y = leaf(lib, 1.0), leaf(lib, 2.0, 3.0)
    z = (x * x).sum()
    return (
        outcome(lambda: lib.autograd.grad(z, [x, y], retain_graph=True)),
        lib.autograd.grad(z, [x, y], retain_graph=True, allow_unused=True),
        lib.autograd.grad(z, [x, y], retain_graph=True, materialize_grads=True),
        lib.autograd.grad(z, [x, y], create_graph=True, materialize_grads=True),
        outcome(lambda: lib.autograd.grad(z, y, materialize_grads=True, allow_unused=False)),
        outcome(lambda: lib.autograd.grad(z, leaf(lib, 1.0, grad=False))),
        outcome(lambda: lib.autograd.grad(z, [])),
    )


@program
def grad_leaves_grad_alone(lib):
    x, y = leaf(lib, 1.0), leaf(lib, 2.0)
    g = lib.autograd.grad(x * y, x)
    return g, x.grad, y.grad


@program
def grad_of_intermediates(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 3
    b = a.sin()
    return lib.autograd.grad(b.sum(), [a, b, x])


@program
def inputs_of_backward(lib):
    x, y = leaf(lib, 1.0), leaf(lib, 2.0)
    a = x * y
    (a * a).sum().backward(inputs=[x], retain_graph=True)
    first = x.grad.clone(), y.grad
    (a * a).sum().backward(inputs=x)
    return first, x.grad, y.grad, outcome(lambda: (x * y).backward(inputs=[]))


@program
def inputs_of_backward_that_are_no_leaves(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    b = a * a
    b.sum().backward(inputs=[a])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return a.grad, x.grad


@program
def batched_cotangents(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    y = x * x
    eye = lib.eye(3)
    (jacobian,) = lib.autograd.grad(y, x, eye, is_grads_batched=True, create_graph=True)
    (third,) = lib.autograd.grad(jacobian.sum(), x)
    return jacobian, third


@program
def retained_gradients(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    flags = [a.retains_grad, x.retains_grad]
    a.retain_grad()
    a.retain_grad()
    x.retain_grad()
    (a * a).sum().backward()
    return a.grad, x.grad, flags, a.retains_grad, outcome(lib.ones(1).retain_grad)


@program
def retained_gradients_accumulate_nothing(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    a.retain_grad()
    y = (a * a).sum()
    y.backward(retain_graph=True)
    y.backward()
    return a.grad, x.grad


@program
def broadcasting(lib):
    x = lib.tensor([[1.0], [2.0]], requires_grad=True)
    y = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
    z = lib.tensor(2.0, requires_grad=True)
    (x * y + z * x).exp().sum().backward()
    return x.grad, y.grad, z.grad


@program
def mixed_precision(lib):
    x = leaf(lib, 1.0, 2.0)
    y = lib.tensor([3.0, 4.0], dtype=lib.float64, requires_grad=True)
    (x * y).sum().backward()
    return x.grad, y.grad


@program
def complex_convention(lib):
    z = lib.tensor([1.0 + 2.0j, -0.5j], requires_grad=True)
    (z * z.conj()).real.sum().backward()
    first = z.grad.clone()
    z.grad = None
    y = (z**2 * (1 + 2j)).exp()
    return first, outcome(lambda: y.sum().backward()), lib.autograd.grad(y.abs().sum(), z)


@program
def integer_index_gradients(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    i = lib.tensor([0, 0, 1])
    (x[i] * lib.tensor([[1.0], [2.0], [3.0]])).sum().backward()
    return x.grad


@program
def gradients_have_their_own_memory(lib):
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 1.0, 2.0)
    g = lib.ones(2)
    (x + y).backward(g)
    x.grad.add_(1)
    return x.grad, y.grad, g
