"""gradcheck with right and with planted derivatives: programs for both libraries."""

from __future__ import annotations

from . import outcome, program


def double(lib, *values):
    return lib.tensor(values, dtype=lib.float64, requires_grad=True)


def check(lib, fn, *xs, name="gradcheck", **options):
    """What it answers, and whether it raises GradcheckError."""
    run = getattr(lib.autograd, name)
    try:
        return run(fn, xs, **options)
    except lib.autograd.gradcheck.__globals__["GradcheckError"]:
        return "GradcheckError"


def planted(fn):
    """A function with twice its derivative."""
    return lambda x: fn(x.detach()) + (fn(x) - fn(x).detach()) * 2


def faulty(lib, backward=None, jvp=None):
    """x² as a custom Function with given rules."""

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

    if backward is not None:
        Square.backward = staticmethod(backward)
    if jvp is not None:
        Square.jvp = staticmethod(jvp)
    return Square.apply


@program
def gradcheck_passes(lib):
    x = double(lib, 0.5, 1.5)
    return [
        check(lib, lambda x: x.exp() * x, x),
        check(lib, lambda x: (x.sin(), x.sum()), x, fast_mode=True),
        check(lib, lambda x: x.cos(), x, check_batched_grad=True),
        check(lib, lambda x: x.cos() * 2, x, check_forward_ad=True),
        check(lib, lambda x: x * x, x, check_forward_ad=True, check_backward_ad=False),
        check(lib, lambda x: x * x, x, check_forward_ad=True, check_batched_forward_grad=True),
        check(lib, lambda x: x**3, x, name="gradgradcheck"),
        check(lib, lambda x: x**3, x, name="gradgradcheck", check_fwd_over_rev=True),
    ]


@program
def gradcheck_finds_a_planted_slope(lib):
    x = double(lib, 0.5, 1.5)
    f = planted(lambda x: x.exp())
    return [
        check(lib, f, x), check(lib, f, x, fast_mode=True), check(lib, f, x, raise_exception=False),
        check(lib, f, x, check_undefined_grad=False), check(lib, f, x, atol=100.0),
        check(lib, f, x, rtol=10.0), check(lib, f, x, name="gradgradcheck"),
    ]  # fmt: skip


@program
def gradcheck_finds_a_planted_backward(lib):
    x = double(lib, 0.5, 1.5)
    right = faulty(lib, lambda ctx, g: g * 2 * ctx.saved_tensors[0])
    wrong = faulty(lib, lambda ctx, g: g * 3 * ctx.saved_tensors[0])
    offset = faulty(lib, lambda ctx, g: g * 2 * ctx.saved_tensors[0] + 1)
    second = faulty(lib, lambda ctx, g: g * 2 * ctx.saved_tensors[0].detach())
    return [
        check(lib, right, x), check(lib, wrong, x), check(lib, offset, x),
        check(lib, second, x), check(lib, second, x, name="gradgradcheck"),
        check(lib, right, x, name="gradgradcheck"),
    ]  # fmt: skip


@program
def gradcheck_finds_a_planted_tangent(lib):
    x = double(lib, 0.5, 1.5)

    def backward(ctx, g):
        return g * 2 * ctx.saved_tensors[0]

    right = faulty(lib, backward, lambda ctx, t: t * 2 * ctx.saved_tensors[0])
    wrong = faulty(lib, backward, lambda ctx, t: t * ctx.saved_tensors[0])
    return [
        check(lib, right, x, check_forward_ad=True), check(lib, wrong, x, check_forward_ad=True),
        check(lib, wrong, x), check(lib, wrong, x, check_forward_ad=True, fast_mode=True),
        outcome(lambda: check(lib, faulty(lib, backward), x, check_forward_ad=True)),
    ]  # fmt: skip


@program
def gradcheck_finds_what_the_tape_does_not_see(lib):
    x = double(lib, 0.5, 1.5)
    return [
        check(lib, lambda x: (x * 1, x.detach() * 2), x),
        check(lib, lambda x: (x * 1, x.detach() * 0), x),
    ]


@program
def gradcheck_of_complex_functions(lib):
    z = lib.tensor([1 + 1j, 2 - 1j], dtype=lib.complex128, requires_grad=True)
    return [
        check(lib, lambda z: z * z, z), check(lib, lambda z: z.abs(), z),
        check(lib, lambda z: z.conj() * 3, z, fast_mode=True),
        check(lib, lambda z: (z * z.detach().conj()) / z.detach(), z),
        check(lib, lambda z: z.real, z, name="gradgradcheck"),
    ]  # fmt: skip


@program
def gradcheck_repeats_the_backward_pass(lib):
    def noisy(tolerance):
        calls = iter(range(10000))

        def f(x):
            y = x * 2
            y.register_hook(lambda g: None if g is None else g * (1 + 1e-9 * next(calls)))
            return y

        return check(lib, f, double(lib, 0.5, 1.5), nondet_tol=tolerance)

    return noisy(0.0), noisy(1e-3)


@program
def gradcheck_refuses(lib):
    x = double(lib, 0.5)
    sin = lambda x: x.sin()  # noqa: E731
    cases = [
        lambda: lib.autograd.gradcheck(sin, lib.ones(1, dtype=lib.float64)),
        lambda: lib.autograd.gradcheck(sin, x, check_backward_ad=False),
        lambda: lib.autograd.gradcheck(sin, x, check_batched_forward_grad=True),
        lambda: lib.autograd.gradcheck(
            sin, x, check_backward_ad=False, check_forward_ad=True, check_batched_grad=True
        ),
        lambda: lib.autograd.gradcheck(sin, x.detach().expand(3).requires_grad_()),
    ]
    return [outcome(case) for case in cases]
