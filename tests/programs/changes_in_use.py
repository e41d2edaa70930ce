"""In-place changes as training code has them: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


@program
def hook_before_and_after_a_change(lib):
    x = leaf(lib, 1.0, 2.0)
    seen = []
    a = x * 2
    a.register_hook(lambda g: seen.append(("before", g.tolist())))
    a.mul_(3)
    a.register_hook(lambda g: seen.append(("after", g.tolist())))
    a.sum().backward()
    return seen, x.grad


@program
def retained_gradient_of_a_changed_tensor(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    a.retain_grad()
    a.mul_(3)
    b = x * 2
    b.mul_(3)
    b.retain_grad()
    c = x * 2
    c.retain_grad()
    c[0] = 5.0
    (a.sum() + b.sum() + (c * c).sum()).backward()
    return a.grad, b.grad, c.grad, x.grad, a.retains_grad, c.retains_grad


@program
def gradient_changed_inside_a_hook(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    b = a * 3
    a.register_hook(lambda g: (g.mul_(10), None)[1])
    x.register_hook(lambda g: (g.add_(1), None)[1])
    b.sum().backward()
    return x.grad


@program
def incoming_gradient_is_not_changed(lib):
    x = leaf(lib, 1.0, 2.0)
    g = lib.ones(2)
    y = x * 1
    y.backward(g)
    x.grad.mul_(5)
    z = x + 0
    z.backward(g)
    return g, x.grad


@program
def gradients_do_not_share_memory(lib):
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    (x + y).sum().backward()
    x.grad.add_(1)
    z = leaf(lib, 1.0, 1.0)
    (z.view(2) + x).backward(lib.ones(2))
    z.grad.zero_()
    return x.grad, y.grad, z.grad, x.grad.data_ptr() == y.grad.data_ptr()


@program
def gradient_object_stays(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    same = x.grad is first
    x.grad.zero_()
    (x * 5).sum().backward()
    (x * x).sum().backward(create_graph=True)
    return same, first, x.grad is first, x.grad


@program
def augmented_items(lib):
    x, y = leaf(lib, 1.0, 2.0, 3.0), leaf(lib, 10.0, 20.0)
    a = x * 1
    a[0] += y[0]
    a[1:] *= y
    a[a > 15] -= 5
    a[[0, 2]] *= 2
    a[lib.tensor([True, False, False])] += 1
    m = x.expand(2, 3).clone()
    m[:, 0] *= 2
    m[0][1] = y[0]
    m[1][m[1] > 2.5] = 0.0
    m[[0, 1]][0] = 100.0
    m[..., -1] /= y
    total = (a * a).sum() + (m * m).sum()
    return a, m, lib.autograd.grad(total, [x, y])


@program
def residual_connections(lib):
    x = leaf(lib, 1.0, -2.0)
    h = x * 2
    out = lib.sin(h)
    out += x
    out = lib.nn.functional.relu(out, inplace=True)
    out = out + out.mean()
    out.sum().backward()
    return out, x.grad


@program
def activation_overwrites_what_is_needed(lib):
    x = leaf(lib, 0.5, 1.5)
    w = leaf(lib, 2.0, 3.0)
    found = []
    for activation in (
        lambda h: lib.nn.functional.relu(h, inplace=True),
        lambda h: lib.nn.functional.leaky_relu(h, 0.1, inplace=True),
        lambda h: lib.nn.functional.elu(h, inplace=True),
        lambda h: lib.nn.functional.silu(h, inplace=True),
        lambda h: lib.nn.functional.hardtanh(h, inplace=True),
        lambda h: lib.nn.functional.relu6(h, inplace=True), lambda h: h.sigmoid_(),
        lambda h: h.tanh_(), lambda h: h.clamp_(0, 1), lambda h: h.exp_(),
        lambda h: lib.nn.functional.celu(h, 1.0, True),
        lambda h: lib.nn.functional.threshold(h, 1.0, 0.0, True),
    ):  # fmt: skip
        row = []
        for before in (
            lambda: x * w,
            lambda: (x * w).exp(),
            lambda: x + w,
            lambda: (x * w).square(),
        ):
            h = before()
            y = activation(h)
            row.append((y is h, y, outcome(lambda y=y: lib.autograd.grad((y * y).sum(), [x, w]))))
        found.append(row)
    return found


@program
def modules_that_work_in_place(lib):
    nn = lib.nn
    net = nn.Sequential(
        nn.Linear(2, 2), nn.ReLU(inplace=True), nn.Linear(2, 1), nn.Hardtanh(inplace=True)
    )
    with lib.no_grad():
        for i, p in enumerate(net.parameters()):
            p.fill_(0.1 * (i + 1))
    x = lib.tensor([[1.0, -2.0], [3.0, 0.5]])
    net(x).sum().backward()
    return [p.grad for p in net.parameters()], outcome(lambda: net[1](leaf(lib, 1.0))), x


@program
def parameters_initialised(lib):
    nn = lib.nn
    p = nn.Parameter(lib.empty(4, 2))
    found = []
    for init in (nn.init.zeros_, nn.init.ones_, lambda t: nn.init.constant_(t, 3.0), nn.init.eye_,
                 lambda t: nn.init.dirac_(lib.zeros(2, 2, 1)), nn.init.uniform_,
                 nn.init.xavier_normal_):  # fmt: skip
        r = init(p)
        found.append((r is p, r.requires_grad, r.is_leaf))
    with lib.no_grad():
        p.zero_()
        p.chunk(4)[1].fill_(1)
        p[2].copy_(lib.tensor([5.0, 6.0]))
        p.data[3] = 7
        for part in p.unbind(1):
            part.add_(0.5)
    return found, p, outcome(lambda: p.zero_()), outcome(lambda: p.chunk(4)[0].fill_(1))


@program
def running_statistics(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)
    norm = lib.nn.BatchNorm1d(2)
    y = norm(x)
    z = norm(y)
    z.square().sum().backward()
    norm.eval()
    norm(x).sum().backward()
    return norm.running_mean, norm.running_var, norm.num_batches_tracked, x.grad


@program
def moving_average(lib):
    p = leaf(lib, 1.0, 2.0)
    ema, lerped = p.detach().clone(), p.detach().clone()
    for _ in range(3):
        with lib.no_grad():
            p.add_(1)
            ema.mul_(0.9).add_(p, alpha=0.1)
            lerped.lerp_(p, 0.1)
    wrong = p.detach()
    wrong.add_(100)
    return ema, lerped, ema.requires_grad, p, outcome(lambda: ema.mul_(p).requires_grad)


@program
def adversarial_training_step(lib):
    d, g = leaf(lib, 2.0), leaf(lib, 3.0)
    opt = lib.optim.SGD([d], lr=0.1)
    fake = g * 2
    real_loss = (d * fake.detach()).sum()
    real_loss.backward()
    fool = (d * fake).sum()
    opt.step()
    found = outcome(fool.backward)
    again = (d * fake).sum()
    again.backward()
    return found, g.grad, d.grad, d


@program
def weights_clipped_and_tied(lib):
    w = leaf(lib, -3.0, 4.0)
    tied = w
    (w * 2).sum().backward()
    with lib.no_grad():
        w.clamp_(-1, 1)
        w -= 0.1 * w.grad
        w[w < 0] = 0
    w.grad = None
    (tied * tied).sum().backward()
    return w, tied.grad, w._version, w.is_leaf


@program
def data_attribute_as_old_code_has_it(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * x).sum().backward()
    x.data -= 0.5 * x.grad.data
    x.grad.data.zero_()
    x.data = x.data * 2
    x.data[0] = 9.0
    x.data.fill_(4.0)
    x.grad.data = lib.ones(2) * 3
    (x * x).sum().backward()
    return x, x.grad, x.is_leaf, x.requires_grad, x._version


@program
def target_network(lib):
    nn = lib.nn
    net, target = nn.Linear(2, 1), nn.Linear(2, 1)
    with lib.no_grad():
        for i, p in enumerate(net.parameters()):
            p.fill_(i + 1.0)
    target.load_state_dict(net.state_dict())
    for p in target.parameters():
        p.requires_grad_(False)
    with lib.no_grad():
        for p, q in zip(net.parameters(), target.parameters()):
            q.data.mul_(0.5).add_(p.data, alpha=0.25)
    x = lib.ones(1, 2)
    loss = (net(x) - target(x)).square().sum()
    loss.backward()
    return [p.grad for p in net.parameters()], [q.grad for q in target.parameters()], loss


@program
def graph_used_after_its_input_was_changed(lib):
    x = leaf(lib, 1.0, 2.0)
    data = lib.tensor([3.0, 4.0])
    losses = []
    for _ in range(3):
        losses.append((x * data).sum())
        data.add_(1)
    return [outcome(loss.backward) for loss in losses], data._version


@program
def buffer_reused_in_a_loop(lib):
    x = leaf(lib, 1.0, 2.0)
    buffer = lib.empty(2)
    total = 0
    for k in range(3):
        buffer.copy_(x * (k + 1))
        total = total + buffer.sum()
    found = outcome(lambda: lib.autograd.grad(total, x, retain_graph=True))
    buffer = lib.zeros(2)
    total = 0
    for k in range(3):
        buffer.copy_(x * (k + 1))
        total = total + (buffer * buffer).sum()
    return found, outcome(lambda: lib.autograd.grad(total, x))


@program
def sequence_written_row_by_row(lib):
    w = leaf(lib, 0.5)
    states = lib.zeros(5, 1)
    states[0] = 1.0
    for i in range(1, 5):
        states[i] = states[i - 1].clone() * w
    (g,) = lib.autograd.grad(states.sum(), w)
    return states, g


@program
def matrix_filled_by_parts(lib):
    a, b = leaf(lib, 1.0, 2.0), leaf(lib, 3.0)
    m = lib.zeros(3, 3)
    m[0, :2] = a
    m[1:, 1:] = b * lib.eye(2)
    m[2, 0] = a.prod()
    m.fill_diagonal_(4.0)
    m.tril_()
    n = m @ m
    return m, n, lib.autograd.grad(n.sum(), [a, b])


@program
def change_of_one_part_of_an_unpacked_result(lib):
    x = leaf(lib, 3.0, 1.0, 2.0)
    values, indices = lib.sort(x * 1)
    values[0] = 10.0
    top = (x * 1).topk(2)
    top.values.mul_(2)
    high = (x * 1).max(0).values
    high.add_(1)
    return values, indices, lib.autograd.grad(values.sum() + top.values.sum() + high * 2, x)


@program
def second_derivative_through_views(lib):
    x = leaf(lib, 0.5, 1.5, 2.5)
    a = x * 3
    v = a[1:]
    v.mul_(x[:2])
    a[0] = a[1].clone() * x[2]
    (g,) = lib.autograd.grad((a**2).sum(), x, create_graph=True)
    (h,) = lib.autograd.grad((g * g).sum(), x)
    return a, g, h


@program
def clones_and_copies_before_a_change(lib):
    x = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    m = (x * 1).view(2, 2)
    found = []
    for copy in (lambda t: t.clone(), lambda t: t.contiguous(), lambda t: t.t().contiguous(),
                 lambda t: t.reshape(4), lambda t: t.t().reshape(4), lambda t: t.to(lib.float32),
                 lambda t: t.to(lib.float32, copy=True), lambda t: t.flatten(),
                 lambda t: t.t().flatten(),
                 lambda t: t.float(), lambda t: t.detach().clone(), lambda t: t[:],
                 lambda t: t[[0, 1]],
                 lambda t: t.expand(2, 2), lambda t: t.squeeze(), lambda t: t.type_as(t),
                 lambda t: lib.atleast_2d(t), lambda t: t.view_as(t)):  # fmt: skip
        base = m.clone()
        changed = copy(base)
        changed.zero_()
        found.append((base.tolist(), changed is base, base._version))
    return found


@program
def refused_changes_leave_everything(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    before = a.grad_fn
    found = [outcome(f) for f in (
        lambda: x.fill_(1), lambda: a.add_(lib.ones(3)), lambda: a.copy_(lib.ones(5)),
        lambda: a.index_fill_(0, lib.tensor([7]), 1.0), lambda: a.scatter_(0, lib.tensor([9]), 1.0),
        lambda: a.masked_fill_(lib.ones(2), 0.0), lambda: a.add_("x"),
        lambda: a.__setitem__(5, 1.0),
        lambda: a.__setitem__(0, lib.ones(2)), lambda: a.addmm_(a, a), lambda: a.lerp_(a, "x"),
        lambda: a.index_add_(0, lib.tensor([0, 1]), lib.ones(3)), lambda: a.clamp_(),
        lambda: a.pow_(),
        lambda: a.bitwise_and_(1), lambda: a.expand(2, 2).add_(1),
    )]  # fmt: skip
    return found, a, a._version, a.grad_fn is before, x


@program
def change_while_hooks_keep_what_is_saved(lib):
    x = leaf(lib, 1.0, 2.0)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        a = x * 2
        y = a * a
    a.mul_(5)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        b = x * 2
        z = b * b
    b.mul_(5)
    return (outcome(lambda: lib.autograd.grad(y.sum(), x)),)
    outcome(lambda: lib.autograd.grad(z.sum(), x))


@program
def leaf_views_and_their_gradient(lib):
    flat = leaf(lib, 1.0, 2.0, 3.0, 4.0)
    w, b = flat[:3], flat[3:]
    loss = (w * w).sum() + b.sum() * 2
    loss.backward()
    found = [flat.grad, w.is_leaf, outcome(lambda: w.grad)]
    with lib.no_grad():
        flat.sub_(flat.grad)
    found += [w, b, outcome(lambda: (w * w).sum().backward()), flat.grad]
    return found


@program
def parameters_flattened(lib):
    p, q = leaf(lib, 1.0, 2.0), leaf(lib, 3.0)
    flat = lib.cat([p.detach(), q.detach()])
    p.data, q.data = flat[:2], flat[2:]
    ((p * p).sum() + q.sum()).backward()
    flat.mul_(10)
    return p, q, p.grad, q.grad, p._is_view(), p.is_leaf, flat


@program
def integers_and_masks_in_place(lib):
    counts = lib.zeros(4, dtype=lib.int64)
    counts[lib.tensor([1, 1, 2])] += 1
    counts.index_add_(0, lib.tensor([1, 1, 3]), lib.ones(3, dtype=lib.int64))
    mask = lib.zeros(4, dtype=lib.bool)
    mask[1:3] = True
    mask |= counts > 2
    mask &= lib.tensor([True, True, False, True])
    mask ^= True
    counts[mask] = -1
    counts <<= 1
    counts //= 3
    return (
        counts,
        mask,
        counts._version,
        outcome(lambda: mask.add_(0.5)),
    )
    outcome(lambda: counts.__ipow__(2))


@program
def numbers_from_changed_tensors(lib):
    a = lib.zeros(3)
    row = a.tolist()
    number = a[0].item()
    array = a.numpy()
    a += 5
    array[1] = 7.0
    shared = a.clone()
    a.resize_(3)
    return row, number, array.tolist(), shared, a, a._version
