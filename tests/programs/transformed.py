"""Functions under the transforms where a batch or a tangent is in an unusual argument."""

from __future__ import annotations

from . import outcome, program


@program
def values_put_where_only_they_are_mapped(lib):
    x, i = lib.zeros(2, 3), lib.tensor([0, 1])
    v = lib.tensor([[1.0, 2.0], [3.0, 4.0]])
    vmap = lib.func.vmap
    return [
        vmap(lambda v: lib.index_put(x, (i, i), v))(v),
        vmap(lambda v: lib.index_put(x, (i, i), v, accumulate=True))(v),
        vmap(lambda v: x.index_put((i[:1],), v[0]))(v),
        vmap(lambda v: x.put(i, v))(v),
        vmap(lambda i: x.put(i, v[0], accumulate=True))(lib.tensor([[0, 0], [5, 1]])),
        outcome(lambda: vmap(lambda v: x.clone().index_put_((i, i), v))(v)),
        lib.func.grad(lambda v: vmap(lambda v: lib.index_put(x, (i, i), v).sin().sum())(v).sum())(
            v
        ),
    ]


@program
def covariance_with_followed_weights(lib):
    x = lib.tensor([[1.0, 2.0, 4.0], [0.0, 3.0, 1.0]])
    w, t = lib.tensor([1.0, 2.0, 0.5]), lib.tensor([0.1, -0.2, 1.0])
    f = lambda w: lib.cov(x, aweights=w)  # noqa: E731
    return [
        lib.func.jvp(f, (w,), (t,)),
        lib.func.grad(lambda w: f(w).sum())(w),
        outcome(lambda: f(-w)),
    ]


@program
def bags_with_mapped_offsets(lib):
    weight = (lib.arange(12.0) % 5).reshape(6, 2)
    index = lib.tensor([[0, 2, 4, 1], [5, 1, 1, 3]])
    starts = lib.tensor([[0, 2], [0, 3]])
    tables = lib.stack([weight, 3 - weight])
    bag = lib.nn.functional.embedding_bag

    def mapped(mode, **options):
        f = lambda i, s: bag(i, weight, s, mode=mode, **options)  # noqa: E731
        return outcome(lambda: lib.func.vmap(f)(index, starts))

    return [
        *(mapped(mode) for mode in ("sum", "mean", "max")),
        *(mapped(mode, padding_idx=1) for mode in ("sum", "mean")),
        lib.func.vmap(lambda s: bag(index[0], weight, s, mode="sum"))(starts),
        lib.func.vmap(lambda w: bag(index[0], w, starts[0], mode="max"))(tables),
        outcome(lambda: bag(index[0], weight, lib.tensor([1, 2]))),
        outcome(lambda: bag(index[0], weight, lib.tensor([0, 5]))),
        bag(index[0], weight, lib.tensor([0, 2, 2, 4]), include_last_offset=True),
    ]


@program
def pseudo_inverses_with_mapped_tolerances(lib):
    x = lib.tensor([[2.0, 0.0], [0.0, 1.0]])
    xs = lib.stack([x, x * 2, x + 1])
    t = lib.tensor([0.1, 0.7, 1.5])
    f = lambda x, t: lib.linalg.pinv(x, rtol=t)  # noqa: E731
    vmap = lib.func.vmap
    return [
        vmap(f)(xs, t), vmap(f, in_dims=(None, 0))(xs, t),
        vmap(f, in_dims=(0, None))(xs, t), vmap(f)(lib.stack([xs, xs, xs]), t),
        vmap(lambda x, t: lib.linalg.matrix_rank(x, atol=t))(lib.stack([xs, xs, xs]), t),
    ]  # fmt: skip


def cut(lib, how):
    """A function of which `how` makes one factor a constant."""
    return lambda x: how(x * 1) * x


