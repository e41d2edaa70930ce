"""What a tensor says, and its hooks: programs for both libraries (see `programs`)."""

from __future__ import annotations

import copy

import numpy as np

from . import leaf, outcome, program


@program
def flags(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    d = y.detach()
    i = lib.tensor([1])
    return [(t.requires_grad, t.is_leaf, t.grad_fn is None, t.output_nr) for t in (x, y, d, i)]


@program
def requires_grad_setter(lib):
    x = lib.zeros(2)
    x.requires_grad = True
    y = x * 2

    def set_false():
        y.requires_grad = False

    def set_true():
        y.requires_grad = True
        return y.requires_grad

    def integer():
        lib.tensor([1]).requires_grad_()

    x2 = lib.ones(1, requires_grad=True)
    x2.requires_grad_(False)
    return (x.requires_grad, outcome(set_false), outcome(set_true), outcome(integer),
            outcome(lambda: lib.tensor([1], requires_grad=True)), x2.requires_grad)  # fmt: skip


@program
def detach_shares_memory(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    d = y.detach()
    d.zero_()
    return y, d, y._version


@program
def detach_in_place(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    y.detach_()
    return y, outcome((y * 2).sum().backward), outcome((x * 2)[0].detach_)


@program
def grad_setter(lib):
    x = leaf(lib, 1.0, 2.0)

    def assign(value):
        def run():
            x.grad = value
            return x.grad

        return outcome(run)

    return [
        assign(lib.ones(2)), assign(None), assign(lib.ones(3)), assign(lib.ones(2).double()),
        assign(1.0), assign(x),
    ]  # fmt: skip


@program
def data_attribute(lib):
    x = leaf(lib, 1.0, 2.0)
    x.data.mul_(3)
    version = x._version
    x.data = lib.tensor([5.0, 6.0])
    (x * x).sum().backward()
    return version, x, x.grad


@program
def next_functions(lib):
    x = leaf(lib, 1.0)
    c = lib.ones(1)
    y = (x * 2).exp() + c
    add = y.grad_fn
    exp, other = add.next_functions[0][0], add.next_functions[1][0]
    mul = exp.next_functions[0][0]
    acc = mul.next_functions[0][0]
    return (type(add).__name__, type(exp).__name__, other, type(mul).__name__, acc.name()[-14:],
            acc.variable is x, acc.next_functions, add.name())  # fmt: skip


@program
def deepcopy(lib):
    x = leaf(lib, 1.0, 2.0)
    x.sum().backward()
    y = copy.deepcopy(x)
    y.grad.add_(1)
    return x.grad, y.grad, y, outcome(lambda: copy.deepcopy(x * 2))


@program
def tensor_hooks(lib):
    x = leaf(lib, 1.0, 2.0)
    seen = []
    a = x * 2
    h = a.register_hook(lambda g: seen.append(("a", g.tolist())))
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: seen.append(("x", g.tolist())))
    a.sum().backward(retain_graph=True)
    h.remove()
    a.sum().backward()
    return seen, x.grad


@program
def hooks_run_before_retain(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    a.retain_grad()
    a.register_hook(lambda g: g * 5)
    a.sum().backward()
    return a.grad, x.grad


@program
def hooks_and_grad(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    a.register_hook(lambda g: g * 5)
    x.register_hook(lambda g: g + 1)
    return lib.autograd.grad(a.exp().sum(), a), lib.autograd.grad((a * a).sum(), x), x.grad


@program
def wrong_hooks(lib):
    x = leaf(lib, 1.0, 2.0)

    def with_hook(fn):
        a = x * 2
        a.register_hook(fn)
        return outcome(lambda: a.sum().backward())

    return (with_hook(lambda g: 1.0), with_hook(lambda g: lib.ones(3)),
            outcome(lambda: lib.ones(1).register_hook(print)))  # fmt: skip


@program
def node_hooks(lib):
    x = leaf(lib, 1.0, 2.0)
    seen = []
    a = x * 2
    b = a.exp()
    b.grad_fn.register_prehook(lambda gs: (gs[0] * 2,))
    a.grad_fn.register_hook(lambda gi, go: seen.append((len(gi), gi[0].tolist(), go[0].tolist())))
    b.grad_fn.register_hook(lambda gi, go: (gi[0] * 10,))
    b.sum().backward()
    return seen, x.grad


@program
def order_of_hooks(lib):
    x = leaf(lib, 1.0)
    seen = []
    a = x * 2
    a.retain_grad()
    a.register_hook(lambda g: seen.append("tensor 1"))
    a.grad_fn.register_prehook(lambda gs: seen.append("pre"))
    a.grad_fn.register_hook(lambda gi, go: seen.append("post"))
    a.register_hook(lambda g: seen.append("tensor 2"))
    x.register_hook(lambda g: seen.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: seen.append(("accumulated", t.grad.tolist())))
    (a * a).sum().backward()
    return seen


@program
def post_accumulate_hooks(lib):
    x = leaf(lib, 1.0, 2.0)
    seen = []

    def step(t):
        seen.append(t.grad.tolist())
        t.grad = None

    h = x.register_post_accumulate_grad_hook(step)
    (x * x).sum().backward()
    grad = x.grad
    h.remove()
    (x * x).sum().backward()
    return (seen, grad, x.grad,
            outcome(lambda: (x * 2).register_post_accumulate_grad_hook(step)))  # fmt: skip


@program
def hooks_survive_in_place(lib):
    x = leaf(lib, 1.0, 2.0)
    seen = []
    a = x * 2
    a.register_hook(lambda g: seen.append(g.tolist()))
    a.mul_(3)
    a.sum().backward()
    return seen, x.grad


@program
def asarray_shares_memory(lib):
    a = np.zeros(2)
    t = lib.asarray(a)
    t[0] = 1
    x = lib.ones(2, requires_grad=True)
    copied = lib.asarray(a, copy=True)
    copied[1] = 7
    return [
        a.tolist(), lib.asarray([1, 2.5]), lib.asarray(x) is x or lib.asarray(x).requires_grad,
        outcome(lambda: lib.asarray([1], copy=False)), lib.asarray(a, requires_grad=True),
        lib.asarray(t, dtype=lib.float32), lib.asarray(3),
    ]  # fmt: skip


@program
def frombuffer_shares_memory(lib):
    buffer = bytearray(b"\x01\x02\x03\x04")
    t = lib.frombuffer(buffer, dtype=lib.uint8)
    t[0] = 9
    return [
        buffer[0], t, lib.frombuffer(buffer, dtype=lib.int16),
        lib.frombuffer(buffer, dtype=lib.uint8, count=2, offset=1),
        outcome(lambda: lib.frombuffer(buffer, dtype=lib.float64)),
        outcome(lambda: lib.frombuffer(b"", dtype=lib.uint8)),
    ]  # fmt: skip
