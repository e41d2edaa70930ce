"""Hooks on gradients, nodes and saved tensors: programs for both libraries (see `programs`)."""

from __future__ import annotations

import warnings

from . import leaf, outcome, program


@program
def hooks_in_order(lib):
    log = []
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: (log.append("first"), g * 2)[1])
    y.grad_fn.register_prehook(lambda g: log.append("pre"))
    y.grad_fn.register_hook(lambda i, o: log.append(("post", len(o))))
    y.register_hook(lambda g: (log.append("second"), g * 2)[1])
    y.retain_grad()
    x.register_hook(lambda g: log.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: log.append(("after", t.grad.tolist())))
    y.sum().backward()
    return log, x.grad, y.grad


@program
def hooks_and_captured_gradients(lib):
    log = []
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: (log.append("y"), g * 2)[1])
    x.register_hook(lambda g: (log.append("x"), g * 3)[1])
    y.grad_fn.register_prehook(lambda g: log.append("pre"))
    both = lib.autograd.grad(y.sum(), [x, y], retain_graph=True)
    one = lib.autograd.grad(y.sum(), [y], retain_graph=True)
    other = lib.autograd.grad(y.sum(), [x])
    return both, one, other, log, x.grad


@program
def hooks_of_a_node_replace(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x.exp()
    y.grad_fn.register_prehook(lambda g: (g[0] * 2,))
    y.grad_fn.register_hook(lambda i, o: (i[0] * 10,))
    y.sum().backward()
    return x.grad


@program
def hooks_see_missing_gradients(lib):
    log = []
    x = leaf(lib, 1.0, 2.0)
    y, z = x * 2, x * 3
    stop = type("Stop", (lib.autograd.Function,), {
        "forward": staticmethod(lambda ctx, x: x * 2),
        "backward": staticmethod(lambda ctx, g: None),
    })  # fmt: skip
    y.register_hook(lambda g: log.append(("y", g is None)))
    y.grad_fn.register_prehook(lambda g: log.append(("pre", g[0] is None)))
    y.grad_fn.register_hook(lambda i, o: log.append(("post", [g is None for g in (*i, *o)])))
    stop.apply(y).sum().backward()
    z.register_hook(lambda g: log.append(("z", g is None)))
    z.sum().backward()
    return log, x.grad


@program
def hooks_removed(lib):
    log = []
    x = leaf(lib, 1.0)
    y = x * 2
    handles = [y.register_hook(lambda g, i=i: log.append(i)) for i in range(3)]
    handles[1].remove()
    y.backward(retain_graph=True)
    with y.register_hook(lambda g: log.append("block")):
        y.backward(retain_graph=True)
    handles[0].remove()
    handles[0].remove()
    y.backward()
    return log


@program
def hooks_with_a_graph(lib):
    x = lib.tensor(2.0, requires_grad=True)
    y = x * x
    y.register_hook(lambda g: g * y)
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    return g, lib.autograd.grad(g, x)


@program
def hooks_that_return_nonsense(lib):
    def run(result):
        x = leaf(lib, 1.0, 2.0)
        y = x * 2
        y.register_hook(lambda g: result)
        y.sum().backward()
        return x.grad

    return [outcome(lambda r=r: run(r)) for r in (3.0, "x", lib.ones(3), lib.ones(2) * 5, None)]


@program
def hooks_where_none_can_be(lib):
    c = leaf(lib, 1.0, grad=False)
    x = leaf(lib, 1.0)
    return (
        outcome(lambda: c.register_hook(print)),
        outcome(lambda: (x * 2).register_post_accumulate_grad_hook(print)),
        outcome(lambda: c.register_post_accumulate_grad_hook(print)),
    )


@program
def hooks_after_the_tensor_changed_in_place(lib):
    log = []
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: log.append(("before", g.tolist())))
    y.mul_(3)
    y.register_hook(lambda g: log.append(("after", g.tolist())))
    y.sum().backward()
    return log, x.grad


@program
def hooks_on_several_tensors(lib):
    log = []

    def seen(grads):
        log.append([None if g is None else g.tolist() for g in grads])

    a, b, c = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0), leaf(lib, 5.0, 6.0)
    d = a * b
    handle = lib.autograd.graph.register_multi_grad_hook((a, b, c, d), seen)
    (d * 2).sum().backward(retain_graph=True)
    ((d * 2).sum() + c.sum()).backward(retain_graph=True)
    c.sum().backward()
    (d * 2).sum().backward(inputs=[a], retain_graph=True)
    handle.remove()
    d.sum().backward()
    return log


