"""What `vmap` makes of functions that read values (see `programs`)."""

from __future__ import annotations

from . import outcome, program

ROWS = [[0.5, -2.0, 3.0, 0.0], [1.5, 4.0, -0.25, 8.0]]
COUNTS = [[0, 1, 1], [2, 2, 1]]


def mapped(lib, fn, *values):
    return outcome(lambda: lib.func.vmap(fn)(*map(lib.tensor, values)))


@program
def mapped_frexp(lib):
    f = lambda x: tuple(lib.frexp(x))  # noqa: E731
    slope = lib.func.grad(lambda x: (lib.frexp(x).mantissa ** 2).sum())
    x, v = lib.tensor(ROWS), lib.tensor(ROWS) + 1
    return (
        mapped(lib, f, ROWS),
        mapped(lib, slope, ROWS),
        lib.func.jvp(lambda x: f(x)[0], (x,), (v,)),
    )


@program
def mapped_histogram(lib):
    edges = lib.tensor([-2.0, 0.0, 0.5, 4.0])
    return [
        mapped(lib, lambda x: tuple(lib.histogram(x, 3)), ROWS),
        mapped(lib, lambda x: tuple(lib.histogram(x, edges)), ROWS),
        mapped(lib, lambda x: tuple(lib.histogram(x, 3, range=(-1.0, 4.0))), ROWS),
        mapped(lib, lambda x: lib.histogram(x, 3, weight=x + 3).hist, ROWS),
        mapped(lib, lambda x: lib.histogram(x, edges, density=True).hist, ROWS),
    ]


@program
def histogram_of_what_is_not_finite(lib):
    nan, inf = float("nan"), float("inf")
    edges = lib.tensor([-1.0, 0.0, 2.0])
    return [
        outcome(lambda: tuple(lib.histogram(lib.tensor([0.0, nan, 1.0]), edges))),
        outcome(lambda: tuple(lib.histogram(lib.tensor([0.0, inf, 2.0]), edges))),
        outcome(lambda: lib.histogram(lib.tensor([0.0, nan]), 2).hist),
        outcome(lambda: lib.histogram(lib.tensor([0.0, inf]), 2).hist),
        outcome(lambda: tuple(lib.histogram(lib.tensor([3.0, 3.0]), 2))),
        outcome(lambda: tuple(lib.histogram(lib.tensor([]), 2))),
    ]


@program
def mapped_bincount(lib):
    return [
        mapped(lib, lambda x: lib.bincount(x), COUNTS),
        mapped(lib, lambda x: lib.bincount(x, minlength=4), COUNTS),
        mapped(lib, lambda x, w: lib.bincount(x, w, 4), COUNTS, [[1.0, 2.0, 3.0]] * 2),
        mapped(lib, lambda x: lib.bincount(x), [[1, 2], [2, 0]]),
    ]


@program
def mapped_indices(lib):
    same = [[1.0, 0.0, 2.0], [3.0, 4.0, 0.0]]
    pairs = [[1.0, 2.0], [3.0, 4.0]]
    return [
        mapped(lib, lambda x: lib.argwhere(x), same),
        mapped(lib, lambda x: lib.argwhere(x > 0), ROWS),
        mapped(lib, lambda x: x.nonzero(), same),
        mapped(lib, lambda x: x.nonzero(as_tuple=True), same),
        mapped(lib, lambda x: lib.where(x > 0), same),
        mapped(lib, lambda x: x[x > 0], same),
        mapped(lib, lambda x: lib.nonzero_static(x, size=2), ROWS),
        mapped(lib, lambda x: lib.nonzero_static(x, size=6, fill_value=9), ROWS),
        mapped(lib, lambda x: lib.nonzero_static(x.reshape(2, 2), size=3), ROWS),
        mapped(lib, lambda x: lib.unique(x), [[1, 1], [2, 2]]),
        mapped(lib, lambda x: lib.unique_consecutive(x), [[1, 1], [2, 2]]),
        mapped(lib, lambda x, n: x.repeat_interleave(n), pairs, [[1, 2], [2, 1]]),
        mapped(lib, lambda x, n: x.repeat_interleave(n), pairs, [[1, 2], [2, 2]]),
    ]


@program
def mapped_gradient_of_repeated_rows(lib):
    n = lib.tensor([[1, 2], [3, 0]])
    f = lambda x, n: (x.repeat_interleave(n) ** 2).sum()  # noqa: E731
    return lib.func.vmap(lib.func.grad(f))(lib.tensor([[1.0, 2.0], [3.0, 4.0]]), n)


@program
def mapped_values_inside_grad(lib):
    """What the values say is constant to the outer transform."""
    f = lambda x, n: (x * lib.bincount(n, minlength=3)).sum()  # noqa: E731
    g = lib.func.grad(lambda x: lib.func.vmap(f)(x, lib.tensor(COUNTS)).sum())
    return g(lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))


@program
def mapped_bits(lib):
    x = lib.tensor(ROWS)
    return [
        mapped(lib, lambda x: x.view(lib.int32), ROWS),
        mapped(lib, lambda x: x.view(lib.int16).sum(), ROWS),
        mapped(lib, lambda x: x.view(lib.complex64), ROWS),
        mapped(lib, lambda x: x.sum().view(lib.int16), ROWS),
        outcome(lambda: lib.func.vmap(lambda x: x.view(lib.complex64), in_dims=1)(x.t())),
        outcome(lambda: x[:, :3].view(lib.float64)),
        outcome(lambda: x.t().view(lib.complex64)),
    ]


@program
def bits_changed_after_they_were_saved(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    h = x * 1
    y = h * h
    h.view(lib.int32).add_(1)
    return x.view(lib.int32).requires_grad, outcome(lambda: y.sum().backward())


@program
def mapped_ctc_loss(lib):
    p = (lib.arange(2 * 4 * 3 * 3) % 7).float().reshape(2, 4, 3, 3).log_softmax(-1)
    targets = lib.tensor([[[1, 2], [2, 1], [1, 1]], [[2, 2], [1, 2], [2, 0]]])
    steps = lib.tensor([[4, 3, 4], [4, 4, 2]])
    sizes = lib.tensor([[2, 2, 1], [2, 1, 0]])
    loss = lib.nn.functional.ctc_loss
    vmap = lib.func.vmap
    return [
        vmap(loss)(p, targets, steps, sizes),
        vmap(lambda *xs: loss(*xs, reduction="none"))(p, targets, steps, sizes),
        vmap(lambda p, n: loss(p, targets[0], steps[1], n))(p, sizes),
        outcome(lambda: vmap(loss)(p, targets, steps + 1, sizes)),
    ]


@program
def mapped_ends(lib):
    d = lib.float64
    both = lambda f: lambda x: (f(x[0], x[1], 5, dtype=d), f(x[2], -1, 4, dtype=d))  # noqa: E731
    return [
        mapped(lib, both(lib.linspace), ROWS),
        mapped(lib, both(lib.logspace), ROWS),
        mapped(lib, lambda x: lib.linspace(x, 7, 4, dtype=lib.int64), [1, -2]),
        mapped(lib, lambda x: lib.linspace(x, 9, 1, dtype=d), [1.7, -2.2]),
        mapped(lib, lambda x: lib.linspace(x, x, 3), ROWS),
    ]


@program
def gradient_of_ends(lib):
    x = lib.tensor(2.0)
    f = lambda x: (lib.linspace(x, 4, 3) * x).sum()  # noqa: E731
    return lib.func.grad(f)(x), lib.linspace(x.requires_grad_(), 4, 3)
