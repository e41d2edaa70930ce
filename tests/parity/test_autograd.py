"""The same programs under both libraries: values, flags, and the type of each error."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numbagrad as ng

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

PROGRAMS: dict[str, Callable[[Any], Any]] = {}


def program(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    PROGRAMS[fn.__name__] = fn
    return fn


def plain(x: Any) -> Any:
    """Results that can be compared: tensors as dtype, shape, flags and rounded values."""
    if isinstance(x, ng.Tensor | torch.Tensor):
        values = np.round(x.detach().numpy().astype(np.complex128), 4) + 0
        # Where a tensor is being shown, a warning about `.grad` of non-leaves is no matter.
        return (str(x.dtype).split(".")[1], tuple(x.shape), x.requires_grad, x.is_leaf,
                values.tolist())  # fmt: skip
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    return x


def outcome(fn: Callable[[], Any]) -> Any:
    """The result, or which error was raised."""
    try:
        return plain(fn())
    except Exception as error:
        # AttributeError and the like are mistakes of ours, not answers.
        assert isinstance(error, RuntimeError | TypeError | ValueError | IndexError), error
        return f"raises {type(error).__name__}"


def leaf(lib: Any, *values: float, grad: bool = True) -> Any:
    return lib.tensor(values, requires_grad=grad)


# -- backward and grad -----------------------------------------------------------------------------


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


# -- what a tensor says about itself ---------------------------------------------------------------


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
    import copy

    x = leaf(lib, 1.0, 2.0)
    x.sum().backward()
    y = copy.deepcopy(x)
    y.grad.add_(1)
    return x.grad, y.grad, y, outcome(lambda: copy.deepcopy(x * 2))


# -- hooks -----------------------------------------------------------------------------------------


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
    return lib.autograd.grad((a * a).sum(), [a, x]), x.grad


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


# -- in place --------------------------------------------------------------------------------------


@program
def in_place_on_intermediates(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    a.mul_(x)
    a.add_(1)
    a.exp_()
    a.sum().backward()
    return x.grad, a._version


@program
def in_place_on_a_leaf(lib):
    x = leaf(lib, 1.0, 2.0)
    found = [outcome(lambda: x.add_(1)), outcome(lambda: x[0].add_(1)), outcome(lambda: x.zero_())]

    def assign():
        x[0] = 5.0

    found.append(outcome(assign))
    with lib.no_grad():
        x.add_(1)
        x[0] = 7.0
    return found, x, x._version


@program
def changed_after_saving(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    b = a.exp()  # saves its output
    c = a * a  # saves its inputs
    a.add_(1)
    return outcome(lambda: b.sum().backward(retain_graph=True)), outcome(lambda: c.sum().backward())


@program
def changed_output(lib):
    x = leaf(lib, 1.0, 2.0)
    b = x.exp()
    b.add_(1)
    return outcome(lambda: b.sum().backward())


@program
def changed_where_it_is_not_read(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x + 1
    b = a.sin()
    c = b + 1
    b.add_(5)  # nobody saved b
    return lib.autograd.grad(c.sum() + b.sum(), x)


@program
def changed_leaf_after_saving(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = (x * w).sum()
    with lib.no_grad():
        w.add_(1)
    return outcome(y.backward)


@program
def changed_through_data(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = (x * w).sum()
    w.data.add_(1)
    y.backward()
    return x.grad


@program
def changed_through_detach(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    y = (x * w).sum()
    w.detach().add_(1)
    return outcome(y.backward)


@program
def changed_through_a_view(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    b = a * a
    a[0].zero_()
    return outcome(lambda: b.sum().backward())


@program
def versions(lib):
    x = lib.zeros(3)
    v = x[1:]
    d = x.detach()
    x.add_(1)
    v.mul_(2)
    d.sub_(1)
    y = x.clone()
    return x._version, v._version, d._version, y._version, x


@program
def own_input_in_place(lib):
    x = leaf(lib, 0.5, 0.7)
    found = []
    for name in ("sin_", "exp_", "tanh_", "sigmoid_", "sqrt_", "abs_", "square_", "neg_"):
        a = x * 1
        getattr(a, name)()
        found.append(lib.autograd.grad(a.sum(), x))
    return found


@program
def squared_in_place(lib):
    x = leaf(lib, 0.5, 0.7)
    a = x * 1
    return outcome(lambda: lib.autograd.grad(a.mul_(a).sum(), x))


@program
def copy_and_fill(lib):
    x = leaf(lib, 1.0, 2.0)
    a, b = lib.zeros(2), lib.zeros(2)
    a.copy_(x * 3)
    (a * a).sum().backward()
    c = x * 2
    c.fill_(1.0)
    b.copy_(x.detach())
    return x.grad, a, c.requires_grad, c, b


@program
def in_place_makes_a_leaf_a_result(lib):
    x = leaf(lib, 1.0, 2.0)
    a = lib.zeros(2)
    a.add_(x)
    a *= 2
    a.sum().backward()
    return a.is_leaf, a.requires_grad, x.grad


@program
def in_place_refuses_a_wider_dtype(lib):
    i = lib.tensor([1, 2])
    f = lib.tensor([1.0, 2.0])
    return [
        outcome(lambda: i.add_(0.5)), outcome(lambda: i.mul_(f)), outcome(lambda: f.add_(1j)),
        outcome(lambda: f.add_(i)), outcome(lambda: i.div_(2)), outcome(lambda: f.add_(lib.ones(3))),
        outcome(lambda: f.add_(lib.ones(2, 2))), i, f,
    ]  # fmt: skip


@program
def expanded_target(lib):
    x = lib.zeros(1).expand(3)
    return outcome(lambda: x.add_(1))


# -- views and in place ----------------------------------------------------------------------------


@program
def view_written_base_read(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    a = x * 2
    v = a[1:]
    v.mul_(10)
    (a * a).sum().backward()
    return a, x.grad, type(a.grad_fn).__name__ != type(v.grad_fn).__name__


@program
def base_written_view_read(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    a = x * 2
    v = a[1:]
    a.mul_(10)
    (v * v).sum().backward()
    return v, x.grad


@program
def one_view_written_another_read(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a = x * 1
    row, column = a[0], a[:, 1]
    row.mul_(5)
    column.add_(row)
    return a, lib.autograd.grad((a * a).sum() + row.sum() + column.exp().sum() / 1e4, x)


@program
def view_of_a_view(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    a = x * 1
    v = a.t()[1:].reshape(2, 2)
    w = v[0]
    w.mul_(3)
    v.add_(w)
    return a, lib.autograd.grad((a**2).sum() + v.sum(), x)


@program
def assigned_slices(lib):
    x, y = leaf(lib, 1.0, 2.0, 3.0), leaf(lib, 10.0, 20.0)
    a = x * 2
    a[:2] = y * y
    a[2] = 7.0
    (a * a).sum().backward()
    return a, x.grad, y.grad


@program
def filled_buffer(lib):
    x = leaf(lib, 1.0, 2.0)
    a = lib.zeros(3, 2)
    for i in range(3):
        a[i] = x * (i + 1)
    a.prod().backward()
    return a.requires_grad, x.grad


@program
def masked_assignment(lib):
    x, y = leaf(lib, 1.0, -2.0, 3.0), leaf(lib, 5.0)
    a = x * 2
    a[a < 0] = 0.0
    a[lib.tensor([0])] = y
    (a * a).sum().backward()
    return a, x.grad, y.grad


@program
def view_under_no_grad(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    with lib.no_grad():
        v = a[:1]
    return v.requires_grad, outcome(lambda: v.add_(1)), a


@program
def base_under_no_grad(lib):
    a = lib.zeros(2)
    with lib.no_grad():
        v = a[:1]
        v.add_(1)
    x = leaf(lib, 1.0)
    return outcome(lambda: v.mul_(x)), a


@program
def outputs_of_a_multi_view(lib):
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    a = x * 1
    parts = a.chunk(2)
    return outcome(lambda: parts[0].mul_(2)), a


@program
def detached_view_is_no_view(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    d = a.detach()[0]
    d.add_(5)
    return outcome(lambda: a.sum().backward()), a, d._base is None


@program
def view_facts(lib):
    a = lib.zeros(2, 3)
    v = a[0]
    w = v[1:]
    r = a.reshape(6)
    c = a.t().reshape(6)
    return (v._is_view(), v._base is a, w._base is a, r._is_view(), c._is_view(), a._base is None,
            a.detach()._base is None, a.view(2, 3)._base is a)  # fmt: skip


@program
def transposed_write(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a = x.exp()
    a.t().diagonal().mul_(2)
    return a, lib.autograd.grad(a.sum(), x)


@program
def expanded_view_of_a_leaf(lib):
    x = leaf(lib, 2.0)
    y = x.expand(4)
    (y * lib.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    return x.grad


# -- modes -----------------------------------------------------------------------------------------


@program
def modes_nest(lib):
    x = leaf(lib, 1.0)
    found = []

    def look():
        found.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled(), (x * 2).requires_grad))

    look()
    with lib.no_grad():
        look()
        with lib.enable_grad():
            look()
            with lib.set_grad_enabled(False):
                look()
            look()
        look()
        with lib.inference_mode():
            look()
            with lib.enable_grad():
                look()
            with lib.inference_mode(False):
                look()
        look()
    look()
    return found


@program
def set_grad_enabled_as_a_function(lib):
    lib.set_grad_enabled(False)
    off = lib.is_grad_enabled()
    lib.set_grad_enabled(True)
    f = lib.set_grad_enabled(False)(lib.is_grad_enabled)
    return off, lib.is_grad_enabled(), f(), lib.is_grad_enabled()


@program
def modes_end_with_an_error(lib):
    found = []
    for mode in (lib.no_grad(), lib.set_grad_enabled(False), lib.inference_mode()):
        try:
            with mode:
                raise ValueError
        except ValueError:
            found.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))
    return found


@program
def decorated_functions(lib):
    found = []

    @lib.no_grad()
    def f():
        found.append(lib.is_grad_enabled())

    @lib.no_grad
    def g():
        found.append(lib.is_grad_enabled())

    @lib.inference_mode
    def h():
        found.append(lib.is_inference_mode_enabled())

    @lib.inference_mode()
    def i():
        found.append(lib.is_inference_mode_enabled())

    @lib.no_grad()
    @lib.enable_grad()
    def j():
        found.append(lib.is_grad_enabled())

    for fn in (f, g, h, i, j):
        fn()
    return found, f.__name__, lib.is_grad_enabled()


@program
def decorated_generators(lib):
    @lib.no_grad()
    def gen():
        got = yield lib.is_grad_enabled()
        try:
            yield lib.is_grad_enabled(), got
        except KeyError:
            yield lib.is_grad_enabled(), "caught"
        return lib.is_grad_enabled()

    found = []
    it = gen()
    found.append((next(it), lib.is_grad_enabled()))
    found.append((it.send(5), lib.is_grad_enabled()))
    found.append((it.throw(KeyError), lib.is_grad_enabled()))
    try:
        next(it)
    except StopIteration as stop:
        found.append((stop.value, lib.is_grad_enabled()))
    return found


@program
def undecorated_generators(lib):
    def gen():
        with lib.no_grad():
            yield lib.is_grad_enabled()
            yield lib.is_grad_enabled()

    it = gen()
    found = [next(it), lib.is_grad_enabled(), next(it), next(it, "end"), lib.is_grad_enabled()]
    return found


@program
def decorated_coroutines(lib):
    import asyncio

    @lib.no_grad()
    async def f():
        before = lib.is_grad_enabled()
        await asyncio.sleep(0)
        return before, lib.is_grad_enabled()

    return asyncio.run(f()), lib.is_grad_enabled()


@program
def recursive_decorated(lib):
    @lib.no_grad()
    def f(n):
        return [lib.is_grad_enabled()] + (f(n - 1) if n else [])

    return f(3), lib.is_grad_enabled()


@program
def factories_under_no_grad(lib):
    with lib.no_grad():
        x = lib.ones(2, requires_grad=True)
        y = x * 2
    return x.requires_grad, y.requires_grad, y.is_leaf


@program
def inference_tensors(lib):
    x = leaf(lib, 1.0, 2.0)
    with lib.inference_mode():
        y = x * 2
        z = lib.ones(2)
        z.add_(1)
        v = x[0]
        inside = y.is_inference(), z.is_inference(), v.is_inference()

    def save():
        return x * z

    def version():
        return y._version

    return (inside, x.is_inference(), y.requires_grad, outcome(save), outcome(version),
            outcome(lambda: y.add_(1)), outcome(lambda: y + 1), outcome(lambda: x + z),
            outcome(lambda: (x * z.clone()).sum()), outcome(lambda: y.requires_grad_()),
            (y + 1).is_inference(), y[0].is_inference())  # fmt: skip


@program
def inference_mode_on_normal_tensors(lib):
    x = lib.ones(2)
    with lib.inference_mode():
        x.add_(1)
        x[0] = 5.0
    return x, x._version, x.is_inference()


@program
def backward_inside_modes(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * x).sum()
    with lib.no_grad():
        y.backward(retain_graph=True)
        grad = x.grad.clone()
        g = lib.autograd.grad(y, x, create_graph=True)
    return grad, g


@program
def backward_inside_inference_mode(lib):
    x = leaf(lib, 1.0, 2.0)
    y = (x * x).sum()
    with lib.inference_mode():
        return outcome(y.backward)


@program
def modes_during_backward(lib):
    x = leaf(lib, 1.0)
    found = []
    a = x * 2
    a.register_hook(lambda g: found.append((lib.is_grad_enabled(), g.requires_grad)))
    a.backward(retain_graph=True)
    a.backward(create_graph=True)
    return found, lib.is_grad_enabled()


@program
def backward_inside_a_hook(lib):
    x, w = leaf(lib, 1.0), leaf(lib, 2.0)
    a = x * 2

    def hook(g):
        with lib.enable_grad():
            (w * 3).sum().backward()

    a.register_hook(hook)
    a.sum().backward()
    return x.grad, w.grad


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    ours, theirs = outcome(lambda: PROGRAMS[name](ng)), outcome(lambda: PROGRAMS[name](torch))
    assert ours == theirs
    assert ng.is_grad_enabled() and torch.is_grad_enabled()