@program
def hooks_on_any_of_several_tensors(lib):
    log = []
    a, b = leaf(lib, 1.0, 2.0), leaf(lib, 3.0, 4.0)
    c = a * b
    lib.autograd.graph.register_multi_grad_hook(
        (a, b, c), lambda g: log.append(g.tolist()), mode="any"
    )
    c.sum().backward(retain_graph=True)
    c.sum().backward()
    (b * 7).sum().backward()
    return log, outcome(lambda: lib.autograd.graph.register_multi_grad_hook((a,), print, mode="x"))


@program
def gradient_edges(lib):
    edge_of = lib.autograd.graph.get_gradient_edge
    x = leaf(lib, 1.0, 2.0)
    y = x * x
    s = y.sum()
    grad = lib.autograd.grad
    found = [
        grad(s, edge_of(x), retain_graph=True),
        grad(edge_of(s), x, retain_graph=True),
        grad(edge_of(s), [edge_of(y), edge_of(x)], retain_graph=True),
        grad(edge_of(y), x, lib.tensor([1.0, 10.0]), retain_graph=True),
        grad([edge_of(y), s], x, [lib.tensor([1.0, 10.0]), None], retain_graph=True),
        outcome(lambda: grad(edge_of(y), x, retain_graph=True)),
        outcome(lambda: grad(edge_of(y), x, lib.ones(3), retain_graph=True)),
        outcome(lambda: grad(s, edge_of(leaf(lib, 1.0)), retain_graph=True)),
        outcome(lambda: grad(s, edge_of(leaf(lib, 1.0)), retain_graph=True, allow_unused=True)),
        outcome(lambda: grad(s, edge_of(x), retain_graph=True, materialize_grads=True)),
        outcome(lambda: bool(edge_of(leaf(lib, 1.0, grad=False)))),
        edge_of(y).output_nr, edge_of(y).node is y.grad_fn,
    ]  # fmt: skip
    lib.autograd.backward(edge_of(s), inputs=[edge_of(x)], retain_graph=True)
    lib.autograd.backward([edge_of(y)], [lib.ones(2)])
    return found, x.grad


