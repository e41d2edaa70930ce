"""Storing in tensors, in all its forms: programs for both libraries (see `programs`)."""

from __future__ import annotations

import copy

from . import leaf, outcome, program


@program
def set_semantics(lib):
    a, b = lib.zeros(3), lib.arange(4.0)
    v = a[:2]
    found = [a.set_(b) is a, a, v]
    a.add_(1)
    found += [b, outcome(lambda: a._version), outcome(lambda: b._version)]
    a.set_()
    found += [a, b]
    x = leaf(lib, 1.0)
    found += [outcome(lambda: x.set_(lib.ones(1))), outcome(lambda: a.set_(lib.tensor([1])))]
    c = lib.zeros(2)
    c.set_(lib.arange(6.0), 2, (2, 2), (2, 1))
    found += [c, c.stride(), c.storage_offset()]
    return found


@program
def resize_semantics(lib):
    a = lib.arange(6.0)
    found = [a.resize_(2, 2) is a, a, a._version]
    a.resize_(6)
    found += [a]
    a.resize_((3, 2))
    found += [a, a.stride()]
    b = lib.zeros(2)
    b.resize_(4)
    found += [b[:2], list(b.shape)]
    b.resize_as_(a)
    found += [list(b.shape)]
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    found += [
        outcome(lambda: x.resize_(1)),
        outcome(lambda: y.resize_(1)),
        outcome(lambda: a.resize_(-1)),
        outcome(lambda: a.resize_()),
        outcome(lambda: a.resize_(0)),
    ]
    return found


@program
def copy_semantics(lib):
    x = leaf(lib, 1.0, 2.0)
    a = lib.zeros(2, 2)
    found = [
        outcome(lambda: a.copy_(x)),
        outcome(lambda: a.copy_(lib.ones(3))),
        outcome(lambda: a.copy_([1.0, 2.0])),
        outcome(lambda: a[0].copy_(x * 2)),
        outcome(lambda: a.copy_(7)),
    ]
    i = lib.zeros(2, dtype=lib.int64)
    found += [
        outcome(lambda: i.copy_(lib.tensor([1.7, -1.7]))),
        outcome(lambda: i.copy_(x)),
        i.requires_grad,
    ]
    b = lib.zeros(2, dtype=lib.float64)
    b.copy_(x)
    (b * b).sum().backward()
    found += [x.grad]
    c = lib.zeros(2)
    c.copy_(lib.ones(2), non_blocking=True)
    found += [c]
    return found


