"""``out=``: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


def t(lib, *values):
    return lib.tensor(values)


@program
def out_receives_the_result(lib):
    a, b = t(lib, 1.0, 2.0), t(lib, 3.0, 4.0)
    found = []
    for f in (
        lambda o: lib.add(a, b, out=o), lambda o: lib.sub(a, b, alpha=2, out=o),
        lambda o: lib.exp(a, out=o),
        lambda o: lib.mul(a, 2, out=o), lambda o: lib.maximum(a, b, out=o),
        lambda o: lib.pow(a, 2, out=o),
        lambda o: lib.pow(2, a, out=o), lambda o: lib.clamp(a, 0, 1, out=o),
        lambda o: lib.where(a > 1, a, b, out=o), lambda o: lib.cumsum(a, 0, out=o),
        lambda o: lib.softmax(a, 0, out=o), lambda o: lib.log_softmax(a, 0, out=o),
        lambda o: lib.mv(lib.eye(2), a, out=o),
        lambda o: lib.index_select(a, 0, lib.tensor([1, 0]), out=o),
        lambda o: lib.gather(a, 0, lib.tensor([1, 0]), out=o),
        lambda o: lib.take(a, lib.tensor([1, 1]), out=o),
        lambda o: lib.lerp(a, b, 0.5, out=o), lambda o: lib.addcmul(a, a, b, out=o),
        lambda o: lib.nan_to_num(a, out=o), lambda o: lib.zeros(2, out=o),
        lambda o: lib.ones(2, out=o),
        lambda o: lib.full((2,), 5.0, out=o), lambda o: lib.arange(2.0, out=o),
        lambda o: lib.arange(1, 3, out=o),
        lambda o: lib.linspace(0, 1, 2, out=o), lambda o: lib.logspace(0, 1, 2, out=o),
        lambda o: lib.cat([a[:1], b[:1]], out=o), lambda o: lib.concat([a[:1], b[:1]], out=o),
        lambda o: lib.diff(t(lib, 1.0, 3.0, 7.0), out=o),

        lambda o: lib.take_along_dim(a, lib.tensor([1, 0]), 0, out=o),
        lambda o: lib.masked_select(a, a > 0, out=o),
        lambda o: lib.special.expit(a, out=o), lambda o: lib.special.entr(a, out=o),
        lambda o: lib.special.erf(a, out=o),
        lambda o: lib.special.xlog1py(a, b, out=o), lambda o: lib.special.psi(a, out=o),
        lambda o: lib.heaviside(a, b, out=o), lambda o: lib.copysign(a, b, out=o),
        lambda o: lib.round(a, decimals=1, out=o),
        lambda o: lib.div(a, b, rounding_mode="floor", out=o),
        lambda o: lib.atan2(a, b, out=o), lambda o: lib.hypot(a, b, out=o),
        lambda o: lib.cumprod(a, 0, out=o),
    ):  # fmt: skip
        o = lib.full((2,), 9.0)
        found.append(outcome(lambda f=f, o=o: (f(o) is o, o, o._version)))
    return found


@program
def out_of_reductions(lib):
    m = lib.tensor([[1.0, 5.0], [4.0, 2.0]])
    found = []
    for f in (
        lambda o: lib.sum(m, 0, out=o), lambda o: lib.sum(m, dim=(0,), out=o),
        lambda o: lib.mean(m, 0, out=o),
        lambda o: lib.prod(m, 0, out=o), lambda o: lib.amax(m, 0, out=o),
        lambda o: lib.amin(m, 0, out=o),
        lambda o: lib.std(m, 0, out=o), lambda o: lib.var(m, 0, out=o),
        lambda o: lib.logsumexp(m, 0, out=o),
        lambda o: lib.norm(m, dim=0, out=o), lambda o: lib.nansum(m, 0, out=o),
        lambda o: lib.nanmean(m, 0, out=o),
        lambda o: lib.quantile(m, 0.5, 0, out=o), lambda o: lib.mean(m, out=o),
    ):  # fmt: skip
        o = lib.empty(2)
        found.append(outcome(lambda f=f, o=o: (f(o) is o, o)))
    return found


@program
def out_of_several_results(lib):
    m = lib.tensor([[1.0, 5.0], [4.0, 2.0]])
    found = []
    for f in (
        lambda v, i: lib.max(m, 0, out=(v, i)), lambda v, i: lib.min(m, 0, out=(v, i)),
        lambda v, i: lib.sort(m, 0, out=(v, i)), lambda v, i: lib.topk(m, 1, out=(v, i)),
        lambda v, i: lib.kthvalue(m, 1, out=(v, i)), lambda v, i: lib.median(m, 0, out=(v, i)),
        lambda v, i: lib.mode(m, 0, out=(v, i)), lambda v, i: lib.cummax(m, 0, out=(v, i)),
        lambda v, i: lib.max(m, 0, out=[v, i]), lambda v, i: lib.nanmedian(m, 0, out=(v, i)),
    ):  # fmt: skip
        v, i = lib.empty(0), lib.empty(0, dtype=lib.int64)

        def run(f=f, v=v, i=i):
            r = f(v, i)
            return r[0] is v, r[1] is i, v, i

        found.append(outcome(run))
    v, i = lib.empty(0), lib.empty(0)
    found += [outcome(lambda: lib.max(m, 0, out=(v, i))), outcome(lambda: lib.max(m, 0, out=v)),
              outcome(lambda: lib.max(m, 0, out=(v,))),
              outcome(lambda: lib.sort(m, out=(v, v)))]  # fmt: skip
    return found


@program
def out_of_index_functions(lib):
    a = t(lib, 3.0, 0.0, 2.0)
    found = []
    for f in (lambda o: lib.nonzero(a, out=o), lambda o: lib.argmax(a, out=o),
              lambda o: lib.argmin(a, 0, out=o),
              lambda o: lib.bitwise_not(lib.tensor([1, 2]), out=o),
              lambda o: lib.arange(3, out=o), lambda o: lib.eye(2, out=o),
              lambda o: lib.tril(lib.eye(2), out=o),
              lambda o: lib.searchsorted(t(lib, 0.0, 1.0), a, out=o),
              lambda o: lib.bucketize(a, t(lib, 0.5), out=o)):  # fmt: skip
        o = lib.empty(0, dtype=lib.int64)
        found.append(outcome(lambda f=f, o=o: (f(o) is o, o)))
    return found


@program
def out_of_comparisons(lib):
    a, b = t(lib, 1.0, 2.0), t(lib, 2.0, 2.0)
    found = []
    for f in (lib.eq, lib.ne, lib.lt, lib.gt, lib.le, lib.ge, lib.logical_and, lib.logical_or,
              lib.greater, lib.less_equal, lib.logical_xor, lib.not_equal):  # fmt: skip
        for dtype in (lib.bool, lib.float32, lib.uint8):
            o = lib.empty(2, dtype=dtype)
            found.append(outcome(lambda f=f, o=o: f(a, b, out=o)))
    for f in (lib.isposinf, lib.isneginf, lib.signbit, lib.logical_not):
        o = lib.empty(2, dtype=lib.bool)
        found.append(outcome(lambda f=f, o=o: f(a, out=o)))
    return found


@program
def out_of_products(lib):
    m, n, v = lib.tensor([[1.0, 2.0], [3.0, 4.0]]), lib.eye(2), t(lib, 1.0, 2.0)
    o2, o1, o0 = lib.empty(2, 2), lib.empty(2), lib.empty(())
    return [outcome(f) for f in (
        lambda: lib.mm(m, n, out=o2), lambda: lib.matmul(m, n, out=o2),
        lambda: lib.matmul(m, v, out=o1),
        lambda: lib.dot(v, v, out=o0), lambda: lib.outer(v, v, out=o2),
        lambda: lib.addmm(m, m, n, beta=2, out=o2),
        lambda: lib.addmv(v, m, v, out=o1), lambda: lib.addr(m, v, v, out=o2),
        lambda: lib.vdot(v, v, out=o0),
        lambda: lib.bmm(m[None], m[None], out=lib.empty(1, 2, 2)), lambda: lib.inner(v, v, out=o0),
        lambda: lib.baddbmm(m[None], m[None], m[None], out=lib.empty(1, 2, 2)),
        lambda: lib.ger(v, v, out=o2),
        lambda: lib.tensordot(m, n, 1, out=o2), lambda: lib.cross(
            t(lib, 1.0, 0.0, 0.0), t(lib, 0.0, 1.0, 0.0), dim=0, out=lib.empty(3)),
        lambda: lib.triu(m, 1, out=o2),
    )]  # fmt: skip


@program
def out_is_resized(lib):
    a = t(lib, 1.0, 2.0)
    found = []
    for o in (
        lib.empty(0),
        lib.empty(3),
        lib.empty(2, 1),
        lib.empty(()),
        lib.empty(0, 5),
        lib.zeros(4),
    ):
        found.append(outcome(lambda o=o: (lib.exp(a, out=o) is o, o, o._version)))
    v = lib.zeros(4)
    w = v[:0]
    found.append(outcome(lambda: lib.add(a, a, out=w)))
    found.append(v)
    k = lib.zeros(4)
    found.append(outcome(lambda: lib.add(a, a, out=k[::2])))
    found.append(k)
    e = lib.zeros(1).expand(2)
    found.append(outcome(lambda: lib.add(a, a, out=e)))
    return found


@program
def out_of_a_small_tensor_keeps_its_memory(lib):
    a = lib.arange(6.0)
    v = a.view(6)
    lib.add(t(lib, 10.0, 20.0), 1, out=v)
    return a, v


@program
def out_of_another_dtype(lib):
    a, i = t(lib, 1.5, 2.5), lib.tensor([1, 2])
    c = lib.tensor([1 + 1j, 2.0])
    found = []
    for f in (lambda o: lib.add(a, a, out=o), lambda o: lib.exp(a, out=o),
    lambda o: lib.add(i, i, out=o),
              lambda o: lib.sum(a, 0, out=o), lambda o: lib.sum(i, 0, out=o),
              lambda o: lib.cumsum(i, 0, out=o),
              lambda o: lib.mul(c, c, out=o), lambda o: lib.exp(i, out=o),
              lambda o: lib.index_select(a, 0, i - 1, out=o),
              lambda o: lib.gather(a, 0, i - 1, out=o),
              lambda o: lib.mean(a, 0, out=o), lambda o: lib.sum(a, 0, dtype=lib.float64, out=o),
              lambda o: lib.where(a > 2, a, a, out=o), lambda o: lib.std(a, 0, out=o),
              lambda o: lib.amax(a, 0, out=o), lambda o: lib.logsumexp(a, 0, out=o),
              lambda o: lib.clamp(a, 0, 1, out=o),
              lambda o: lib.mm(lib.eye(2), lib.eye(2), out=o),
              lambda o: lib.tril(lib.eye(2), out=o), lambda o: lib.neg(a, out=o),
              lambda o: lib.prod(i, 0, out=o), lambda o: lib.zeros(2, out=o),
              lambda o: lib.arange(2, out=o),
              lambda o: lib.linspace(0, 1, 2, out=o), lambda o: lib.full((2,), 1.5, out=o),
              lambda o: lib.cumprod(a, 0, out=o),
              lambda o: lib.norm(a, dim=0, out=o), lambda o: lib.pow(i, 2, out=o),
              lambda o: lib.div(i, 2, out=o), lambda o: lib.softmax(a, 0, out=o)):  # fmt: skip
        row = []
        for dtype in (lib.float32, lib.int64):
            o = lib.empty(0, dtype=dtype)
            row.append(outcome(lambda f=f, o=o: f(o)))
        found.append(row)
    return found


@program
def out_and_gradients(lib):
    x = leaf(lib, 1.0, 2.0)
    a, o = lib.ones(2), lib.empty(2)
    y = x * 2
    found = [outcome(f) for f in (
        lambda: lib.add(x, a, out=o), lambda: lib.add(a, a, out=x), lambda: lib.add(a, a, out=y),
        lambda: lib.exp(x, out=o), lambda: lib.sum(x, 0, out=lib.empty(())),
        lambda: lib.cat([x, x], out=lib.empty(4)),
        lambda: lib.argmax(x, out=lib.empty((), dtype=lib.int64)),
        lambda: lib.gt(x, 0, out=lib.empty(2, dtype=lib.bool)),
        lambda: lib.mm(x[None], x[:, None], out=lib.empty(1, 1)),
        lambda: lib.max(x, 0, out=(lib.empty(()), lib.empty((), dtype=lib.int64))),
        lambda: lib.zeros(2, out=x),
    )]  # fmt: skip
    with lib.no_grad():
        found += [outcome(lambda: lib.add(x, a, out=o)), outcome(lambda: lib.add(a, a, out=x)),
                  outcome(lambda: lib.add(a, a, out=y))]  # fmt: skip
    return found, o, x


@program
def out_that_overlaps(lib):
    a = lib.arange(6.0)
    m = lib.arange(4.0).reshape(2, 2)
    return [outcome(f) for f in (
        lambda: lib.add(a, 1, out=a), lambda: lib.add(a[1:], 1, out=a[:-1]),
        lambda: lib.exp(m, out=m.t()),
        lambda: lib.cumsum(a, 0, out=a),  # a product: what PyTorch's gives depends on the CPU
        lambda: lib.mul(a[:1], a, out=a), lambda: lib.add(a, 1, out=a.view(6)),
        lambda: lib.sort(a, out=(a, lib.empty(6, dtype=lib.int64))),
        lambda: lib.where(m > 1, m, m.t(), out=m),
    )]  # fmt: skip


@program
def out_that_is_no_tensor(lib):
    a = t(lib, 1.0, 2.0)
    return [outcome(f) for f in (
        lambda: lib.add(a, a, out=[lib.empty(2)]), lambda: lib.add(a, a, out=(lib.empty(2),)),
        lambda: lib.exp(a, out="x"), lambda: lib.add(a, a, out=None),
        lambda: a.add(a, out=lib.empty(2)), lambda: a.exp(out=lib.empty(2)),
        lambda: lib.stack([a], out=4), lambda: lib.clone(a, out=lib.empty(2)),
        lambda: lib.reshape(a, (2,), out=lib.empty(2)),
        lambda: a.sum(0, out=lib.empty(())), lambda: a.max(0, out=(lib.empty(()), lib.empty(()))),
    )]  # fmt: skip


@program
def failed_out_changes_nothing(lib):
    o = lib.tensor([1, 2])
    s = lib.zeros(3, dtype=lib.int64)
    a = t(lib, 1.5, 2.5)
    found = [outcome(lambda: lib.add(a, a, out=o)), outcome(lambda: lib.add(a, a, out=s)),
             outcome(lambda: lib.add(a, lib.ones(3), out=o))]  # fmt: skip
    return found, o, o._version


@program
def out_bumps_the_version(lib):
    x = leaf(lib, 1.0, 2.0)
    w = lib.ones(2)
    y = x * w
    lib.add(w, 1, out=w)
    return w._version, outcome(lambda: y.sum().backward())


@program
def out_under_inference_mode(lib):
    o = lib.empty(2)
    with lib.inference_mode():
        lib.add(lib.ones(2), 1, out=o)
        i = lib.empty(2)
        lib.add(lib.ones(2), 1, out=i)
    return (
        o.is_inference(),
        o._version,
        i.is_inference(),
        outcome(lambda: lib.exp(i, out=o)),
    )
    outcome(lambda: lib.exp(o, out=i))


@program
def out_through_a_view(lib):
    a = lib.zeros(2, 3)
    lib.exp(lib.zeros(3), out=a[0])
    lib.add(lib.ones(2), lib.ones(2), out=a[:, 1])
    lib.mm(lib.ones(2, 1), lib.ones(1, 2), out=a[:, 1:])
    return a, a._version
