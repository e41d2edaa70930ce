"""`ng.func`: each op against its other derivatives and loops, and transforms inside each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import func
from numbagrad.ops.registry import REGISTRY
from tests.programs import expected, programs, run, same
from tests.samples import Make, samples

EXPECTED = expected()

F64, C128 = ng.float64, ng.complex128


def close(a, b, tolerance=1e-9):
    a = a.detach().numpy() if isinstance(a, ng.Tensor) else np.asarray(a)
    b = b.detach().numpy() if isinstance(b, ng.Tensor) else np.asarray(b)
    assert a.shape == b.shape, f"shape {a.shape} != {b.shape}"
    np.testing.assert_allclose(a, b, tolerance, tolerance)


def differentiable_calls(op, dtype):
    """(function of the differentiable arguments alone, those arguments) for each sample."""
    for args, params in samples(op, Make(dtype)):
        mask = op.differentiable_mask
        places = [
            i for i, a in enumerate(args)
            if isinstance(a, ng.Tensor) and a.dtype.np.kind in "fc"
            and (mask is None or mask >> i & 1)
        ]  # fmt: skip
        if not places:
            continue

        def fn(*xs, args=args, params=params, places=places):
            full = list(args)
            for i, x in zip(places, xs, strict=True):
                full[i] = x
            out = (op.checked or op)(*full, **params)
            outs = out if isinstance(out, tuple) else (out,)
            return tuple(o for o in outs if o.dtype.np.kind in "fc")

        xs = [args[i].clone() for i in places]
        if fn(*xs):
            yield fn, xs


def inner(a, b):
    """The real inner product."""
    return sum(float(np.real(np.vdot(x.numpy(), y.numpy()))) for x, y in zip(a, b, strict=True))


def random_like(x, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=x.shape)
    if x.is_complex():
        values = values + 1j * rng.normal(size=x.shape)
    return ng.from_numpy(np.asarray(values, x.dtype.np))


def names(dtype):
    return sorted(
        o.name for o in REGISTRY.values() if o.rules is not None and dtype.np.kind in o.kinds
    )


CASES = [(n, d) for d in (F64, C128) for n in names(d)]


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=lambda v: getattr(v, "name", v))
def test_jvp_is_the_transpose_of_vjp(name, dtype):
    for fn, xs in differentiable_calls(REGISTRY[name], dtype):
        tangents = tuple(random_like(x, i) for i, x in enumerate(xs))
        out, pushed = func.jvp(fn, tuple(xs), tangents)
        again, pull = func.vjp(fn, *xs)
        for a, b in zip(out, again, strict=True):
            close(a, b)
        cotangents = tuple(random_like(o, 10 + i) for i, o in enumerate(out))
        pulled = pull(cotangents)
        assert not any(t.requires_grad for t in (*out, *again, *pushed, *pulled))
        assert inner(cotangents, pushed) == pytest.approx(inner(pulled, tangents), 1e-7, 1e-9)


@pytest.mark.parametrize("name", names(F64))
def test_jvp_is_the_slope(name):
    for fn, xs in differentiable_calls(REGISTRY[name], F64):
        tangents = tuple(random_like(x, i) for i, x in enumerate(xs))
        _, pushed = func.jvp(fn, tuple(xs), tangents)
        step = 1e-6
        ahead = fn(*[x + t * step for x, t in zip(xs, tangents, strict=True)])
        behind = fn(*[x - t * step for x, t in zip(xs, tangents, strict=True)])
        for p, a, b in zip(pushed, ahead, behind, strict=True):
            close(p, (a - b) / (2 * step), 1e-4)


@pytest.mark.parametrize("name", names(F64))
def test_forward_over_reverse_is_reverse_over_reverse(name):
    for fn, xs in differentiable_calls(REGISTRY[name], F64):

        def loss(*xs, fn=fn):
            return sum((abs(o * o).sum() for o in fn(*xs)), ng.tensor(0.0, dtype=F64))

        which = tuple(range(len(xs)))
        tangents = tuple(random_like(x, i) for i, x in enumerate(xs))
        _, pushed = func.jvp(func.grad(loss, which), tuple(xs), tangents)
        _, pull = func.vjp(func.grad(loss, which), *xs)
        for a, b in zip(pushed, pull(tangents), strict=True):
            close(a, b, 1e-6)


@pytest.mark.parametrize("name", names(F64))
def test_second_and_third_derivatives_are_slopes(name):
    """Along a line through the sample; each order by one mode on top of the other."""
    push = lambda f: lambda s: func.jvp(f, (s,), (ng.ones_like(s),))[1]  # noqa: E731
    step = 1e-5
    for fn, xs in differentiable_calls(REGISTRY[name], F64):
        directions = [random_like(x, i) * 0.1 for i, x in enumerate(xs)]

        def along(s, fn=fn, xs=xs, directions=directions):
            outs = fn(*[x + s * d for x, d in zip(xs, directions, strict=True)])
            return sum(((o * o).abs().sum() for o in outs), s * 0)

        lower = along
        for higher in (func.grad(along), push(func.grad(along)), func.grad(push(func.grad(along)))):
            slope = (lower(t(step)) - lower(t(-step))) / (2 * step)
            close(higher(t(0.0)), slope, 1e-4)
            lower = higher


def batched_calls(op, dtype):
    for args, params in samples(op, Make(dtype)):
        tensors = [i for i, a in enumerate(args) if isinstance(a, ng.Tensor)]
        if tensors:
            yield args, params, tensors


def batch(x, size, dim, seed):
    """`size` tensors like `x` (indices are rolled, so that they stay valid), stacked."""
    rows = []
    rng = np.random.default_rng(seed)
    for i in range(size):
        a = x.numpy()
        if a.size and a.dtype.kind in "iub":
            a = np.roll(a.reshape(-1), i).reshape(a.shape)
        elif a.size:
            a = a * rng.uniform(0.9, 1.0)
        rows.append(np.asarray(a, x.dtype.np))
    return ng.from_numpy(np.stack(rows, dim))


BATCHED = sorted(o.name for o in REGISTRY.values())


@pytest.mark.parametrize("name", BATCHED)
def test_vmap_is_a_loop(name):
    op = REGISTRY[name]
    dtype = F64 if "f" in op.kinds else C128 if "c" in op.kinds else ng.int64
    size = 3
    for args, params, tensors in batched_calls(op, dtype):
        chosen = [[i] for i in tensors] + ([tensors] if len(tensors) > 1 else [])
        for places in chosen:
            dims = {i: args[i].ndim if k % 2 else 0 for k, i in enumerate(places)}
            full = {i: batch(args[i], size, dims[i], i) for i in places}

            def fn(*xs, args=args, params=params, places=places):
                given = list(args)
                for i, x in zip(places, xs, strict=True):
                    given[i] = x
                return op(*given, **params)

            in_dims = tuple(dims[i] for i in places)
            mapped = func.vmap(fn, in_dims=in_dims)(*[full[i] for i in places])
            rows = [fn(*[full[i].select(dims[i], k) for i in places]) for k in range(size)]
            if not isinstance(mapped, tuple):
                mapped, rows = (mapped,), [(r,) for r in rows]
            for j, m in enumerate(mapped):
                assert m.dtype is rows[0][j].dtype
                close(m, ng.stack([r[j] for r in rows]))


@pytest.mark.parametrize("name", BATCHED)
def test_vmap_over_every_dimension_and_twice(name):
    op = REGISTRY[name]
    dtype = F64 if "f" in op.kinds else C128 if "c" in op.kinds else ng.int64
    for args, params, tensors in batched_calls(op, dtype):

        def fn(i, j, x, y, args=args, params=params):
            given = list(args)
            given[i] = x
            given[j] = y
            out = op(*given, **params)
            return out if isinstance(out, tuple) else (out,)

        for i in tensors:
            for dim in range(args[i].ndim + 1):
                full = batch(args[i], 2, dim, i)
                mapped = func.vmap(lambda x, i=i, fn=fn: fn(i, i, x, x), in_dims=dim)(full)
                rows = [fn(i, i, r, r) for r in full.unbind(dim)]
                for k, m in enumerate(mapped):
                    close(m, ng.stack([r[k] for r in rows]))
        first, last = tensors[0], tensors[-1]
        xs = batch(args[first], 2, 0, 1)
        ys = batch(args[last], 3, args[last].ndim, 2)
        if first == last:
            xs = ys = ng.stack([xs, xs, xs], -1)
            twice = func.vmap(func.vmap(lambda x: fn(first, last, x, x), in_dims=-1))(xs)  # noqa: B023
        else:
            pair = lambda x, y: fn(first, last, x, y)  # noqa: B023, E731
            twice = func.vmap(func.vmap(pair, (None, -1)), (0, None))(xs, ys)
        for a in range(2):
            for b in range(3):
                x, y = (xs[a, ..., b],) * 2 if first == last else (xs[a], ys[..., b])
                for m, one in zip(twice, fn(first, last, x, y), strict=True):
                    close(m[a, b], one)
        break


def test_every_op_has_a_batching_rule():
    assert not [o.name for o in REGISTRY.values() if o.expr is None and o.batch is None]


@pytest.mark.parametrize("name", names(F64))
def test_nested_vmap_of_vjp_is_a_loop(name):
    for fn, xs in differentiable_calls(REGISTRY[name], F64):

        def gradients(*xs, fn=fn):
            out, pull = func.vjp(fn, *xs)
            return pull(tuple(ng.ones_like(o) for o in out))

        rows = [[batch(x, 2, 0, 5 * i + j) for j, x in enumerate(xs)] for i in range(2)]
        full = [ng.stack(pair) for pair in zip(*rows, strict=True)]
        mapped = func.vmap(func.vmap(gradients))(*full)
        for i in range(2):
            for k in range(2):
                one = gradients(*[f[i][k] for f in full])
                for m, o in zip(mapped, one, strict=True):
                    close(m[i][k], o)


# -- nesting --------------------------------------------------------------------------------------


def t(*values):
    return ng.tensor(values[0] if len(values) == 1 else values, dtype=F64)


def test_perturbation_confusion():
    # d/dx (x * d/dy (x + y)) is 1, not 2.
    f = lambda x: x * func.grad(lambda y: x + y)(t(1.0))  # noqa: E731
    close(func.grad(f)(t(1.0)), 1.0)
    push = lambda f, x: func.jvp(f, (x,), (t(1.0),))[1]  # noqa: E731
    close(push(lambda x: x * push(lambda y: x + y, t(1.0)), t(1.0)), 1.0)
    close(push(lambda x: x * func.grad(lambda y: x + y)(t(1.0)), t(1.0)), 1.0)
    close(func.grad(lambda x: x * push(lambda y: x + y, t(1.0)))(t(1.0)), 1.0)


@pytest.mark.parametrize("order", ["rr", "rf", "fr", "ff", "rrr", "frf", "rfr", "fff", "rff"])
def test_nested_orders(order):
    def forward(f):
        return lambda x: func.jvp(f, (x,), (ng.ones_like(x),))[1]

    f = lambda x: ng.sin(x) * x**3  # noqa: E731
    g = f
    for letter in order:
        g = func.grad(g) if letter == "r" else forward(g)
    x = 0.7
    s, c = math.sin(x), math.cos(x)
    expected = {
        2: -s * x**3 + 6 * x**2 * c + 6 * x * s,
        3: -c * x**3 - 9 * x**2 * s + 18 * x * c + 6 * s,
    }
    close(g(t(x)), expected[len(order)])


@pytest.mark.parametrize("dtype", [F64, C128], ids=str)
def test_curvature_of_abs_at_zero(dtype):
    z, v = ng.tensor([0.0, 1.0], dtype=dtype), ng.tensor([1.0, 2.0], dtype=dtype)
    slope = func.grad(lambda z: (z.abs() ** 2).sum())
    close(func.jvp(slope, (z,), (v,))[1], func.vjp(slope, z)[1](v)[0])
    close(func.jvp(slope, (z,), (v,))[1], ng.tensor([0.0, 4.0], dtype=dtype))


def test_gradient_of_a_captured_tensor_that_requires_grad():
    w = ng.tensor([1.0, 2.0], dtype=F64, requires_grad=True)
    g = func.grad(lambda x: (w * x * x).sum())(t(3.0, 4.0))
    assert g.requires_grad
    g.sum().backward()
    close(w.grad, [6.0, 8.0])
    r = func.vmap(func.grad(lambda x: (w * x * x).sum()))(t([3.0, 4.0], [5.0, 6.0]))
    (found,) = ng.autograd.grad(r.sum(), w)
    close(found, [16.0, 20.0])
    _, pushed = func.jvp(lambda x: (w * x * x).sum(), (t(3.0, 4.0),), (t(1.0, 1.0),))
    close(ng.autograd.grad(pushed, w)[0], [6.0, 8.0])


def test_results_are_constants_unless_the_caller_records():
    x = t(1.0, 2.0)
    y, pull = func.vjp(lambda x: x * 2, x)
    assert not y.requires_grad and not pull(y)[0].requires_grad
    x.requires_grad_()
    with ng.no_grad():
        assert not func.grad(lambda x: (x * x).sum())(x).requires_grad
    g = func.grad(lambda x: (x**3).sum())(x)
    close(ng.autograd.grad(g.sum(), x)[0], [6.0, 12.0])
    assert x.grad is None


def test_no_grad_inside_makes_constants():
    def f(x):
        with ng.no_grad():
            y = x * x
        return (x - y).sum()

    close(func.grad(f)(t(1.0, 2.0)), [1.0, 1.0])


def test_python_sees_values_outside_vmap():
    f = lambda x: x * 2 if x > 0 else x * 3  # noqa: E731
    close(func.grad(f)(t(-1.0)), 3.0)
    close(func.jvp(f, (t(1.0),), (t(1.0),))[1], 2.0)
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        func.vmap(f)(t(1.0, -1.0))
    with pytest.raises(RuntimeError, match=r"\.item\(\)"):
        func.vmap(lambda x: x.item())(t(1.0, -1.0))


def mlp(params, x):
    w1, b1, w2, b2 = params
    return ng.tanh(x @ w1.T + b1) @ w2.T + b2


def parameters():
    rng = np.random.default_rng(0)
    return tuple(ng.from_numpy(rng.normal(size=s)) for s in ((5, 3), (5,), (2, 5), (2,)))


def test_per_sample_gradients():
    params = parameters()
    x, y = random_like(ng.zeros(4, 3, dtype=F64), 1), random_like(ng.zeros(4, 2, dtype=F64), 2)

    def loss(params, x, y):
        return ((mlp(params, x) - y) ** 2).sum()

    mapped = func.vmap(func.grad(loss), (None, 0, 0))(params, x, y)
    chunked = func.vmap(func.grad(loss), (None, 0, 0), chunk_size=3)(params, x, y)
    for i in range(4):
        for m, c, g in zip(mapped, chunked, func.grad(loss)(params, x[i], y[i]), strict=True):
            close(m[i], g)
            close(c[i], g)


def test_hessian_of_an_mlp():
    params = parameters()
    x = random_like(ng.zeros(4, 3, dtype=F64), 1)

    def loss(params):
        return ng.nn.functional.cross_entropy(mlp(params, x), ng.tensor([0, 1, 1, 0]))

    whole = func.hessian(loss)(params)
    reverse = func.jacrev(func.jacrev(loss))(params)
    forward = func.jacfwd(func.jacfwd(loss))(params)
    other = func.jacrev(func.jacfwd(loss))(params)
    v = tuple(random_like(p, i) for i, p in enumerate(params))
    product = func.hvp(loss, (params,), (v,))
    for i, p in enumerate(params):
        total = 0
        for j, q in enumerate(params):
            assert whole[i][j].shape == (*p.shape, *q.shape)
            for h in (reverse, forward, other):
                close(whole[i][j], h[i][j])
            total = total + ng.tensordot(whole[i][j], v[j], q.ndim)
        close(product[i], total)


def test_convolution_per_sample():
    rng = np.random.default_rng(0)
    w = ng.from_numpy(rng.normal(size=(4, 2, 3, 3)))
    x = ng.from_numpy(rng.normal(size=(3, 2, 6, 6)))

    def loss(w, x):
        y = ng.nn.functional.conv2d(x.unsqueeze(0), w, padding=1)
        return (ng.nn.functional.max_pool2d(y, 2) ** 2).sum()

    mapped = func.vmap(func.grad(loss), (None, 0))(w, x)
    for i in range(3):
        close(mapped[i], func.grad(loss)(w, x[i]))


def test_vjp_and_linearize_can_be_called_again():
    f = lambda x: {"a": x.sin(), "b": (x.cos() * x, 2 * x)}  # noqa: E731
    x = t(1.0, 2.0)
    out, push = func.linearize(f, x)
    for v in (t(1.0, 0.0), t(0.5, 3.0)):
        expected = func.jvp(f, (x,), (v,))[1]
        found = push(v)
        close(found["a"], expected["a"])
        close(found["b"][0], expected["b"][0])
        close(found["b"][1], expected["b"][1])
    close(out["a"], x.sin())


def test_double_backward_through_vjp_fn():
    x, v = t(1.0, 2.0), t(1.0, 1.0)
    f = lambda x: func.vjp(lambda x: x**3, x)[1](v)[0].sum()  # noqa: E731
    close(func.grad(f)(x), [6.0, 12.0])


# -- vmap -----------------------------------------------------------------------------------------


def test_in_dims_and_out_dims():
    x = ng.arange(24.0).reshape(2, 3, 4)
    close(func.vmap(lambda a: a * 2, in_dims=1, out_dims=2)(x), (x * 2).permute(0, 2, 1))
    close(func.vmap(lambda a: a, in_dims=-1, out_dims=-1)(x), x)
    out = func.vmap(lambda d, k: {"s": d["a"].sum(0) + k}, in_dims=({"a": 2}, None))({"a": x}, 1.0)
    close(out["s"], (x.sum(0) + 1).T)
    constant, mapped = func.vmap(lambda a: (ng.ones(2), a), out_dims=(None, 0))(x)
    assert constant.shape == (2,) and mapped.shape == x.shape


def test_a_batch_of_numbers_promotes_like_a_number():
    scale = ng.tensor([1.0, 2.0], dtype=F64)
    out = func.vmap(lambda s: ng.ones(3) * s)(scale)
    assert out.dtype is ng.float32 and out.shape == (2, 3)


def test_random_numbers_under_vmap():
    x = ng.zeros(3, 2)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        func.vmap(lambda a: a + ng.rand(2))(x)
    same = func.vmap(lambda a: a + ng.rand(2), randomness="same")(x)
    assert ng.equal(same[0], same[1])
    ng.manual_seed(0)
    different = func.vmap(lambda a: a + ng.rand(2), randomness="different")(x)
    assert not ng.equal(different[0], different[1])
    ng.manual_seed(0)
    assert ng.equal(different, func.vmap(lambda a: a + ng.rand(2), randomness="different")(x))
    nested = func.vmap(
        func.vmap(lambda a: a + ng.rand(()), randomness="different"), randomness="different"
    )(x)
    assert len(set(nested.flatten().tolist())) == 6


def test_in_place_under_vmap():
    x = ng.ones(3, 2)

    def f(a):
        b = a * 2
        b[0] = a.sum()
        b.mul_(3)
        b[1:].add_(1)
        return b

    close(func.vmap(f)(x), ng.stack([f(r) for r in x]))
    y = ng.ones(3)
    func.vmap(lambda a, b: a.add_(b))(y, ng.arange(3.0))
    close(y, [1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match="inplace arithmetic"):
        func.vmap(lambda a: ng.zeros(2).add_(a))(x)


def test_in_place_under_grad_and_jvp():
    def f(x):
        y = ng.zeros(3, dtype=F64)
        y[1] = x * x
        y[2:].add_(x)
        y.mul_(x)
        return y.sum()

    close(func.grad(f)(t(2.0)), 3 * 4.0 + 2 * 2.0)
    close(func.jvp(f, (t(2.0),), (t(1.0),))[1], 3 * 4.0 + 2 * 2.0)
    close(func.hessian(f)(t(2.0)), 6 * 2.0 + 2)
    count = ng.zeros(2, dtype=F64)
    func.jvp(lambda x: count.add_(x) * x, (t(1.0, 2.0),), (t(1.0, 1.0),))
    close(count, [1.0, 2.0])


def test_inputs_changed_in_place():
    x = t(1.0, 2.0)
    with pytest.raises(RuntimeError, match="in-place"):
        func.grad(lambda x: x.mul_(2).sum())(x)
    with pytest.raises(RuntimeError, match="in-place"):
        func.grad(lambda x: x[:1].mul_(2).sum())(x)
    out, tangent = func.jvp(lambda x: x.mul_(2), (x,), (t(1.0, 0.0),))
    close(tangent, [2.0, 0.0])
    close(out, [2.0, 4.0])
    close(x, [2.0, 4.0])


def test_shapes_that_depend_on_values():
    f = lambda x: x[x > 1].sum()  # noqa: E731
    close(func.grad(f)(t(1.0, 2.0)), [0.0, 1.0])
    close(func.jvp(f, (t(1.0, 2.0),), (t(3.0, 4.0),))[1], 4.0)
    with pytest.raises(RuntimeError, match="vmap"):
        func.vmap(f)(t([1.0, 2.0], [3.0, 4.0]))


@pytest.mark.parametrize("name", programs("mapped_values", "transformed"))
def test_programs_are_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda x: x.nonzero(), r"nonzero\(\) of a mapped tensor.*ng\.where"),
        (lambda x: x.repeat_interleave(x), r"repeat_interleave\(\).*\(1,\), \(2,\)"),
        (lambda x: x[: x.sum()], r"calling \.item\(\)"),
    ],
)
def test_errors_about_values_show_the_line(fn, message):
    with pytest.raises(RuntimeError, match=rf"(?s)vmap: .*{message}.*test_transforms\.py"):
        func.vmap(fn)(ng.tensor([[1, 0], [1, 1]]))


def test_functions_of_values_inside_compile():
    """Those whose shapes are known beforehand."""
    x = ng.tensor([0.5, -2.0, 3.0, 0.0])

    def f(x):
        counts, edges = ng.histogram(x, 3)
        parts = (*ng.frexp(x), counts, edges, ng.linspace(x[0], x[1], 4), x.view(ng.int32))
        return (*parts, ng.nonzero_static(x, size=3))

    for ours, eager in zip(ng.compile(f)(x), f(x), strict=True):
        assert ours.dtype is eager.dtype
        close(ours, eager, 1e-6)


def test_detach_stops_every_mode():
    f = lambda x: x * x.detach() * func.stop_gradient(x)  # noqa: E731
    close(func.grad(f)(t(3.0)), 9.0)
    close(func.jvp(f, (t(3.0),), (t(1.0),))[1], 9.0)
    close(func.vmap(func.grad(f))(t(3.0, 4.0)), [9.0, 16.0])


def test_escaped_tensors_are_refused():
    kept = []
    func.vmap(lambda x: (kept.append(x), x)[1])(ng.ones(2))
    func.jvp(lambda x: (kept.append(x), x)[1], (t(1.0),), (t(1.0),))
    for x, where in zip(kept, ("vmap", "jvp"), strict=True):
        with pytest.raises(RuntimeError, match=f"inside {where} is used after {where} ended"):
            ng.add(x, 1)


def test_batched_gradients():
    x = t(1.0, 2.0).requires_grad_()
    y = x**3
    (jacobian,) = ng.autograd.grad(y, x, ng.eye(2, dtype=F64), is_grads_batched=True)
    close(jacobian, [[3.0, 0.0], [0.0, 12.0]])


# -- with compile ---------------------------------------------------------------------------------


def test_transforms_inside_compile():
    x = t(1.0, 2.0, 0.5)
    f = lambda x: (x.sin() * x**2).sum()  # noqa: E731
    close(ng.compile(func.hessian(f))(x), func.hessian(f)(x))
    close(ng.compile(func.grad(f))(x), func.grad(f)(x))
    rows = ng.stack([x, x + 1])
    close(ng.compile(func.vmap(func.grad(f)))(rows), func.vmap(func.grad(f))(rows))
    push = lambda x: func.jvp(f, (x,), (x,))[1]  # noqa: E731
    close(ng.compile(push)(x), push(x))


def test_transforms_around_compile():
    x = t(1.0, 2.0, 0.5)
    f = lambda x: (x.sin() * x**2).sum()  # noqa: E731
    compiled = ng.compile(f)
    close(func.grad(compiled)(x), func.grad(f)(x))
    close(func.grad(lambda x: func.grad(compiled)(x).sum())(x), func.hessian(f)(x).sum(0))
    close(func.hessian(compiled)(x), func.hessian(f)(x))
    close(func.vmap(compiled)(ng.stack([x, x + 1])), ng.stack([f(x), f(x + 1)]))


def test_compiled_functions_that_close_over_what_a_transform_follows():
    rows, y = ng.stack([t(1.0, 2.0), t(3.0, 4.0)]), t(5.0, 6.0)
    f = lambda x: ng.compile(lambda y: (x * x * y).sum())(y)  # noqa: E731
    close(func.vmap(f)(rows), (rows * rows) @ y)
    close(func.jvp(f, (rows[0],), (rows[1],))[1], 2 * (rows[0] * rows[1] * y).sum())
    close(func.hessian(f)(rows[0]), ng.diag(2 * y))
    module = ng.nn.Linear(2, 2, dtype=F64)
    compiled = ng.compile(module)
    state = {"weight": ng.stack([rows, rows + 1]), "bias": rows}
    for m in (compiled, module):
        found = func.vmap(lambda s, m=m: func.functional_call(m, s, (y,)))(state)
        close(found, state["weight"] @ y + rows)


# -- modules --------------------------------------------------------------------------------------


def test_functional_call_and_ensembles():
    models = [ng.nn.Sequential(ng.nn.Linear(3, 4), ng.nn.Tanh(), ng.nn.Linear(4, 2)) for _ in "abc"]
    params, buffers = func.stack_module_state(models)
    x = ng.randn(5, 3)

    def run(params, buffers, x):
        return func.functional_call(models[0], (params, buffers), (x,))

    out = func.vmap(run, in_dims=(0, 0, None))(params, buffers, x)
    for o, m in zip(out, models, strict=True):
        close(o, m(x), 1e-5)
    own = dict(models[0].named_parameters())
    func.functional_call(models[0], {"0.bias": ng.zeros(4)}, x)
    assert all(p is own[n] for n, p in models[0].named_parameters())
    with pytest.raises(RuntimeError, match="missing"):
        func.functional_call(models[0], {"0.bias": ng.zeros(4)}, x, strict=True)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (RuntimeError, "scalar Tensor", lambda x: func.grad(lambda x: x)(x)),
        (RuntimeError, "return a Tensor", lambda x: func.grad(lambda x: 1.0)(x)),
        (RuntimeError, "floating point", lambda x: func.grad(lambda x: x.sum())(x.long())),
        (RuntimeError, "argnum=1", lambda x: func.grad(lambda x: x.sum(), argnums=1)(x)),
        (RuntimeError, "unique", lambda x: func.grad(lambda x: x.sum(), argnums=(0, 0))(x)),
        (RuntimeError, "non-empty", lambda x: func.grad(lambda x: x.sum(), argnums=())(x)),
        (ValueError, "must be Tensor", lambda x: func.vjp(lambda x: x, 1.0)),
        (RuntimeError, "structure", lambda x: func.vjp(lambda x: x, x)[1]((x, x))),
        (RuntimeError, "floating-point", lambda x: func.vjp(lambda x: x > 0, x)),
        (RuntimeError, "tuple", lambda x: func.jvp(lambda x: x, x, x)),
        (RuntimeError, "shape", lambda x: func.jvp(lambda x: x, (x,), (x[:1],))),
        (RuntimeError, "independent", lambda x: func.jvp(lambda y: x, (x,), (x,), strict=True)),
        (RuntimeError, "has_aux", lambda x: func.grad(lambda x: x.sum(), has_aux=True)(x)),
        (ValueError, "same size", lambda x: func.vmap(ng.add)(x, ng.ones(3))),
        (ValueError, "in_dims", lambda x: func.vmap(ng.sin, in_dims=(0, 0))(x)),
        (ValueError, "dimensionality", lambda x: func.vmap(ng.sin, in_dims=1)(x)),
        (ValueError, "non-Tensor", lambda x: func.vmap(ng.add)(x, 1.0)),
        (ValueError, "at least one", lambda x: func.vmap(ng.sin, in_dims=(None,))(x)),
        (ValueError, "only return Tensors", lambda x: func.vmap(lambda x: 1)(x)),
        (ValueError, "out_dim is None", lambda x: func.vmap(ng.sin, out_dims=None)(x)),
        (ValueError, "out_dims", lambda x: func.vmap(ng.sin, out_dims=(0, 0))(x)),
        (RuntimeError, "randomness", lambda x: func.vmap(ng.sin, randomness="no")(x)),
    ],
)
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call(ng.tensor([1.0, 2.0]))


def test_targets_are_checked_under_vmap():
    logits, bad = ng.randn(3, 4), ng.tensor([0, 4, 1])
    loss = ng.nn.functional.cross_entropy
    with pytest.raises(IndexError, match="Target 4 is out of bounds"):
        func.vmap(loss)(logits, bad)
    with pytest.raises(IndexError, match="5 is not a row"):
        func.vmap(ng.nn.functional.embedding, (0, None))(ng.tensor([[1], [5]]), logits)
    ignored = ng.tensor([-100, 3, 0])
    got = func.vmap(lambda x, t: loss(x, t, reduction="sum"))(logits, ignored)
    close(got, loss(logits, ignored, reduction="none"))


def test_outer_products_of_a_batch():
    x, y = ng.randn(5, 7, 1, dtype=F64), ng.randn(5, 1, 3, dtype=F64)
    close(x @ y, x * y)
    close(x[:, :0] @ y, x[:, :0] * y)
    close(x @ y[:1], x * y[:1])
    close(x.unsqueeze(1) @ y, x.unsqueeze(1) * y)
    with pytest.raises(RuntimeError, match=r"must match|broadcast"):
        x.matmul(y[:2])


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x.cummax(0), lambda x: x.cummin(1), lambda x: x.median(), lambda x: x.median(0),
        lambda x: x.nanmedian(1), lambda x: x.mode(1), lambda x: x.quantile(0.3, 1),
        lambda x: x.nanquantile(ng.tensor([0.2, 0.9]), 0), lambda x: ng.histc(x, 4),
        lambda x: ng.histc(x, 4, -1, 1), lambda x: ng.isin(x, x[:1]),
        lambda x: ng.searchsorted(ng.arange(3.0), x), lambda x: ng.bucketize(x, x[0].sort()[0]),
        lambda x: ng.searchsorted(x.sort(1)[0], x),
        lambda x: ng.nn.functional.binary_cross_entropy(x.sigmoid(), x.sigmoid()),
    ],
)  # fmt: skip
def test_functions_of_order_under_vmap_and_compile(fn):
    """They choose by values without showing them to Python."""
    x = ng.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32).round(1))
    rows = [fn(r) for r in x]
    for found in (func.vmap(fn)(x), ng.compile(func.vmap(fn))(x)):
        if isinstance(found, ng.Tensor):
            close(found, ng.stack(rows), 1e-6)
        else:
            for i, f in enumerate(found):
                close(f, ng.stack([r[i] for r in rows]))


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x * 1j, lambda x: x / (1 + 2j), lambda x: (1 + 2j) / x, lambda x: x ** (1 + 1j),
        lambda x: (1 + 2j) ** x, lambda x: 1j - x, lambda x: ng.where(x > 1, x, 1j * x),
        lambda x: (x * 1j).exp().angle(), lambda x: (x * (1 + 1j)).cumprod(0),
    ],
)  # fmt: skip
def test_complex_numbers_with_real_tensors(fn):
    """Gradients conjugate, tangents do not."""
    x, step = t(0.5, 1.2), 1e-6
    _, pushed = func.jvp(fn, (x,), (t(1.0, 2.0),))
    slope = (fn(x + step * t(1.0, 2.0)) - fn(x - step * t(1.0, 2.0))) / (2 * step)
    close(pushed, slope, 1e-6)


def test_a_mapped_tensor_stays_mapped_when_a_constant_is_stored():
    c = t(1.0, 2.0)

    def f(x):
        y = x.clone().zero_().add_(x)
        y.copy_(c).mul_(x)
        y[0] = 5.0
        y[1:].fill_(2).mul_(x[0])
        return y

    x = ng.stack([t(3.0, 4.0), t(5.0, 6.0)])
    for mapped in (func.vmap(f), ng.compile(func.vmap(f))):
        close(mapped(x), ng.stack([f(r) for r in x]))


def test_one_hot_under_vmap_and_compile():
    f = lambda i: ng.nn.functional.one_hot(i, 4)  # noqa: E731
    i = ng.tensor([[0, 3], [2, 1]])
    assert ng.equal(func.vmap(f)(i), f(i)) and ng.equal(ng.compile(f)(i), f(i))
    with pytest.raises(RuntimeError, match="4 is not below 4"):
        func.vmap(f)(i + 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: func.jvp(lambda d: d["a"], ({"a": x},), ({"b": [x, x]},)),
            RuntimeError,
            r"structure \(\{'a': \*\},\) and tangents with structure \(\{'b': \[\*, \*\]\},\)",
        ),
        (lambda x: func.vjp(ng.sin, x)[1](x[:1]), RuntimeError, r"shape \(1,\).*output \(2,\)"),
        (lambda x: func.vmap(ng.sin, out_dims=1)(x), IndexError, r"out_dims.*got 1.*shape \(\)"),
        (lambda x: func.grad(ng.sin, argnums=1)(x), RuntimeError, "counts positional arguments"),
        (lambda x: func.vmap(ng.rand_like)(x), RuntimeError, r"randomness[^|]*test_transforms\.py"),
        (
            lambda x: func.functional_call(ng.nn.Linear(2, 2), {"inner.weight": x}, x),
            AttributeError,
            r"no submodule 'inner' for 'inner\.weight'",
        ),
    ],
)
def test_messages_say_what_and_where(call, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        call(ng.ones(2))