@program
def what_data_and_detach_stop(lib):
    x, t = lib.tensor([1.0, 2.0]), lib.tensor([3.0, -1.0])
    ad = lib.autograd.forward_ad
    ways = [lambda y: y.data, lambda y: y.detach(), lambda y: y.detach_()]
    with ad.dual_level():
        dual = ad.make_dual(x, t)
        tangents = [ad.unpack_dual(cut(lib, how)(dual)) for how in ways]
    return [
        tangents,
        [lib.func.jvp(cut(lib, how), (x,), (t,)) for how in ways],
        [lib.func.jacfwd(cut(lib, how))(x) for how in ways],
        [lib.func.grad(lambda x, how=how: cut(lib, how)(x).sum())(x) for how in ways],
        [lib.func.vmap(lib.func.jacfwd(cut(lib, how)))(lib.stack([x, t])) for how in ways],
    ]


@program
def values_changed_behind_a_transform(lib):
    """A change of what `detach` gave changes values, and no derivative."""
    x, t = lib.tensor([1.0, 2.0]), lib.tensor([3.0, -1.0])
    f = lib.func

    def cubed(x, part=slice(0, 1)):
        y = x * 1
        y.detach()[part].mul_(2)
        return (y**3).sum()

    def written(x):
        y = x * 1
        y.detach().mul_(x)
        return y

    def seen_from_inside(x):
        y = x * 1
        f.vmap(lambda i: (y.detach()[:1].mul_(2), i)[1])(lib.ones(2))
        return y**3

    def assigned(x):
        y = x * 1
        y.data = y.detach() * 3
        return y

    return [
        f.jvp(cubed, (x,), (t,)), f.jvp(written, (x,), (t,)), f.jvp(seen_from_inside, (x,), (t,)),
        f.grad(cubed)(x), f.hessian(cubed)(x), f.vmap(f.hessian(cubed))(lib.stack([x, t])),
        f.hessian(lambda x: f.vmap(cubed)(x).sum())(lib.stack([x, t])),
        f.grad(lambda x: f.jvp(cubed, (x,), (x,))[1])(x),
        f.grad(lambda x: f.grad(cubed)(x).sum())(x),
        outcome(lambda: f.jvp(assigned, (x,), (t,))), outcome(lambda: f.vmap(assigned)(x)),
    ]  # fmt: skip


@program
def curvature_of_losses_at_their_minimum(lib):
    F, x = lib.nn.functional, lib.tensor([0.0, 0.5, -2.0])
    losses = [F.huber_loss, F.smooth_l1_loss, F.mse_loss]
    return [lib.func.hessian(lambda x, f=f: f(x, 0 * x))(x) for f in losses]


@program
def functional_call_with_other_names(lib):
    model = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.Linear(2, 1)).requires_grad_(False)
    with lib.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(lib.arange(p.numel()).reshape(p.shape) / 4 - i)
    x, t = lib.tensor([[1.0, 2.0]]), lib.tensor([3.0, -1.0])

    class Scale(lib.nn.Module):
        def forward(self, x):
            return x * self.scale

    def call(state, model=model):
        return outcome(lambda: lib.func.functional_call(model, state, (x,)))

    names = ("other", "0.other", "0", "training", "0.in_features")
    return [
        [call({name: t}) for name in names], call({"0.bias": 3.0}), call({"0.bias": None}),
        call({"0.bias": t}), call({"scale": t}, Scale()), hasattr(model, "other"),
        call({"0.bias": t, "training": t}), model(x),
    ]  # fmt: skip


@program
def what_is_not_left_to_chance(lib):
    x = lib.tensor([[0.0, 1.0], [2.0, 3.0]])
    vmap = lib.func.vmap

    def dropped(p):
        return outcome(lambda: vmap(lambda x: lib.nn.functional.dropout(x, p))(x))

    counts = vmap(lib.poisson, randomness="different")(x * 0)
    return dropped(0.0), dropped(0.5), dropped(1.0), outcome(lambda: vmap(lib.poisson)(x)), counts
