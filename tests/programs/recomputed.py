"""Checkpointing: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


def counted(log, fn, name: object = "run"):
    def run(*args, **kwargs):
        log.append(name)
        return fn(*args, **kwargs)

    return run


def both(lib, test):
    """The outcome for both variants."""
    return [test(lib, reentrant) for reentrant in (False, True)]


def checkpoint(lib):
    return lib.utils.checkpoint.checkpoint


@program
def checkpoint_runs_twice(lib):
    def test(lib, reentrant):
        log = []
        x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
        f = counted(log, lambda x, w: (x * w).sin() * x.exp())
        y = checkpoint(lib)(f, x, w, use_reentrant=reentrant)
        before = len(log)
        y.sum().backward()
        return before, len(log), x.grad, w.grad

    return both(lib, test)


@program
def checkpoint_of_several_outputs(lib):
    def test(lib, reentrant):
        x = leaf(lib, 1.0, 2.0)
        f = lambda x, n: (x.exp() * n, 5, x.sin(), x.detach())  # noqa: E731
        a, n, b, c = checkpoint(lib)(f, x, 3, use_reentrant=reentrant)
        (a * b).sum().backward()
        return a, n, c, x.grad

    return both(lib, test)


@program
def checkpoint_closes_over_parameters(lib):
    def test(lib, reentrant):
        x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
        checkpoint(lib)(lambda x: (x * w).exp(), x, use_reentrant=reentrant).sum().backward()
        return x.grad, w.grad

    return both(lib, test)


@program
def checkpoint_where_no_argument_requires_grad(lib):
    def test(lib, reentrant):
        x, w = leaf(lib, 1.0, 2.0, grad=False), leaf(lib, 3.0, 4.0)
        y = checkpoint(lib)(lambda x: (x * w).exp(), x, use_reentrant=reentrant)
        return y.requires_grad, outcome(lambda: y.sum().backward()), w.grad

    return both(lib, test)


@program
def checkpoint_and_grad(lib):
    def test(lib, reentrant):
        x = leaf(lib, 1.0, 2.0)
        y = checkpoint(lib)(lambda x: x.exp().sin(), x, use_reentrant=reentrant)
        return (
            outcome(lambda: lib.autograd.grad(y.sum(), x, retain_graph=True)),
            outcome(lambda: y.sum().backward(inputs=[x])),
            x.grad,
        )

    return both(lib, test)


@program
def checkpoint_differentiated_again(lib):
    x = lib.tensor([0.5, 1.0], dtype=lib.float64, requires_grad=True)
    y = checkpoint(lib)(lambda x: (x.exp() * x).sin(), x, use_reentrant=False)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@program
def checkpoint_backward_twice(lib):
    def test(lib, reentrant):
        log = []
        x = leaf(lib, 1.0, 2.0)
        y = checkpoint(lib)(counted(log, lambda x: x.exp().sin()), x, use_reentrant=reentrant)
        y.sum().backward(retain_graph=True)
        y.sum().backward()
        return x.grad, len(log), outcome(lambda: y.sum().backward())

    return both(lib, test)


@program
def checkpoint_nested(lib):
    def test(lib, reentrant):
        log = []
        x = leaf(lib, 0.5, 1.0)
        inner = counted(log, lambda x: x.sin().exp(), "inner")

        def outer(x):
            log.append("outer")
            y = checkpoint(lib)(inner, x.exp(), use_reentrant=reentrant)
            return checkpoint(lib)(inner, y * x, use_reentrant=reentrant).sin()

        checkpoint(lib)(outer, x, use_reentrant=reentrant).sum().backward()
        return x.grad, log

    return both(lib, test)


@program
def checkpoint_stops_early(lib):
    found = []
    for early in (True, False):
        log = []

        def f(x, log=log):
            y = x.exp().sin()
            log.append("saved")
            z = y + 1
            log.append("end")
            return z

        x = leaf(lib, 1.0)
        checkpoint(lib)(f, x, use_reentrant=False, early_stop=early).backward()
        with lib.utils.checkpoint.set_checkpoint_early_stop(early):
            y = checkpoint(lib)(f, x, use_reentrant=False)
        y.backward()
        found.append((log, x.grad))
    return found


@program
def checkpoint_keywords(lib):
    x = leaf(lib, 1.0, 2.0)
    f = lambda x, scale=1.0, w=None: (x * scale * w).exp()  # noqa: E731
    w = leaf(lib, 0.5, 0.25)
    checkpoint(lib)(f, x, scale=2.0, w=w, use_reentrant=False).sum().backward()
    return x.grad, w.grad, outcome(lambda: checkpoint(lib)(f, x, scale=2.0, use_reentrant=True))


@program
def checkpoint_preserves_randomness(lib):
    def test(lib, reentrant):
        x = lib.ones(64, requires_grad=True)
        lib.manual_seed(3)
        seen = []

        def f(x):
            mask = lib.rand(64) > 0.5
            seen.append(mask)
            return x * mask * x.exp()

        y = checkpoint(lib)(f, x, use_reentrant=reentrant)
        after = lib.rand(4)
        y.sum().backward()
        last = lib.rand(4)
        lib.manual_seed(3)
        lib.rand(64)
        expected = lib.rand(4), lib.rand(4)
        return (
            bool((seen[0] == seen[1]).all()), bool((after == expected[0]).all()),
            bool((last == expected[1]).all()),
        )  # fmt: skip

    return both(lib, test)


@program
def checkpoint_that_differs(lib):
    def run(change, **options):
        first = [True]

        def f(x):
            y = change(x, first[0])
            first[0] = False
            return y

        x = leaf(lib, 1.0, 2.0)
        checkpoint(lib)(f, x, use_reentrant=False, **options).sum().backward()
        return x.grad

    def fewer(x, first):
        return x.exp().sin() if first else x.exp()

    def more(x, first):
        return x.exp() if first else x.exp().sin().cos()

    def shape(x, first):
        return (x.exp() if first else x.expand(3, 2).exp()).sum()

    return [
        outcome(lambda: run(fewer)), outcome(lambda: run(more)),
        outcome(lambda: run(more, early_stop=False)), outcome(lambda: run(shape)),
        outcome(lambda: run(fewer, determinism_check="x")),
    ]  # fmt: skip


@program
def checkpoint_of_in_place_ops(lib):
    def test(lib, reentrant):
        x = leaf(lib, 0.5, 1.0)

        def f(x):
            y = x * 2
            y.sin_()
            z = y.exp() + 1
            z.mul_(x)
            return z

        checkpoint(lib)(f, x, use_reentrant=reentrant).sum().backward()
        return x.grad

    return both(lib, test)


@program
def checkpoint_argument_changed_afterwards(lib):
    def test(lib, reentrant):
        x = leaf(lib, 0.5, 1.0)
        a = x * 1
        y = checkpoint(lib)(lambda a: a.exp().sin(), a, use_reentrant=reentrant)
        a.add_(1)
        return outcome(lambda: y.sum().backward())

    return both(lib, test)


@program
def checkpoint_without_recording(lib):
    def test(lib, reentrant):
        x = leaf(lib, 1.0)
        log = []
        with lib.no_grad():
            y = checkpoint(lib)(counted(log, lambda x: x.exp()), x, use_reentrant=reentrant)
        return y.requires_grad, log

    return both(lib, test)


@program
def checkpoint_of_a_sequence(lib):
    def test(lib, reentrant):
        log = []
        steps = [counted(log, lambda x, i=i: (x * i).sin(), i) for i in range(1, 6)]
        found = []
        for segments in (1, 2, 3, 5):
            x = leaf(lib, 0.5, 1.0)
            run = lib.utils.checkpoint.checkpoint_sequential
            run(steps, segments, x, use_reentrant=reentrant).sum().backward()
            found.append((x.grad, list(log)))
            log.clear()
        return found, outcome(lambda: run(steps, 2, x, use_reentrant=reentrant, more=1))

    return both(lib, test)


@program
def checkpoint_contexts(lib):
    from contextlib import contextmanager

    log = []

    @contextmanager
    def block(name):
        log.append(name)
        yield
        log.append(f"end of {name}")

    x = leaf(lib, 1.0)
    f = counted(log, lambda x: x.exp().sin())
    y = checkpoint(lib)(
        f, x, use_reentrant=False, early_stop=False,
        context_fn=lambda: (block("first"), block("second")),
    )  # fmt: skip
    y.backward()
    return (
        log,
        x.grad,
        outcome(lambda: checkpoint(lib)(f, x, use_reentrant=True, context_fn=lambda: (None, None))),
    )


# -- selective ------------------------------------------------------------------------------------


def contexts(lib, *args, **kwargs):
    """A `context_fn`."""
    make = lib.utils.checkpoint.create_selective_checkpoint_contexts
    return lambda: make(*args, **kwargs)


def aten(lib, name):
    """An op as the list of a policy has it."""
    return getattr(lib.ops.aten, name).default if hasattr(lib.ops, "aten") else name


def named(op):
    """The name of an op that a policy is told."""
    return op.name if isinstance(op.name, str) else op.name().split("::")[1].split(".")[0]


def chain(x, w):
    return ((x * w).sin().exp() * w.cos()).sum()


def selective(lib, policy, fn=chain, **options):
    x, w = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    fn_contexts = contexts(lib, policy)
    y = checkpoint(lib)(fn, x, w, use_reentrant=False, context_fn=fn_contexts, **options)
    y.backward()
    return y, x.grad, w.grad


@program
def selective_list(lib):
    return [selective(lib, [aten(lib, n) for n in names]) for names in (["sin"], ["exp", "cos"])]


@program
def selective_policies(lib):
    P = lib.utils.checkpoint.CheckpointPolicy
    found = []
    for decision in (*P, True, False):
        found.append(selective(lib, lambda ctx, op, *args, **kwargs: decision))  # noqa: B023
    return found, [[p.name, p.value] for p in P]


@program
def selective_policy_is_asked_once(lib):
    log = []

    def policy(ctx, op, *args, **kwargs):
        if named(op) in ("sin", "exp", "cos"):
            log.append([named(op), ctx.is_recompute, len(args), args[0].tolist(),
                        ctx.op_output.tolist()])  # fmt: skip
        return named(op) == "exp"

    return selective(lib, policy), log


@program
def selective_keeps_what_was_computed(lib):
    """The function does something else in the second run; what was kept does not notice."""
    factor = [1.0]

    def f(x, w):
        y = (x * factor[0]).sin()
        factor[0] = 5.0
        return (y * w).sum()

    return [
        selective(lib, [aten(lib, "sin")], f, early_stop=False),
        selective(lib, [], f, early_stop=False),
    ]


@program
def selective_backward_twice(lib):
    x = leaf(lib, 1.0, 2.0)
    keep = contexts(lib, [aten(lib, "sin")])
    y = checkpoint(lib)(lambda x: x.sin().exp().sum(), x, use_reentrant=False, context_fn=keep)
    y.backward(retain_graph=True)
    return x.grad, outcome(lambda: y.backward())


@program
def selective_runs_that_differ(lib):
    first = [True]

    def f(x):
        y = x.sin() if first[0] else x.sin().cos().sin().cos()
        first[0] = False
        return y.exp().sum()

    x = leaf(lib, 1.0)
    keep = contexts(lib, [aten(lib, "sin")])
    y = checkpoint(lib)(f, x, use_reentrant=False, context_fn=keep, early_stop=False)
    return outcome(y.backward)


@program
def selective_used_wrongly(lib):
    make = lib.utils.checkpoint.create_selective_checkpoint_contexts
    x = leaf(lib, 1.0)
    run = checkpoint(lib)
    return [
        outcome(lambda: make(3)),
        outcome(lambda: make([3])),
        outcome(lambda: run(lambda x: x, x, use_reentrant=True, context_fn=contexts(lib, []))),
        outcome(lambda: run(lambda x: x, x, use_reentrant=False, debug=True,
                            context_fn=contexts(lib, []))),
    ]  # fmt: skip


@program
def checkpoint_contexts_without_grad(lib):
    log = []

    class Noted:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            log.append(self.name)

        def __exit__(self, *exc):
            pass

    x = leaf(lib, 1.0)
    make = lambda: (Noted("first"), Noted("second"))  # noqa: E731
    with lib.no_grad():
        checkpoint(lib)(lambda x: x.sin(), x, use_reentrant=False, context_fn=make)
    y = checkpoint(lib)(lambda x: x.sin(), x, use_reentrant=False, context_fn=make)
    before = list(log)
    y.sum().backward()
    return before, log


@program
def checkpoint_debug(lib):
    first = [True]

    def f(x):
        y = x.exp().sin() if first[0] else x.exp()
        first[0] = False
        return y.sum()

    x = leaf(lib, 1.0)
    found = []
    for option, block in ((True, None), (False, True), (True, False)):
        first[0] = True
        with lib.utils.checkpoint.set_checkpoint_debug_enabled(block):
            y = checkpoint(lib)(f, x, use_reentrant=False, debug=option)
        try:
            y.backward()
        except RuntimeError as error:
            text = str(error)
            found.append([type(error).__name__, "sin" in text, "during recomputation" in text])
    return found


@program
def checkpoint_under_transforms(lib):
    f = lambda x: (x.sin() * x.exp()).sum()  # noqa: E731
    x, rows = lib.tensor([1.0, 2.0]), lib.arange(6.0).reshape(3, 2)
    g = lambda x: checkpoint(lib)(f, x, use_reentrant=False)  # noqa: E731
    h = lambda x: checkpoint(lib)(f, x, use_reentrant=True)  # noqa: E731
    return [
        lib.vmap(g)(rows), lib.func.jvp(g, (x,), (x,)),
        outcome(lambda: lib.vmap(h)(rows)), outcome(lambda: lib.func.grad(h)(x)),
    ]  # fmt: skip
