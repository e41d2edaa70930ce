"""Inference mode and its tensors: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


def inference(lib, *values):
    with lib.inference_mode():
        return lib.tensor(values)


def kinds(*tensors):
    return [(t.is_inference(), t.requires_grad, t.is_leaf, t._is_view()) for t in tensors]


@program
def made_inside_inference_mode(lib):
    x = leaf(lib, 1.0, 2.0)
    plain = lib.ones(2)
    with lib.inference_mode():
        made = (
            lib.zeros(2), lib.tensor([1.0]), lib.empty(2), lib.rand(2), lib.zeros_like(plain),
            x * 2,
            x + plain, x.clone(), x[0], x.detach(), x.view(1, 2), plain[0], plain.view(1, 2),
            x.sum(),
            x.unbind()[0], plain.new_zeros(2), lib.stack([x, x]), lib.arange(3), lib.eye(2),
            x.to(lib.float64), x.float(), x.contiguous(), lib.as_tensor([1.0]), lib.where(x > 1, x,
            0.0),
            lib.ones(2, requires_grad=True), x.data,
        )  # fmt: skip
    return kinds(*made), kinds(x, plain)


@program
def inference_tensors_outside(lib):
    x = leaf(lib, 1.0, 2.0)
    i = inference(lib, 3.0, 4.0)
    found = [outcome(f) for f in (
        lambda: i + 1, lambda: i * i, lambda: i + x, lambda: x - i, lambda: i * x, lambda: x * i,
        lambda: lib.stack([i, x]), lambda: lib.where(lib.tensor([True, False]), i, x),
        lambda: x.exp() + i, lambda: i.sum(), lambda: i @ i, lambda: i @ x, lambda: x / i,
        lambda: i.to(lib.float64), lambda: i.clone() * x, lambda: lib.cat([i, i]),
        lambda: i.tolist(),
        lambda: x.pow(i), lambda: x.masked_fill(i > 3, 0.0), lambda: x[(i > 3)],
        lambda: lib.nn.functional.linear(x, i[None]),
        lambda: lib.nn.functional.linear(x, x[None], i[:1]),
    )]  # fmt: skip
    results = i + 1, i[0], i.view(2, 1), i.clone(), i.detach(), i.sum(), i.contiguous(), i.float()
    return found, kinds(*results)


@program
def inference_tensors_changed_outside(lib):
    x = leaf(lib, 1.0, 2.0)
    i = inference(lib, 3.0, 4.0)

    def item():
        i[0] = 1.0

    def data():
        i.data = lib.zeros(2)
        return i.is_inference()

    found = [outcome(lambda f=f: (f(), 1)[1]) for f in (
        lambda: i.add_(1), lambda: i.zero_(), lambda: i.copy_(x), item, lambda: i[0].add_(1),
        lambda: i.data.add_(1), lambda: i.view(2, 1).mul_(2),
        lambda: lib.add(i, 1, out=i), lambda: lib.add(lib.ones(2), 1, out=i), lambda: i.zero_(),
        lambda: i.requires_grad_(), lambda: i.requires_grad_(False),
        lambda: i.detach_(),
    )]  # fmt: skip
    with lib.no_grad():
        found += [outcome(lambda: (i.add_(1), 1)[1]), outcome(lambda: i.clone().fill_(1))]
    with lib.inference_mode():
        found += [outcome(lambda: i.fill_(1)), outcome(lambda: i.requires_grad)]
    return found, kinds(i)


@program
def inference_version(lib):
    i = inference(lib, 1.0)
    x = lib.ones(2)
    with lib.inference_mode():
        v = x[:1]
        w = x.view(2)
        v.add_(1)
        inside = x._version, v._version, outcome(lambda: i._version)
        x.add_(1)
        x.mul_(2)
        after = x._version, v._version, w._version
    return (inside, after, x._version, outcome(lambda: i._version),
            outcome(lambda: (i + 1)._version), outcome(lambda: i[0]._version))  # fmt: skip


@program
def back_into_autograd(lib):
    x = leaf(lib, 1.0, 2.0)
    i = inference(lib, 3.0, 4.0)
    c = i.clone()
    y = (x * c).sum()
    y.backward()
    c.requires_grad_()
    (c * c).sum().backward()
    d = i + 0
    d.requires_grad_()
    return x.grad, c.grad, kinds(c, d), (d * 2).requires_grad


@program
def inference_leaf_with_grad(lib):
    with lib.inference_mode():
        w = lib.ones(2, requires_grad=True)
        y = w * 2
    return (w.requires_grad, w.is_leaf, y.requires_grad, outcome(lambda: (w + 1).requires_grad),
            outcome(lambda: w * 2), outcome(lambda: (w + 1).sum().backward()),
            outcome(lambda: w.grad))  # fmt: skip


@program
def normal_tensors_changed_inside(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    b = lib.zeros(2)
    i = inference(lib, 5.0, 6.0)
    with lib.inference_mode():
        found = [outcome(lambda: a.add_(1)), outcome(lambda: x.add_(1)), outcome(lambda: b.add_(i)),
                 outcome(lambda: b.copy_(a)), outcome(lambda: i.copy_(a)),
                 outcome(lambda: a[0].zero_().sum() * 0)]  # fmt: skip
    return found, kinds(a, b, x), lib.autograd.grad(a.sum(), x), a._version, x._version


@program
def saved_then_changed_inside(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 2
    y = a * a
    with lib.inference_mode():
        a.add_(1)
    return outcome(lambda: y.sum().backward())


@program
def views_of_normal_tensors_inside(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    b = lib.zeros(2)
    with lib.inference_mode():
        v, w, u = a[:1], b[:1], x[:1]
        t = v.view(1, 1)
        inside = kinds(v, w, u, t)
        w.add_(3)
        v.add_(1)
    return (inside, kinds(w, u), a, b, outcome(lambda: kinds(v)), outcome(lambda: v.add_(1)),
    outcome(lambda: w.add_(1)),
            outcome(lambda: w.mul_(x[:1])), outcome(lambda: u + 1),
            outcome(lambda: (u * 2).requires_grad),
            outcome(lambda: v.sin()), b)  # fmt: skip


@program
def multi_views_inside(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    with lib.inference_mode():
        first, second = a.unbind()
        third = lib.zeros(2).unbind()[0]
    return (
        kinds(first, second, third),
        outcome(lambda: first.add_(1)),
        outcome(lambda: third.add_(1)),
    )


@program
def modes_inside_inference_mode(lib):
    x = leaf(lib, 1.0)
    with lib.inference_mode():
        with lib.enable_grad():
            y = x * 2
            found = [lib.is_grad_enabled(), kinds(y)]
        with lib.inference_mode(False):
            z = x * 2
            made = lib.zeros(1)
            found += [lib.is_grad_enabled(), kinds(z, made)]
            with lib.no_grad():
                found += [kinds(x * 2)]
        with lib.no_grad():
            found += [kinds(x * 2)]
    z.backward()
    return found, x.grad


@program
def no_grad_around_inference_mode(lib):
    found = []
    with lib.no_grad():
        with lib.inference_mode():
            found.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))
        with lib.inference_mode(False):
            found.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))
        found.append(lib.is_grad_enabled())
    with lib.inference_mode(mode=True), lib.no_grad():
        found.append((lib.is_grad_enabled(), lib.is_inference_mode_enabled()))
    return found


@program
def inference_mode_decorates(lib):
    @lib.inference_mode()
    def f(x):
        return x * 2

    @lib.inference_mode(False)
    def g(x):
        return x * 2

    @lib.inference_mode
    def h(x):
        yield x * 2

    x = leaf(lib, 1.0)
    return kinds(f(x), g(x), *h(x)), lib.is_inference_mode_enabled()


@program
def backward_through_inference_tensors(lib):
    x = leaf(lib, 1.0, 2.0)
    i = inference(lib, 3.0, 4.0)
    y = x + i
    z = x * 2
    y.backward(i)
    found = [x.grad, x.grad.is_inference()]
    x.grad = None
    z.sum().backward()
    with lib.inference_mode():
        found.append(outcome(lambda: z.sum().backward()))
        found.append(outcome(lambda: lib.autograd.grad(z.sum(), x)))
    return found


@program
def inference_gradient(lib):
    x = leaf(lib, 1.0, 2.0)
    i = inference(lib, 3.0, 4.0)
    x.grad = i
    return outcome(lambda: (x * 2).sum().backward()), x.grad is i, x.grad.is_inference()


@program
def modules_in_inference_mode(lib):
    m = lib.nn.Linear(2, 1)
    with lib.no_grad():
        m.weight.fill_(2.0)
        m.bias.fill_(1.0)
    x = lib.ones(1, 2)
    with lib.inference_mode():
        y = m(x)
        n = lib.nn.Linear(2, 1)
    return (y, kinds(y, n.weight), n.weight.requires_grad, outcome(lambda: m(x).requires_grad),
            outcome(lambda: m(inference(lib, 1.0, 2.0)).requires_grad),
            outcome(lambda: n(x).shape[0]))  # fmt: skip


@program
def deep_copies_of_inference_tensors(lib):
    import copy

    i = inference(lib, 1.0, 2.0)
    c = copy.deepcopy(i)
    s = copy.copy(i)
    return kinds(c, s), c, outcome(lambda: c.add_(1))


@program
def optimizer_and_inference_parameters(lib):
    with lib.inference_mode():
        p = lib.nn.Parameter(lib.ones(2))
    found = [p.requires_grad, p.is_inference()]
    q = lib.nn.Parameter(lib.ones(2))
    q.grad = lib.ones(2)
    optimizer = lib.optim.SGD([q], lr=0.1)
    with lib.inference_mode():
        optimizer.step()
    return found, q, q._version


@program
def hooks_on_inference_tensors(lib):
    i = inference(lib, 1.0)
    with lib.inference_mode():
        w = lib.ones(1, requires_grad=True)
    return (
        outcome(lambda: i.register_hook(print)),
        outcome(lambda: i.retain_grad()),
        outcome(lambda: w.register_hook(print) and None),
    )


@program
def function_in_inference_mode(lib):
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    x = leaf(lib, 3.0)
    i = inference(lib, 2.0)
    with lib.inference_mode():
        y = Square.apply(x)
    return kinds(y), outcome(lambda: Square.apply(i)), outcome(lambda: kinds(Square.apply(i)))