@program
def copy_to_itself(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    before = a.grad_fn
    a.copy_(a)
    found = [a._version, a.grad_fn is before]
    a.copy_(a.detach())
    return found, outcome(lambda: lib.autograd.grad(a.sum(), x)[0])


@program
def fill_semantics(lib):
    x = leaf(lib, 2.0)
    a = lib.zeros(3)
    a.fill_(x[0])
    a.sum().backward()
    found = [a, x.grad, a.requires_grad]
    b = lib.zeros(2, dtype=lib.int64)
    found += [outcome(f) for f in (
        lambda: b.fill_(1.7), lambda: b.fill_(True), lambda: b.fill_(float("inf")),
        lambda: b.fill_(1j),
        lambda: b.fill_(lib.tensor(3.9)), lambda: b.fill_(lib.tensor([3])), lambda: b.fill_(None),
        lambda: b.fill_([1]), lambda: lib.zeros(2, dtype=lib.bool).fill_(2),
        lambda: lib.zeros(0).fill_(1),
        lambda: lib.zeros(2, dtype=lib.uint8).fill_(256), lambda: lib.fill(b, 2),
    )]  # fmt: skip
    return found


@program
def zero_keeps_shape_and_history(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 3
    b = a.zero_()
    g = lib.autograd.grad(a.sum(), x)
    return b is a, a, a.requires_grad, g, a.is_leaf


@program
def index_assignments(lib):
    found = []
    for key, value in (
        (0, 1.0), (slice(1, None), 2.0), (slice(None, None, 2), 3.0), ((0, 1), 4.0),
        ((..., 0), 5.0),
        ((slice(None), None), 6.0), (None, 7.0), ([0, 1], 8.0), ((slice(None), [2, 0]), 9.0),
        (-1, 1.5),
        (True, 2.5), ((0, slice(0, 0)), 3.5), ([], 4.5), ((), 5.5), (5, 1.0), ((0, 0, 0), 1.0),
        (([0, 1], [1, 2]), 6.5), (slice(None, None, -1), 1.0), (1.5, 1.0),
        ((slice(0, 1), [True, False, True]), 8.5),
    ):  # fmt: skip
        a = lib.zeros(2, 3)

        def assign(a=a, key=key, value=value):
            a[key] = value
            return a

        found.append((outcome(assign), a._version))
    return found


@program
def assigned_values(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    found = []
    for value in (
        x, x * 2, lib.ones(1), lib.ones(3, dtype=lib.float64), lib.tensor([1, 2, 3]), lib.ones(2),
        lib.ones(1, 3),
        lib.ones(2, 3), True, 2, 1j, [1.0, 2.0, 3.0], None, "x", lib.tensor(5.0), lib.tensor([True,
        False, True]),
        lib.tensor([1j, 0, 0]),
    ):  # fmt: skip
        for key in (0, (0, slice(None)), [0], (slice(0, 1),)):
            a = lib.zeros(2, 3)

            def assign(a=a, key=key, value=value):
                a[key] = value
                return a

            found.append(outcome(assign))
    return found


@program
def assignment_with_tensors_as_index(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    i = lib.tensor([2, 0])
    m = lib.tensor([True, False, True])
    found = []
    for change in (
        lambda a: a.__setitem__(i, x[:2]), lambda a: a.__setitem__(m, x[:2]),
        lambda a: a.__setitem__(m, x[0]),
        lambda a: a.__setitem__(~m, 0.0), lambda a: a.__setitem__(i, lib.ones(3)),
        lambda a: a.__setitem__(m, lib.ones(3)),
        lambda a: a.__setitem__(lib.tensor(1), x[0]), lambda a: a.__setitem__(a > 2.5, 9.0),
        lambda a: a.__setitem__(lib.tensor([5]), 1.0),
        lambda a: a.__setitem__(lib.tensor([True, False]), 1.0),
        lambda a: a.__setitem__(lib.tensor([0.5]), 1.0),
        lambda a: a.__setitem__((i,), x[:2] * 2), lambda a: a.__setitem__(i.to(lib.int32), 4.0),
        lambda a: a.__setitem__(lib.tensor(True), 4.0),
        lambda a: a.__setitem__(lib.tensor([], dtype=lib.int64), 4.0),
    ):  # fmt: skip
        a = x * 1

        def run(a=a, change=change):
            change(a)
            return a, lib.autograd.grad((a * a).sum(), x)

        found.append(outcome(run))
    return found


@program
def accumulating_assignment(lib):
    x = leaf(lib, 1.0, 2.0)
    a = lib.zeros(3)
    a.index_put_((lib.tensor([0, 0]),), x, accumulate=True)
    b = lib.zeros(3)
    b.index_add_(0, lib.tensor([1, 1]), x, alpha=2)
    c = lib.zeros(3)
    c.scatter_add_(0, lib.tensor([2, 2]), x)
    d = lib.zeros(3)
    d.put_(lib.tensor([0, 0]), x, accumulate=True)
    e = lib.ones(3)
    e.scatter_reduce_(0, lib.tensor([0, 0]), x, "prod")
    e2 = lib.ones(3).index_reduce_(0, lib.tensor([0, 0]), x.detach(), "prod")
    total = (a * a + b * b + c * c + d * d + e * e).sum()
    return a, b, c, d, e, e2, lib.autograd.grad(total, x)


@program
def masked_changes(lib):
    x = leaf(lib, 1.0, -2.0, 3.0)
    m = lib.tensor([True, False, True])
    a = x * 1
    a.masked_fill_(m, 5.0)
    b = x * 1
    b.masked_scatter_(m, x * 10)
    c = x * 1
    c.masked_fill_(m, x[1])
    d = x * 1
    found = [outcome(lambda: d.masked_fill_(lib.tensor([1, 0, 1]), 0.0)),
    outcome(lambda: d.masked_scatter_(m, lib.ones(1))),
             outcome(lambda: d.masked_fill_(m, lib.ones(2))),
             outcome(lambda: d.masked_fill_(lib.ones(2, 3) > 0, 1.0)),
             outcome(lambda: x.masked_fill_(m, 0.0))]  # fmt: skip
    return a, b, c, found, lib.autograd.grad((a * a + b * b + c * c).sum(), x)


@program
def index_changes(lib):
    x = lib.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    y = leaf(lib, 7.0, 8.0)
    i = lib.tensor([0, 2])
    found = []
    for change in (
        lambda a: a.index_fill_(0, i, 9.0), lambda a: a.index_copy_(0, i, lib.stack([y, y])),
        lambda a: a.scatter_(0, i[:, None], y[:, None]),
        lambda a: a.scatter_(0, i[:, None], 3.0),
        lambda a: a.fill_diagonal_(0.0),
        lambda a: a.index_add_(1, lib.tensor([0]), y[0].expand(3, 1)), lambda a: a.tril_(),
        lambda a: a.triu_(1),
        lambda a: a.cumsum_(0), lambda a: a.cumprod_(0), lambda a: a.renorm_(2, 0, 100.0),
        lambda a: a.clamp_(2, 4), lambda a: a.clamp_min_(3), lambda a: a.relu_(),
        lambda a: a.addmm_(lib.ones(3, 2), lib.ones(2, 2)), lambda a: a.addr_(lib.ones(3), y),
        lambda a: a.lerp_(lib.ones(3, 2), 0.25), lambda a: a.addcmul_(y, y),
        lambda a: a.addcdiv_(y, lib.ones(2)),
        lambda a: a.pow_(2), lambda a: a.pow_(y), lambda a: a.fmod_(2), lambda a: a.remainder_(2),
        lambda a: a.floor_(), lambda a: a.sign_(), lambda a: a.reciprocal_(), lambda a: a.rsqrt_(),
        lambda a: a.nan_to_num_(), lambda a: a.sigmoid_(), lambda a: a.tanh_(), lambda a: a.log_(),
        lambda a: a.log1p_(), lambda a: a.expm1_(), lambda a: a.copysign_(-1),
        lambda a: a.clip_(0, 3), lambda a: a.sinc_(), lambda a: a.logit_(0.1),
        lambda a: a.xlogy_(y), lambda a: a.lgamma_(), lambda a: a.digamma_(),
        lambda a: a.square_(), lambda a: a.frac_(), lambda a: a.trunc_(),
        lambda a: a.where(a > 1, 0.0),
        lambda a: a.div_(y, rounding_mode="floor"), lambda a: a.sub_(y, alpha=3),
        lambda a: a.add_(y, alpha=2), lambda a: a.multiply_(y), lambda a: a.negative_(),
        lambda a: a.absolute_(), lambda a: a.arctan_(), lambda a: a.swapaxes_(0, 1),
        lambda a: a.index_put_((i,), y),
        lambda a: a.logaddexp(y), lambda a: a.round_(decimals=1),
        lambda a: lib.nn.functional.threshold_(a, 2, 0), lambda a: lib.nn.functional.elu_(a),
        lambda a: lib.nn.functional.leaky_relu_(a), lambda a: lib.nn.functional.hardtanh_(a),
        lambda a: lib.nn.functional.selu_(a), lambda a: lib.nn.functional.celu_(a),
        lambda a: lib.nn.functional.silu(a, inplace=True),
        lambda a: lib.nn.functional.mish(a, inplace=True),
        lambda a: lib.nn.functional.hardswish(a, True),
        lambda a: lib.nn.functional.dropout(a, 0.0, True, True),
        lambda a: lib.exp_(a), lambda a: lib.sigmoid_(a), lambda a: lib.relu_(a),
        lambda a: lib.clamp_(a, 0, 1), lambda a: lib.zero_(a), lambda a: lib.fill_(a, 2.0),
        lambda a: lib.sin_(a), lambda a: lib.addmv_(a[:, 0].clone(), a.detach(), y),
        lambda a: lib.sqrt_(a), lambda a: lib.abs_(a), lambda a: lib.detach_(a),
        lambda a: lib.index_put_(a, (i,), y), lambda a: lib.square_(a),
    ):  # fmt: skip
        a = x * 1

        def run(a=a, change=change):
            r = change(a)
            return (
                r is a,
                a,
                lib.autograd.grad((a * a).sum(), [x, y], allow_unused=True),
                a._version,
            )

        found.append(outcome(run))
    return found


@program
def random_changes_in_place(lib):
    x = leaf(lib, 1.0, 2.0)
    found = []
    for name, args in (
        ("normal_", ()), ("uniform_", (0, 1)), ("bernoulli_", (0.5,)), ("exponential_", (1.0,)),
        ("random_", (5,)), ("cauchy_", ()),
        ("log_normal_", ()), ("geometric_", (0.5,)),
    ):  # fmt: skip
        a = x * 1
        b = getattr(a, name)(*args)
        found.append((name, b is a, a.requires_grad, a._version, a.is_leaf,
        lib.autograd.grad(a.sum(), x),
                      outcome(lambda name=name, args=args: getattr(x, name)(*args)),
                      outcome(lambda name=name: getattr(lib.zeros(2, dtype=lib.int64),
                      name)(-2.0)) if name not in ("random_", "cauchy_") else None))  # fmt: skip
    return found


@program
def swapped_tensors(lib):
    x, y = leaf(lib, 1.0, 2.0), leaf(lib, 3.0)
    a = x * 2
    x.note = "x"
    ia, iy = id(a), id(y)
    lib.utils.swap_tensors(a, y)
    found = [a, y, id(a) == ia, id(y) == iy, a.is_leaf, y.is_leaf, y.grad_fn is not None]
    y.sum().backward()
    found += [x.grad]
    u, v = lib.zeros(2), lib.ones(3)
    u.label = "u"
    lib.utils.swap_tensors(u, v)
    u.add_(1)
    v.sub_(5)
    return found, u, v, v.label, hasattr(u, "label")


@program
def storages(lib):
    a = lib.arange(6.0)
    v = a[2:].view(2, 2)
    b = a.clone()
    s = a.untyped_storage()
    return (v.storage_offset(), v.stride(), v.stride(0), a.data_ptr() == v.data_ptr(),
    a.data_ptr() + 8 == v.data_ptr(),
            s.data_ptr() == v.untyped_storage().data_ptr(),
            s.data_ptr() == b.untyped_storage().data_ptr(),
            s.nbytes(), v.untyped_storage().nbytes(), len(s), a.element_size(), v.is_set_to(v),
            a.is_set_to(b), a.nbytes,
            a.detach().untyped_storage().data_ptr() == s.data_ptr(), s.size())  # fmt: skip


@program
def copies_keep_what_they_should(lib):
    x = leaf(lib, 1.0, 2.0)
    x.grad = lib.ones(2)
    d = copy.deepcopy(x)
    c = x.clone()
    s = copy.copy(x)
    y = x * 2
    return (d, d.grad, d.is_leaf, c.is_leaf, s is x, outcome(lambda: copy.deepcopy(y)),
    outcome(lambda: copy.deepcopy([x, x])[0] is x),
            outcome(lambda: s.data_ptr() == x.data_ptr()), outcome(lambda: s.is_leaf))  # fmt: skip


@program
def changed_in_a_loop_over_views(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    a = x * 1
    for row in range(3):
        a[row] = a[row] * 2
    found = [a, lib.autograd.grad(a.sum(), x)]
    b = x * 1

    def iterate():
        for part in b:
            part.mul_(2)

    return found, outcome(iterate)


@program
def optimizer_style_changes(lib):
    p = leaf(lib, 1.0, 2.0)
    (p * p).sum().backward()
    with lib.no_grad():
        p -= 0.1 * p.grad
        p.grad.zero_()
        p.add_(lib.ones(2), alpha=-0.5)
        p.sub_(p.clone() * 0.1)
        p.copy_(p * 2)
    found = [p, p.grad, p._version, p.is_leaf, p.requires_grad]
    p.data -= 1
    p.data[0] = 5.0
    p.data.copy_(p.data + 1)
    return found, p, p._version


@program
def gradient_changed_in_place(lib):
    x = leaf(lib, 1.0, 2.0)
    (x * x).sum().backward()
    g = x.grad
    g.mul_(10)
    (x * x).sum().backward()
    found = [x.grad is g, g]
    x.grad.detach_()
    x.grad.zero_()
    del x.grad
    (x * x).sum().backward(create_graph=True)
    return found, x.grad.requires_grad, outcome(lambda: x.grad.detach_().requires_grad), g


@program
def saved_output_changed(lib):
    x = leaf(lib, 0.3, 0.6)
    found = []
    for name in ("exp", "sqrt", "tanh", "sigmoid", "reciprocal", "rsqrt", "relu", "softmax",
    "log_softmax", "tan", "expm1", "sin", "cos", "log",
                 "abs", "square", "neg", "cumsum", "sum", "amax", "clone", "atan", "log1p", "erf",
                 "cumprod"):  # fmt: skip
        y = getattr(x * 1, name)(
            *((0,) if name in ("softmax", "log_softmax", "cumsum", "amax", "cumprod") else ())
        )
        z = y * 1
        y.add_(1)
        found.append((name, outcome(lambda z=z: lib.autograd.grad(z.sum(), x))))
    return found


@program
def saved_input_changed(lib):
    x = leaf(lib, 0.3, 0.6)
    found = []
    for name in ("exp", "sqrt", "tanh", "sigmoid", "relu", "sin", "log", "abs", "square", "neg",
    "cumsum", "sum", "prod", "clone", "erf", "mean",
                 "softmax", "floor", "sign", "max", "view_as", "mul", "add", "div", "pow", "dot",
                 "maximum"):  # fmt: skip
        a = x * 1
        args = {"softmax": (0,), "cumsum": (0,), "view_as": (x,), "mul": (2.0,), "add": (2.0,),
        "div": (2.0,), "pow": (3,),
                "dot": (x,), "maximum": (x,)}.get(name, ())  # fmt: skip
        y = getattr(a, name)(*args)
        a.add_(1)
        found.append((name, outcome(lambda y=y: lib.autograd.grad(y.sum(), x))))
    return found


@program
def both_operands_saved(lib):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    c = lib.ones(2)
    found = []
    for make in (lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a**b, lambda a, b: a @ b,
    lambda a, b: a + b,
                 lambda a, b: lib.where(a > 1, a, b), lambda a, b: lib.atan2(a, b)):  # fmt: skip
        row = []
        for which in (0, 1):
            for grads in ((x, w), (x, c), (c, w)):
                a, b = grads[0] * 1, grads[1] * 1
                y = make(a, b).sum()
                (a, b)[which].mul_(2)
                row.append(
                    outcome(
                        lambda y=y, grads=grads: lib.autograd.grad(
                            y, [g for g in grads if g is not c]
                        )
                    )
                )
        found.append(row)
    return found


@program
def python_functions_applied(lib):
    x, a, i = leaf(lib, 1.0, 2.0), lib.zeros(2, 2), lib.tensor([1, 2])
    return [outcome(f) for f in (
        lambda: a.apply_(lambda v: v + 3), lambda: a.map_(lib.ones(2), lambda p, q: p + q),
        lambda: a.map2_(a + 1, a + 2, lambda p, q, r: p * q + r),
        lambda: i.apply_(lambda v: v + 0.5),
        lambda: x.apply_(lambda v: v), lambda: a.map_(x, lambda p, q: p),
        lambda: a.apply_(lambda v: "x"),
        lambda: a.map_(lib.ones(3), lambda p, q: p), lambda: lib.zeros(0).apply_(lambda v: v),
        lambda: a.t().apply_(lambda v: -v), lambda: a,
    )]  # fmt: skip


@program
def multithreading_flag(lib):
    found = [lib.autograd.is_multithreading_enabled()]
    with lib.autograd.set_multithreading_enabled(False):
        found.append(lib.autograd.is_multithreading_enabled())
        x = leaf(lib, 1.0)
        (x * 2).backward()
    found += [lib.autograd.is_multithreading_enabled(), x.grad]
    lib.autograd.set_multithreading_enabled(False)
    found.append(lib.autograd.is_multithreading_enabled())
    lib.autograd.set_multithreading_enabled(True)
    with lib.autograd.grad_mode.no_grad():
        found.append((x * 2).requires_grad)
    return found
