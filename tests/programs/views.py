"""Views and the changes that pass through them: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


def matrix(lib, grad=True):
    return lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=grad)


def name(node):
    """The name of a node, without what differs between the libraries for composites."""
    return None if node is None else node.name()


@program
def chain_of_views_written(lib):
    x = matrix(lib)
    a = x * 1
    v = a.t()
    w = v[1:]
    u = w[:, 0]
    u.mul_(10)
    found = [a, v, w, u, w._base is a, u._base is a, u._version, a._version]
    g = lib.autograd.grad((a * a).sum() + w.sum() + u.exp().sum() / 1e20, x)
    return found, g


@program
def sibling_views_see_the_change(lib):
    x = matrix(lib)
    a = x.clone()
    first, second = a[0], a[:, 1]
    first.zero_()
    second.add_(x[:, 0])
    first.add_(1)
    return a, first, second, lib.autograd.grad((first * second.sum()).sum() + (a**3).sum(), x)


@program
def base_replaced_then_view_written(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    a = x * 2
    v = a[:2]
    a.mul_(x)
    v.mul_(x[1:])
    a.add_(1)
    return a, v, lib.autograd.grad(a.prod() + v.sum(), x)


@program
def view_of_a_constant_written_with_a_gradient(lib):
    x = leaf(lib, 1.0, 2.0)
    a = lib.zeros(2, 2)
    v = a[0]
    before = v.requires_grad, a.requires_grad, v.is_leaf, a.is_leaf
    v.copy_(x)
    after = v.requires_grad, a.requires_grad, v.is_leaf, a.is_leaf
    w = a[1]
    return before, after, w.requires_grad, lib.autograd.grad((a * a).sum() + v.sum(), x)


@program
def sibling_of_a_view_that_got_a_gradient(lib):
    x = leaf(lib, 1.0, 2.0)
    a = lib.ones(2, 2)
    v, w = a[0], a[1]
    v.mul_(x)
    return w.requires_grad, w.is_leaf, a.requires_grad, lib.autograd.grad((a + w).sum(), x)


@program
def view_of_a_leaf(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    v = x[1:]
    found = [v.is_leaf, v.requires_grad, v._base is x, outcome(lambda: v.add_(1))]
    with lib.no_grad():
        v.add_(1)
    found += [v, x, v._version, x._version, v.is_leaf]
    return found, lib.autograd.grad((v * v).sum(), x)


@program
def view_of_a_leaf_without_gradient(lib):
    x = leaf(lib, 1.0, 2.0, grad=False)
    v = x[1:]
    x.requires_grad_()
    return v.requires_grad, outcome(lambda: v.add_(1)), v.is_leaf, x, x._version


@program
def requires_grad_of_a_view(lib):
    a = lib.zeros(4)
    v = a[:2]
    v.requires_grad_()
    found = [v.requires_grad, v.is_leaf, a.requires_grad]
    (v * 2).sum().backward()
    found += [v.grad, outcome(lambda: v.add_(1)), outcome(lambda: a.add_(1)), a, v]
    return found


@program
def requires_grad_refused(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    i = lib.tensor([1, 2])

    def switch_off():
        y.requires_grad = False

    def ints():
        i.requires_grad = True

    return [outcome(f) for f in (
        switch_off, ints, lambda: y.requires_grad_(False), lambda: y.requires_grad_(),
        lambda: i.requires_grad_(), lambda: i.requires_grad_(False),
        lambda: x.requires_grad_(False),
        lambda: lib.tensor([True]).requires_grad_(), lambda: lib.tensor([1j]).requires_grad_(),
    )]  # fmt: skip


@program
def requires_grad_after_use(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * x
    x.requires_grad_(False)
    z = x * 3
    y.sum().backward()
    return x.grad, x.requires_grad, z.requires_grad


@program
def detach_in_place_and_use(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    z = y + 1
    y.detach_()
    found = [y.is_leaf, y.requires_grad, y.grad_fn is None]
    z.sum().backward()
    w = (x * 2)[0]
    return found, x.grad, outcome(lambda: w.detach_()), x.detach_().requires_grad


@program
def detach_shares(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    d = y.detach()
    found = [d._version, d.requires_grad, d.is_leaf, d._base is None, d._is_view()]
    d.add_(1)
    found += [y, y._version, d._version]
    y.mul_(2)
    found += [d, d._version]
    d2 = y.data
    d2.add_(1)
    found += [y, y._version, d2._version]
    d.requires_grad_()
    return found, outcome(lambda: d.add_(1))


@program
def data_is_not_counted(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x.exp()
    y.data.mul_(2)
    y.sum().backward()
    a = lib.zeros(3)
    a.add_(1)
    return x.grad, a.data._version, a._version, a.data.is_leaf, a.data._base is None


@program
def data_replaced(lib):
    x = leaf(lib, 1.0, 2.0)
    old = x.data
    x.data = lib.tensor([5.0, 6.0, 7.0])
    found = [x, old, x.shape[0], x._version]
    (x * x).sum().backward()
    found += [x.grad]
    y = x * 2
    y.data = lib.zeros(3)
    found += [y, y.grad_fn is not None]
    return found


@program
def data_of_another_dtype(lib):
    x = leaf(lib, 1.0, 2.0)
    z = lib.zeros(2)

    def ints():
        x.data = lib.tensor([1, 2])

    def double():
        z.data = lib.zeros(2, dtype=lib.float64)
        return z

    def number():
        z.data = 3.0

    def nothing():
        z.data = None

    return outcome(ints), outcome(double), outcome(number), outcome(nothing), x, z


@program
def assigned_grad(lib):
    x = leaf(lib, 1.0, 2.0)
    found = []
    for g in (lib.ones(3), lib.ones(2, dtype=lib.float64), 1.0, "g", None, lib.ones(2), x):

        def assign(g=g):
            x.grad = g
            return x.grad

        found.append(outcome(assign))
    return found, x.grad is x


@program
def multi_view_outputs(lib):
    x = matrix(lib)
    found = []
    for split in (
        lambda a: a.unbind(0), lambda a: a.split(1), lambda a: a.chunk(2),
        lambda a: a.split([1, 1]),
        lambda a: lib.unbind(a, 1), lambda a: lib.tensor_split(a, 2), lambda a: list(a),
        lambda a: a.hsplit(3), lambda a: a.vsplit(2), lambda a: a.unsafe_chunk(2),
        lambda a: a.unsafe_split(1),
    ):  # fmt: skip
        a = x * 1
        parts = split(a)
        row = [outcome(lambda parts=parts: parts[0].mul_(2)), parts[0]._is_view()]
        with lib.no_grad():
            row.append(outcome(lambda parts=parts: parts[-1].mul_(2)))
        row.append(outcome(lambda a=a: lib.autograd.grad((a * a).sum(), x)[0]))
        found.append(row)
    return found


@program
def multi_view_outputs_of_constants(lib):
    x = leaf(lib, 2.0)
    a = lib.ones(2, 1)
    first, second = a.unbind()
    found = [outcome(lambda: first.add_(1)), outcome(lambda: first.mul_(x)), a, second]
    return found, a.requires_grad


@program
def view_of_a_multi_view(lib):
    x = matrix(lib)
    a = x * 1
    v = a.unbind()[0][1:]
    return outcome(lambda: v.add_(1)), v.requires_grad, a


@program
def multi_view_under_no_grad(lib):
    x = matrix(lib)
    a = x * 1
    with lib.no_grad():
        first, second = a.unbind()
    found = [first.requires_grad, first.is_leaf, outcome(lambda: first.add_(1))]
    with lib.no_grad():
        second.add_(1)
        found.append((second * 2).tolist())
    found.append(outcome(lambda: second.is_leaf))
    return found, a, outcome(lambda: lib.autograd.grad(a.sum(), x)[0])


@program
def views_under_no_grad_facts(lib):
    x = leaf(lib, 1.0, 2.0)
    with lib.no_grad():
        v = x[:1]
        d = x.detach()[0]
        w = v.view(1, 1)
    return ((v.requires_grad, v.is_leaf, v._base is x, v._is_view(), v._version),
            (d.requires_grad, d.is_leaf), (w.requires_grad, w.is_leaf, w._base is x),
            outcome(lambda: v.mul_(2)), outcome(lambda: w.mul_(2)), outcome(lambda: (v * 2).sum()),
            outcome(lambda: (v * 2).requires_grad))  # fmt: skip


@program
def no_grad_view_with_grad_change(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x.clone()
    with lib.no_grad():
        v = a[0:1]
        v.mul_(3)
    found = [a, v._version, outcome(lambda: v.is_leaf), outcome(lambda: v.grad_fn), a.requires_grad]
    b = lib.zeros(2)
    with lib.no_grad():
        w = b[0:1]
    found += [outcome(lambda: w.mul_(3)), outcome(lambda: w.copy_(x[:1])), b, w.requires_grad]
    return found


@program
def view_made_with_grad_inside_no_grad(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    with lib.no_grad(), lib.enable_grad():
        v = a[:1]
    v.mul_(3)
    return a, v, lib.autograd.grad((a * a).sum(), x)


@program
def change_inside_no_grad_keeps_history(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    before = a.grad_fn
    with lib.no_grad():
        a.mul_(5)
        a.copy_(lib.tensor([7.0, 8.0]))
    return a.grad_fn is before, a, lib.autograd.grad((a * 3).sum(), x)


@program
def grad_fn_rebased(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    first = a.grad_fn
    v = a[:1]
    of_view = v.grad_fn
    v.mul_(2)
    changed = a.grad_fn is not first, v.grad_fn is not of_view
    again = v.grad_fn is v.grad_fn, a.grad_fn is a.grad_fn
    a.add_(1)
    return changed, again, v.requires_grad, a.is_leaf, v.is_leaf


@program
def saved_view_and_changed_base(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    v = a[:1]
    y = v * v
    found = [y._version]
    a[1] = 5.0  # elsewhere, but in the same storage
    return found, outcome(lambda: y.sum().backward())


@program
def saved_base_and_changed_view(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    y = a.sin()
    with lib.no_grad():
        a[1:].zero_()
    return outcome(lambda: y.sum().backward())


@program
def changed_back_is_still_changed(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    y = a.sin()
    a.add_(1)
    a.sub_(1)
    return outcome(lambda: y.sum().backward()), a._version


@program
def empty_changes_count(lib):
    a = lib.zeros(0)
    a.add_(1)
    b = lib.zeros(3)
    b[:0] = 1
    b[1:1].zero_()
    b.copy_(b)
    return a._version, b._version


@program
def versions_of_each_change(lib):
    found = []
    for change in (
        lambda a: a.add_(1), lambda a: a.zero_(), lambda a: a.fill_(2),
        lambda a: a.copy_(lib.ones(2)),
        lambda a: a.__setitem__(0, 1.0), lambda a: a.__setitem__(a > 0, 1.0),
        lambda a: a.masked_fill_(a == 0, 2.0), lambda a: a.index_fill_(0, lib.tensor([0]), 1.0),
        lambda a: a.index_add_(0, lib.tensor([0]), lib.ones(1)),
        lambda a: a.scatter_(0, lib.tensor([0]), 3.0), lambda a: a.clamp_(0, 1), lambda a: a.t_(),
        lambda a: a.unsqueeze_(0), lambda a: a.squeeze_(), lambda a: a.detach_(),
        lambda a: a.requires_grad_(), lambda a: a.normal_(), lambda a: a.uniform_(),
        lambda a: a.bernoulli_(), lambda a: a.exponential_(), lambda a: a.random_(),
        lambda a: a.resize_(1), lambda a: a.resize_(2), lambda a: a.resize_(5),
        lambda a: a.set_(lib.ones(3)), lambda a: a.sub_(a), lambda a: lib.add(a, a, out=a),
        lambda a: a.lerp_(a, 0.5), lambda a: a.swapaxes_(0, 0), lambda a: a.as_strided_((1,), (1,)),
        lambda a: lib.nn.init.ones_(a), lambda a: a.data.zero_(), lambda a: a.detach().zero_(),
        lambda a: lib.relu_(a), lambda a: lib.nn.functional.relu(a, inplace=True),
        lambda a: a.put_(lib.tensor([0]), lib.ones(1)), lambda a: a.index_copy_(
            0, lib.tensor([1]), lib.ones(1)), lambda a: a.masked_scatter_(a == 0, lib.ones(2)),
        lambda a: a.index_put_((lib.tensor([0]),), lib.ones(1)), lambda a: a.fill_diagonal_(1.0),
    ):  # fmt: skip
        a = lib.zeros(2)
        found.append(outcome(lambda a=a, change=change: (change(a), a._version)[1]))
    return found


@program
def changed_shape_in_place(lib):
    x = matrix(lib)
    found = []
    for change in (lambda a: a.t_(), lambda a: a.unsqueeze_(0), lambda a: a.transpose_(0, 1),
                   lambda a: a.swapdims_(0, 1), lambda a: a.unsqueeze_(1).squeeze_(1)):  # fmt: skip
        a = x * 2
        before = a.grad_fn
        v = a[0]
        b = change(a)
        found.append((b is a, a, a._version, a.grad_fn is before, a._is_view(), v,
                      lib.autograd.grad((a * a).sum() + v.sum(), x)))  # fmt: skip
    return found


@program
def changed_shape_of_a_view(lib):
    x = matrix(lib)
    a = x * 2
    v = a[:, :2]
    v.t_()
    v.mul_(lib.tensor([1.0, 10.0]))
    return v, a, v._base is a, lib.autograd.grad((a * a).sum() + v.sum(), x)


@program
def changed_shape_of_a_leaf(lib):
    x = matrix(lib)
    found = [outcome(lambda: x.t_()), outcome(lambda: x.unsqueeze_(0)), x]
    with lib.no_grad():
        found.append(outcome(lambda: x.t_()))
    return found, x.is_leaf, x.requires_grad


@program
def as_strided_views(lib):
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    a = x * 1
    v = a.as_strided((2, 2), (3, 1), 1)
    v.mul_(10)
    w = lib.as_strided(a, (3, 3), (1, 1))
    return v, a, w, v._base is a, lib.autograd.grad((w * w).sum() + v.sum(), x)


@program
def unfolded_views(lib):
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0, 5.0)
    a = x * 1
    v = a.unfold(0, 2, 3)
    v.mul_(2)
    w = a.unfold(0, 3, 1)
    return v, v._base is a, a, lib.autograd.grad((w * w).sum(), x)


@program
def view_functions(lib):
    a = lib.arange(24.0).reshape(2, 3, 4)
    square = lib.arange(16.0).reshape(4, 4)
    found = []
    for view in (
        lambda: a.view(6, 4), lambda: a.view(-1), lambda: a.reshape(4, 6),
        lambda: a.permute(2, 0, 1),
        lambda: a.transpose(0, 1), lambda: a.swapaxes(0, 1), lambda: a.movedim(0, 2),
        lambda: a.moveaxis(0, 2), lambda: a.select(1, 2), lambda: a.narrow(2, 1, 2),
        lambda: a.unsqueeze(0), lambda: a[None].squeeze(), lambda: a[None].squeeze(0),
        lambda: a.expand(5, 2, 3, 4), lambda: a.expand_as(a), lambda: a.flatten(),
        lambda: a.flatten(1), lambda: a.unflatten(2, (2, 2)), lambda: a.view_as(a),
        lambda: a.reshape_as(a), lambda: a.detach(), lambda: a.ravel(), lambda: a.contiguous(),
        lambda: a.permute(2, 0, 1).contiguous(), lambda: a.to(lib.float32), lambda: a.float(),
        lambda: a.double(), lambda: a.unfold(2, 2, 1), lambda: a.mT, lambda: square.T,
        lambda: square.t(), lambda: square.diagonal(), lambda: a.real, lambda: a[...],
        lambda: a[:, 1], lambda: a[lib.tensor([0])], lambda: a[:, [0]], lambda: a[a > 3],
        lambda: a.clone(), lambda: a.squeeze(), lambda: a.swapdims(1, 2), lambda: a.adjoint(),
        lambda: a.broadcast_to((2, 2, 3, 4)), lambda: lib.broadcast_tensors(a, a)[0],
        lambda: a.chunk(2)[0], lambda: a.split(1)[0], lambda: a.unbind()[0], lambda: a.data,
        lambda: a.requires_grad_(False), lambda: a.view_as(a),
        lambda: lib.atleast_1d(a), lambda: lib.atleast_3d(square), lambda: lib.squeeze(a, 0),
        lambda: a.repeat(1, 1, 1), lambda: a.index_select(0, lib.tensor([0])), lambda: a.flip(0),
        lambda: a.tile((1,)), lambda: a.type_as(a), lambda: a.cpu(), lambda: a.sum(()),
        lambda: a.view(lib.float32), lambda: a.view(lib.int32), lambda: a.conj(), lambda: +a,
        lambda: a.resolve_conj(), lambda: a.resolve_neg(),
        lambda: lib.nn.functional.dropout(a, 0.5, False), lambda: lib.nn.Identity()(a),
        lambda: lib.nn.Flatten()(a), lambda: lib.as_tensor(a),
        lambda: lib.positive(a), lambda: a.expand(2, 3, 4), lambda: lib.ravel(a.mT),
    ):  # fmt: skip

        def facts(view=view):
            v = view()
            return v is a, v._is_view(), v._base is a or v._base is square, list(v.shape)

        found.append(outcome(facts))
    return found


@program
def views_of_complex(lib):
    x = lib.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    a = x * 1
    a.real.mul_(3)
    a.imag.add_(1)
    v = lib.view_as_real(a)
    v[0] = 7.0
    w = lib.view_as_complex(lib.zeros(2, 2))
    g = lib.autograd.grad((a * a.conj()).real.sum(), x)
    return a, v, g, v._base is a, w._is_view(), outcome(lambda: lib.zeros(2).imag)


@program
def alternate_changes_of_base_and_view(lib):
    x = leaf(lib, 0.5, 1.5)
    a = x.clone()
    v = a[1:]
    for _ in range(3):
        a.mul_(x)
        v.add_(x[:1])
        a.sub_(0.25)
    (g,) = lib.autograd.grad(a.sum() + (v * v).sum(), x, create_graph=True)
    (h,) = lib.autograd.grad(g.sum(), x)
    return a, v, g, h, a._version


@program
def recurrent_buffer(lib):
    x = leaf(lib, 0.5, 0.3)
    h = lib.zeros(4, 2)
    h[0] = x
    for i in range(1, 4):
        h[i] = h[i - 1].clone() * x + i
    loss = h.sum()
    loss.backward()
    return h, x.grad


@program
def recurrent_buffer_without_clone(lib):
    x = leaf(lib, 0.5, 0.3)
    h = lib.zeros(3, 2)
    h[0] = x
    for i in range(1, 3):
        h[i] = h[i - 1] * x
    return outcome(lambda: h.sum().backward()), h


@program
def same_view_assigned_twice(lib):
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    a = lib.zeros(2, 2)
    a[0] = x * 2
    a[0] = y * 3
    a[1] = a[0] * 1
    return a, lib.autograd.grad((a * a).sum(), [x, y], allow_unused=True)


@program
def self_assignment_through_views(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    a = x * 1
    a[1:] = a[:-1].clone()
    b = x * 1
    b[[0, 2]] = b[[2, 0]]
    c = x * 1
    c += c[0].clone()
    grads = [lib.autograd.grad((t**2).sum(), x) for t in (a, b, c)]
    return a, b, c, grads


@program
def overlapping_source_and_target(lib):
    a = lib.arange(6.0)
    b = lib.arange(6.0)
    c = lib.arange(4.0).reshape(2, 2)
    return [outcome(f) for f in (
        lambda: a[1:].add_(a[:-1]), lambda: b.add_(b), lambda: c.add_(c.t()), lambda: b.mul_(b[0]),
        lambda: b[::2].add_(b[1::2]), lambda: b[:3].mul_(b[3:]), lambda: b.add_(b[:]),
    )], b  # fmt: skip


@program
def augmented_assignment(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    a = x * 1
    same = a
    a += 1
    a *= x
    a -= x[0]
    a /= 2
    a **= 2
    a[0] += 5
    a[1:] *= x[1:]
    i = lib.tensor([7, 8])
    i //= 2
    i %= 3
    i |= 4
    i &= 5
    i ^= 1
    i <<= 1
    i >>= 1
    return a is same, a, i, lib.autograd.grad(a.sum(), x)


@program
def augmented_assignment_of_leaves(lib):
    x = leaf(lib, 1.0, 2.0)

    def add():
        y = x
        y += 1

    def matmul():
        m = lib.eye(2)
        m @= lib.ones(2, 2)
        return m

    def of_number():
        n = 1.0
        n *= x
        return n

    return outcome(add), outcome(matmul), outcome(of_number), x


@program
def broadcast_targets(lib):
    a = lib.zeros(2, 3)
    return [outcome(f) for f in (
        lambda: a.add_(lib.ones(3)), lambda: a.add_(lib.ones(2)), lambda: a.add_(lib.ones(1, 2, 3)),
        lambda: lib.zeros(()).add_(lib.ones(1)), lambda: lib.zeros(1).add_(lib.ones(())),
        lambda: lib.zeros(1).copy_(lib.ones(2)), lambda: a.copy_(lib.ones(3)),
        lambda: a.copy_(lib.ones(1, 2, 3)), lambda: a.copy_(5.0), lambda: a.copy_(None),
        lambda: a.fill_(lib.ones(1)), lambda: a.fill_(lib.ones(())), lambda: a.fill_("x"),
        lambda: a.masked_fill_(lib.tensor([True, False, True]), 9.0),
        lambda: a.where(a > 1, lib.ones(2, 2, 3)), lambda: a.clamp_(lib.zeros(2, 2, 3)),
        lambda: a.addmm_(lib.ones(2, 2), lib.ones(2, 3)), lambda: a.lerp_(lib.ones(3), 0.5),
        lambda: a[0].addcmul_(lib.ones(3), lib.ones(3), value=2), lambda: a.addmv_(a, a),
    )], a  # fmt: skip


@program
def dtypes_of_targets(lib):
    f, d, i, b, c = (lib.ones(2, dtype=t) for t in (
        lib.float32, lib.float64, lib.int64, lib.bool, lib.complex64))  # fmt: skip
    u = lib.ones(2, dtype=lib.uint8)
    return [outcome(g) for g in (
        lambda: f.add_(d), lambda: d.add_(f), lambda: f.add_(i), lambda: i.add_(f),
        lambda: i.add_(1.5), lambda: i.mul_(2), lambda: b.add_(1), lambda: b.logical_not_(),
        lambda: f.add_(c), lambda: c.add_(f), lambda: i.add_(u), lambda: u.add_(i),
        lambda: u.add_(300), lambda: i.div_(2), lambda: i.floor_divide_(2), lambda: i.sqrt_(),
        lambda: i.pow_(2), lambda: i.copy_(f * 2.7), lambda: b.copy_(f), lambda: f.copy_(c),
        lambda: i.fill_(2.9), lambda: b.fill_(2), lambda: u.fill_(-1), lambda: f.fill_(1j),
        lambda: f.gt_(0), lambda: f.eq_(f), lambda: f.logical_and_(f), lambda: i.abs_(),
        lambda: i.true_divide_(2), lambda: f.bitwise_and_(f), lambda: b.sub_(b),
        lambda: f.clamp_(0, 1), lambda: i.clamp_(0.5, 1.5), lambda: b.neg_(), lambda: u.neg_(),
        lambda: i.float_power_(2), lambda: d.float_power_(2), lambda: f.erfinv_(),
        lambda: i.uniform_(), lambda: i.normal_(),  lambda: i.round_(),
        lambda: i.addcdiv_(i, i), lambda: i.addcmul_(i, i),
        lambda: f.ge_(1), lambda: i.lt_(3), lambda: b.bitwise_xor_(b), lambda: i.logical_not_(),
    )]  # fmt: skip