@program
def gradient_edge_outlives_its_tensor(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x.exp()
    edge = lib.autograd.graph.get_gradient_edge(y)
    s = (y * 3).sum()
    del y
    return lib.autograd.grad(s, edge)


@program
def nodes(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x.exp()
    node = y.grad_fn
    node.metadata["note"] = 3
    (after, nr) = node.next_functions[0]
    return (
        node.name(), nr, node is y.grad_fn,
        isinstance(node, lib.autograd.graph.Node), y.grad_fn.metadata["note"], after.variable is x,
    )  # fmt: skip


@program
def versions_incremented(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    y = a * a
    bump = lib.autograd.graph.increment_version
    bump(a)
    b, c = lib.ones(1), lib.ones(1)
    bump([b, c])
    bump(b)
    with lib.inference_mode():
        d = lib.ones(1)
    bump(d)
    return outcome(lambda: y.sum().backward()), a._version, b._version, c._version


# -- saved tensors --------------------------------------------------------------------------------


@program
def saved_tensors_packed(lib):
    packed = []

    def pack(t):
        packed.append((tuple(t.shape), t.requires_grad, t.is_leaf))
        return t.detach() * 2

    x = leaf(lib, 1.0, 2.0)
    with lib.autograd.graph.saved_tensors_hooks(pack, lambda t: t + 1):
        y = x * x
    y.sum().backward()
    z = (x * x).sum()
    g = x.grad.clone()
    z.backward()
    return g, x.grad, packed


@program
def saved_outputs_packed(lib):
    log = []

    def pack(t):
        log.append(("pack", lib.is_grad_enabled()))
        return t.detach()

    def unpack(t):
        log.append(("unpack", lib.is_grad_enabled()))
        return t * 10

    x = leaf(lib, 0.0, 1.0)
    with lib.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = x.exp()
    (g,) = lib.autograd.grad(y.sum(), x, retain_graph=True)
    (h,) = lib.autograd.grad(y.sum(), x)
    return g, h, log


@program
def saved_tensors_hooks_nest(lib):
    log = []
    hooks = lib.autograd.graph.saved_tensors_hooks

    def named(name):
        return hooks(lambda t: (log.append(name), t.detach())[1], lambda t: t)

    x = leaf(lib, 1.0)
    with named("outer"):
        y = x.exp()
        with named("inner"):
            y = y.exp()
        y = y.exp()
    y = y.exp()
    y.backward()
    return log, x.grad


@program
def saved_tensors_hooks_and_double_backward(lib):
    hooks = lib.autograd.graph.saved_tensors_hooks
    x = lib.tensor([0.5, 2.0], dtype=lib.float64, requires_grad=True)
    w = lib.tensor([3.0, 4.0], dtype=lib.float64, requires_grad=True)
    with hooks(lambda t: t.detach().clone(), lambda t: t):
        y = ((x * w).sin() * x.exp()).sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    return g, lib.autograd.grad((g * g).sum(), [x, w])


@program
def saved_tensors_hooks_and_functions(lib):
    log = []

    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(x, None, y)
        return y

    def backward(ctx, g):
        _, _, y = ctx.saved_tensors
        return g * y * 100

    f = type("F", (lib.autograd.Function,), {
        "forward": staticmethod(forward), "backward": staticmethod(backward),
    })  # fmt: skip
    x = leaf(lib, 0.0, 1.0)
    with lib.autograd.graph.saved_tensors_hooks(
        lambda t: (log.append(t.tolist()), t.detach())[1], lambda t: t
    ):
        y = f.apply(x)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    return g, log, lib.autograd.grad(g.sum(), x)


@program
def saved_tensors_hooks_that_misbehave(lib):
    hooks = lib.autograd.graph.saved_tensors_hooks
    x = leaf(lib, 1.0, 2.0)

    def run(pack, unpack):
        with hooks(pack, unpack):
            y = (x * 1).exp()
        y.sum().backward()

    return [
        outcome(lambda: run(lambda t: t.add_(1), lambda t: t)),
        outcome(lambda: run(lambda t: 3, lambda t: t)),
        outcome(lambda: run(lambda t: t.detach(), lambda t: None)),
    ]


@program
def saved_tensors_changed_in_place_under_hooks(lib):
    x = leaf(lib, 1.0, 2.0)
    a = x * 1
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
        y = a * a
        a.sin_()
    (y + a).sum().backward()
    return x.grad


@program
def saved_tensors_hooks_disabled(lib):
    graph = lib.autograd.graph

    def enter():
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass

    def disable():
        with (
            graph.saved_tensors_hooks(lambda t: t, lambda t: t),
            graph.disable_saved_tensors_hooks("x"),
        ):
            pass

    with graph.disable_saved_tensors_hooks("not here"):
        inside = outcome(enter)
        with graph.disable_saved_tensors_hooks("nor here"):
            nested = outcome(enter)
        again = outcome(enter)
    return inside, nested, again, outcome(enter), outcome(disable)


@program
def saved_on_cpu(lib):
    x = leaf(lib, 1.0, 2.0)
    with lib.autograd.graph.save_on_cpu():
        y = (x * x).exp()
    y.sum().backward()
    return x.grad


@program
def mutation_on_saved_tensors(lib):
    allow = lib.autograd.graph.allow_mutation_on_saved_tensors
    x = leaf(lib, 1.0, 2.0)
    with allow():
        a = x * 1
        y = (a * a).sin()
        a.zero_()
        y.mul_(2)
        y.sum().backward()

    def nested():
        with allow(), allow():
            pass

    return x.grad, outcome(nested)


# -- anomaly mode ---------------------------------------------------------------------------------


@program
def anomalies(lib):
    def nan(check_nan=True):
        x = leaf(lib, 0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with lib.autograd.detect_anomaly(check_nan=check_nan):
                (x.sqrt() * 0).backward()
        return x.grad

    found = [outcome(nan), outcome(lambda: nan(False))]
    with lib.autograd.set_detect_anomaly(True):
        found.append(outcome(lambda: leaf(lib, 0.0).log().mul(0).backward()))
        with lib.autograd.set_detect_anomaly(False):
            x = leaf(lib, 0.0)
            (x.sqrt() * 0).backward()
            found.append(x.grad)
        x = leaf(lib, 0.0)
        found.append(outcome(lambda: (x.sqrt() * 0).backward()))
    x = leaf(lib, 0.0)
    (x.sqrt() * 0).backward()
    return found, x.grad


@program
def anomaly_in_a_function(lib):
    f = type("F", (lib.autograd.Function,), {
        "forward": staticmethod(lambda ctx, x: x * 2),
        "backward": staticmethod(lambda ctx, g: g * float("nan")),
    })  # fmt: skip
    with lib.autograd.set_detect_anomaly(True):
        return outcome(lambda: f.apply(leaf(lib, 1.0)).backward())
