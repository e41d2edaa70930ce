"""Changes in place: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


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
        outcome(lambda: f.add_(i)), outcome(lambda: i.div_(2)),
        outcome(lambda: f.add_(lib.ones(3))), outcome(lambda: f.add_(lib.ones(2, 2))), i, f,
    ]  # fmt: skip


@program
def expanded_target(lib):
    x = lib.zeros(1).expand(3)
    return outcome(lambda: x.add_(1))


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
    column.add_(row.clone())
    return a, lib.autograd.grad((a * a).sum() + row.sum() + column.exp().sum() / 1e4, x)


@program
def view_of_a_view(lib):
    x = lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    a = x * 1
    v = a.t()[1:].reshape(2, 2)
    w = v[0]
    w.mul_(3)
    v.add_(w.clone())
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
def stored_leaves(lib):
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0)
    a, b = lib.zeros(2), lib.zeros(3)
    a.copy_(x)
    b[0] = y[0]
    b[1:] = x
    (a * a).sum().backward()
    (b * b).sum().backward()
    return x.grad, y.grad, a.is_leaf, b.is_leaf


@program
def copied_results(lib):
    x = leaf(lib, 1.0, 2.0)
    source = x.exp()
    a = lib.zeros(2)
    a.copy_(source)
    a.add_(1)
    (a * source).sum().backward()
    return x.grad


@program
def overwritten(lib):
    x = leaf(lib, 1.0, 2.0)
    found = []
    for change in (lambda a: a.zero_(), lambda a: a.fill_(2.0), lambda a: a.copy_(lib.ones(2)),
                   lambda a: a[0].zero_(), lambda a: a.mul_(0)):  # fmt: skip
        a = x * 2
        change(a)
        found.append((a, lib.autograd.grad((a * a).sum(), x)))
    return found


@program
def changed_under_no_grad(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    v = a[:1]
    with lib.no_grad():
        a.add_(1)
        v.mul_(5)
        a[1] = 3.0
        x[0] = 9.0
    return a, v, x, lib.autograd.grad(a.sum() + v.sum(), x)


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
    w = a[:1]
    with lib.no_grad():
        w.add_(1)
    return (v.requires_grad, outcome(lambda: v.add_(1)), a, outcome(lambda: v.sin()),
            outcome(lambda: v.grad_fn), outcome(lambda: v.detach().sin()))  # fmt: skip


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
    return outcome(lambda: parts[0].mul_(2)), parts[0]._is_view()


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
    a = x * 3
    a.t().diagonal().mul_(2)
    return a, lib.autograd.grad(a.sum(), x)


@program
def expanded_view_of_a_leaf(lib):
    x = leaf(lib, 2.0)
    y = x.expand(4)
    (y * lib.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    return x.grad
