"""More of hooks, nodes and saved tensors: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import leaf, outcome, program


@program
def leaf_hooks_and_retain_grad(lib):
    log = []
    x = leaf(lib, 1.0, 2.0)
    x.retain_grad()
    x.register_hook(lambda g: log.append(["a", g.tolist()]))
    x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: log.append(["b", g.tolist()]))
    x.register_post_accumulate_grad_hook(lambda t: log.append(["post", t.grad.tolist(), t is x]))
    (x * x).sum().backward()
    (x * x).sum().backward()
    return log, x.grad, x.retains_grad


@program
def intermediate_hooks_around_retain_grad(lib):
    found = []
    for order in ("hook first", "retain first", "both sides", "retain twice"):
        x = leaf(lib, 1.0, 2.0)
        y = x * 3
        if order == "retain twice":
            y.retain_grad()
            y.register_hook(lambda g: g * 2)
            y.retain_grad()
        if order in ("hook first", "both sides"):
            y.register_hook(lambda g: g * 10)
        if order != "retain twice":
            y.retain_grad()
        if order in ("retain first", "both sides"):
            y.register_hook(lambda g: g * 100)
        (y * y).sum().backward()
        found.append([order, y.grad, x.grad, y.retains_grad])
    return found


@program
def retain_grad_where_it_cannot_be(lib):
    x, y = lib.tensor([1.0]), leaf(lib, 1.0)
    y.retain_grad()
    return [
        outcome(x.retain_grad), x.retains_grad, y.retains_grad, (y * 2).retains_grad,
        outcome(lambda: x.register_hook(lambda g: g)),
        outcome(lambda: x.register_post_accumulate_grad_hook(lambda t: None)),
        outcome(lambda: (y * 2).register_post_accumulate_grad_hook(lambda t: None)),
    ]  # fmt: skip


@program
def retained_gradient_after_a_change_in_place(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 3
    y.retain_grad()
    log = []
    y.register_hook(lambda g: log.append(g.tolist()))
    y.mul_(2)
    (y * y).sum().backward()
    return y.grad, x.grad, log


@program
def retained_gradients_of_views_changed_in_place(lib):
    found = []
    for changed in ("view", "base"):
        x = leaf(lib, 1.0, 2.0, 3.0)
        y = x * 2
        v = y[:2]
        y.retain_grad()
        v.retain_grad()
        (v if changed == "view" else y).mul_(3)
        ((y * y).sum() + v.sum()).backward()
        found.append([y.grad, v.grad, x.grad, v.retains_grad])
    return found


@program
def retained_gradient_overwritten_by_a_constant(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.zero_()
    (y * 3).sum().backward()
    return y.grad, x.grad, y.requires_grad


@program
def post_accumulate_hook_steps_an_optimizer(lib):
    w, v = leaf(lib, 1.0), leaf(lib, 2.0)
    optimizers = {p: lib.optim.SGD([p], lr=0.5) for p in (w, v)}

    def step(p):
        optimizers[p].step()
        p.grad = None

    for p in (w, v):
        p.register_post_accumulate_grad_hook(step)
    for _ in range(2):
        (w * v).sum().backward()
    return w, v, w.grad, v.grad


@program
def post_accumulate_hook_and_handles(lib):
    x = leaf(lib, 1.0)
    log = []
    first = x.register_post_accumulate_grad_hook(lambda t: log.append("first"))
    second = x.register_post_accumulate_grad_hook(lambda t: log.append("second"))
    x.sum().backward()
    first.remove()
    x.sum().backward()
    first.remove()
    second.remove()
    x.sum().backward()
    lib.autograd.grad(x.sum(), x)
    return log


@program
def post_accumulate_hook_result_is_ignored(lib):
    x = leaf(lib, 1.0)
    x.register_post_accumulate_grad_hook(lambda t: None)
    y = leaf(lib, 1.0)
    y.register_post_accumulate_grad_hook(lambda t: t.grad * 2)
    return outcome(lambda: x.sum().backward()), outcome(lambda: y.sum().backward()), y.grad


@program
def hooks_added_and_removed_by_hooks(lib):
    x = leaf(lib, 1.0)
    y = x * 2
    log = []
    handles = []

    def first(g):
        log.append("first")
        handles[0].remove()
        y.register_hook(lambda g: log.append("late"))

    handles.append(y.register_hook(first))
    y.register_hook(lambda g: log.append("second"))
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return log


@program
def hook_handle_in_a_with_block(lib):
    x = leaf(lib, 1.0)
    log = []
    with x.register_hook(lambda g: log.append("in")):
        (x * 1).sum().backward()
    (x * 1).sum().backward()
    return log


@program
def hook_raises(lib):
    x = leaf(lib, 1.0)
    y = x * 2

    def fail(g):
        raise ValueError("mine")

    handle = y.register_hook(fail)
    before = outcome(lambda: y.sum().backward(retain_graph=True))
    handle.remove()
    y.sum().backward()
    return before, x.grad


@program
def hooks_run_in_grad_too(lib):
    x = leaf(lib, 2.0)
    log = []
    y = x * 3
    x.register_hook(lambda g: (log.append("x"), g * 2)[1])
    y.register_hook(lambda g: (log.append("y"), g * 5)[1])
    return lib.autograd.grad(y.sum(), x), log


@program
def hook_with_create_graph(lib):
    x = leaf(lib, 2.0)
    y = x**3
    y.register_hook(lambda g: g * x)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    return g, lib.autograd.grad(g.sum(), x)


@program
def hook_is_called_with_grad_mode(lib):
    x = leaf(lib, 2.0)
    y = x * x
    log = []
    y.register_hook(lambda g: log.append(lib.is_grad_enabled()))
    y.sum().backward(retain_graph=True)
    y.sum().backward(create_graph=True)
    return log


@program
def hook_on_a_view_and_its_base(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    y = x * 2
    v = y[:2]
    log = []
    y.register_hook(lambda g: log.append(["y", g.tolist()]))
    v.mul_(3)
    v.register_hook(lambda g: log.append(["v again", g.tolist()]))
    (y.sum() + v.sum()).backward()
    return log, x.grad


@program
def node_prehooks(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 3
    log = []
    node = y.grad_fn
    node.register_prehook(lambda gs: log.append(["first", gs[0].tolist()]))
    node.register_prehook(lambda gs: (gs[0] * 2,))
    handle = node.register_prehook(lambda gs: log.append(["third", gs[0].tolist()]))
    y.sum().backward(retain_graph=True)
    handle.remove()
    y.sum().backward()
    return log, x.grad


@program
def node_hooks_see_both_sides(lib):
    x, w = leaf(lib, 1.0, 2.0), lib.tensor([3.0, 4.0])
    y = x * w
    log = []
    show = lambda gs: [None if g is None else g.tolist() for g in gs]  # noqa: E731
    y.grad_fn.register_hook(lambda gi, go: log.append([show(gi), show(go)]))
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 10, gi[1]))
    y.grad_fn.register_hook(lambda gi, go: log.append([show(gi), show(go)]))
    y.sum().backward()
    return log, x.grad


@program
def node_hooks_of_wrong_number(lib):
    found = []
    for result in (lambda g: (), lambda g: (g, g, g), lambda g: (3,), lambda g: 3, lambda g: None):
        x = leaf(lib, 1.0, 2.0)
        y = x.sin()
        y.grad_fn.register_hook(lambda gi, go: result(gi[0]))  # noqa: B023
        found.append([outcome(lambda: y.sum().backward()), x.grad])  # noqa: B023
    return found


@program
def node_prehooks_of_wrong_number(lib):
    found = []
    for result in (lambda g: (), lambda g: (g, g), lambda g: 3, lambda g: (None,)):
        x = leaf(lib, 1.0, 2.0)
        y = x.sin()
        y.grad_fn.register_prehook(lambda gs: result(gs[0]))  # noqa: B023
        found.append([outcome(lambda: y.sum().backward()), x.grad])  # noqa: B023
    return found


@program
def hooks_of_the_accumulating_node(lib):
    x = leaf(lib, 1.0, 2.0)
    log = []
    y = x * 3
    node = y.grad_fn.next_functions[0][0]
    node.register_prehook(lambda gs: log.append(["pre", gs[0].tolist(), x.grad is None]))
    node.register_hook(lambda gi, go: log.append(["post", len(gi), go[0].tolist(), x.grad is None]))
    x.register_hook(lambda g: log.append(["tensor", x.grad is None]))
    x.register_post_accumulate_grad_hook(lambda t: log.append(["after", x.grad is None]))
    y.sum().backward()
    return log, x.grad, node.name().split("::")[-1]


@program
def node_hooks_of_a_function_with_several_outputs(lib):
    x = leaf(lib, 4.0, 1.0, 3.0)
    values, indices = x.sort()
    log = []
    values.grad_fn.register_prehook(lambda gs: log.append([g is None for g in gs]))
    values.sum().backward()
    return log, x.grad, indices.requires_grad


@program
def node_names_and_metadata(lib):
    x = leaf(lib, 1.0)
    y = x.sin().exp()
    node = y.grad_fn
    node.metadata["mine"] = 3
    (inner, number), *rest = node.next_functions
    return [
        node.name(), inner.name(), number, len(rest), y.grad_fn.metadata["mine"],
        y.grad_fn is node, inner.next_functions[0][0].name().split("::")[-1],
        inner.next_functions[0][0].next_functions,
        node._sequence_nr() > inner._sequence_nr(),
    ]  # fmt: skip


@program
def multi_grad_hook_modes(lib):
    found = []
    for mode in ("all", "any"):
        x, y, z = leaf(lib, 1.0), leaf(lib, 2.0), leaf(lib, 3.0)
        a, b = x * 2, y * 3
        log = []
        if mode == "all":
            hook = lambda gs: log.append([None if g is None else g.tolist() for g in gs])  # noqa
        else:
            hook = lambda g: log.append(g.tolist())  # noqa
        handle = lib.autograd.graph.register_multi_grad_hook((a, b, z), hook, mode=mode)
        (a + b).sum().backward(retain_graph=True)
        (a * z).sum().backward(retain_graph=True)
        b.sum().backward(retain_graph=True)
        handle.remove()
        (a + b).sum().backward()
        found.append(log)
    return found


@program
def multi_grad_hook_mistakes(lib):
    register = lib.autograd.graph.register_multi_grad_hook
    x = leaf(lib, 1.0)
    return [
        outcome(lambda: register((x,), lambda gs: None, mode="some")),
        outcome(lambda: register((x, lib.tensor([1.0])), lambda g: None, mode="any") and None),
    ]


@program
def multi_grad_hook_in_nested_backward(lib):
    x, y = leaf(lib, 1.0), leaf(lib, 2.0)
    log = []

    class Inner(lib.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            return t * 2

        @staticmethod
        def backward(ctx, g):
            with lib.enable_grad():
                z = leaf(lib, 5.0)
                lib.autograd.graph.register_multi_grad_hook((z,), lambda gs: log.append("inner"))
                (z * 2).sum().backward()
            return g * 2

    lib.autograd.graph.register_multi_grad_hook((x, y), lambda gs: log.append("outer"))
    (Inner.apply(x) + y).sum().backward()
    return log, x.grad, y.grad


@program
def multi_grad_hook_and_an_error(lib):
    x, y = leaf(lib, 1.0), leaf(lib, 2.0)
    a, b = x * 2, y * 3
    log = []
    lib.autograd.graph.register_multi_grad_hook(
        (a, b), lambda gs: log.append([g.tolist() for g in gs])
    )

    def fail(g):
        raise ValueError("mine")

    handle = b.register_hook(fail)
    first = outcome(lambda: (a + b).sum().backward(retain_graph=True))
    handle.remove()
    (a + b).sum().backward()
    return first, log


@program
def save_on_cpu_and_in_place(lib):
    x = leaf(lib, 1.0, 2.0)
    with lib.autograd.graph.save_on_cpu():
        y = x.exp()
        z = y * y
    with lib.autograd.graph.save_on_cpu(pin_memory=False):
        w = (z * y).sum()
    w.backward()
    return x.grad


@program
def saved_hooks_disabled_and_nested(lib):
    g = lib.autograd.graph
    x = leaf(lib, 1.0)
    found = []
    with g.disable_saved_tensors_hooks("no hooks here"):
        found.append(outcome(lambda: g.saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()))
        with g.disable_saved_tensors_hooks("inner"):
            found.append(outcome(lambda: g.save_on_cpu().__enter__()))
        found.append(outcome(lambda: g.saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()))
        (x * x).sum().backward()

    def disable():
        with g.disable_saved_tensors_hooks("too late"):
            pass

    with g.saved_tensors_hooks(lambda t: t, lambda t: t):
        found.append(outcome(disable))
    return found, x.grad


@program
def version_of_many_incremented(lib):
    a, b = lib.ones(2), lib.ones(2)
    view = a[:1]
    lib.autograd.graph.increment_version([a, b])
    lib.autograd.graph.increment_version(view)
    x = leaf(lib, 1.0)
    y = x.exp()
    z = y * 2
    lib.autograd.graph.increment_version(y)
    return a._version, b._version, view._version, outcome(lambda: z.sum().backward())


@program
def version_of_what_is_no_tensor(lib):
    return [
        outcome(lambda: lib.autograd.graph.increment_version((lib.ones(1), 3))),
        lib.autograd.graph.increment_version(()),
    ]


@program
def mutation_allowed_and_cleared(lib):
    g = lib.autograd.graph
    x = leaf(lib, 1.0, 2.0)
    found = []
    with g.allow_mutation_on_saved_tensors() as kept:
        a = x * 3
        y = (a * a).sum()
        a.mul_(2)
        kept.clear()
        found.append(outcome(y.backward))
        b = x * 3
        z = (b.sin() * b).sum()
        b.zero_()
        z.backward()
    return found[0].startswith("raises") if isinstance(found[0], str) else found[0], x.grad


@program
def mutation_allowed_on_views_and_leaves(lib):
    x = leaf(lib, 1.0, 2.0, 3.0)
    w = lib.tensor([2.0, 3.0, 4.0])
    with lib.autograd.graph.allow_mutation_on_saved_tensors():
        a = x * w
        w.fill_(100.0)
        b = a[:2]
        y = (b.exp() * 2).sum() + (a * a).sum()
        b.add_(1)
        with lib.no_grad():
            x.mul_(0)
        y.backward()
    return x.grad


@program
def gradient_edges_of_leaves_and_results(lib):
    x = leaf(lib, 1.0, 2.0)
    y = x * 2
    a, _ = y.split(1)
    edge = lib.autograd.graph.get_gradient_edge
    return [
        edge(x).output_nr, edge(y).node is y.grad_fn, edge(y).output_nr,
        lib.autograd.grad((y * y).sum(), edge(y)),
        lib.autograd.grad([edge(y)], [edge(x)], grad_outputs=[lib.ones(2)]),
        outcome(lambda: edge(lib.ones(1))),
        outcome(lambda: lib.autograd.backward(edge(a), grad_tensors=lib.ones(1))), x.grad,
    ]  # fmt: skip


@program
def hooks_of_module_parameters_and_full_backward_hooks(lib):
    lib.manual_seed(0)
    layer = lib.nn.Linear(2, 1, bias=False)
    with lib.no_grad():
        layer.weight.fill_(2.0)
    log = []
    layer.register_full_backward_hook(
        lambda m, gi, go: log.append(["full", gi[0].tolist(), go[0].tolist()])
    )
    layer.register_full_backward_pre_hook(lambda m, go: log.append(["pre", go[0].tolist()]))
    layer.register_forward_hook(lambda m, args, out: log.append(["forward", len(args)]))
    layer.register_forward_pre_hook(lambda m, args: log.append(["before", len(args)]))
    layer.weight.register_hook(lambda g: log.append(["weight", g.tolist()]))
    x = lib.tensor([[1.0, 2.0]], requires_grad=True)
    layer(x).sum().backward()
    return log, x.grad, layer.weight.grad


@program
def module_backward_hooks_replace(lib):
    found = []
    for kind, result in (
        ("register_full_backward_hook", lambda *gs: (gs[0][0] * 10,)),
        ("register_full_backward_hook", lambda *gs: gs[0][0] * 10),
        ("register_full_backward_hook", lambda *gs: ()),
        ("register_full_backward_pre_hook", lambda *gs: (gs[0][0] * 10,)),
        ("register_full_backward_pre_hook", lambda *gs: gs[0][0] * 10),
        ("register_full_backward_pre_hook", lambda *gs: (None, None)),
    ):
        layer = lib.nn.Tanh()
        getattr(layer, kind)(lambda m, *gs: result(*gs))  # noqa: B023
        x = leaf(lib, 0.5, 1.0)
        y = layer(x)
        found.append([outcome(lambda: y.sum().backward()), x.grad])  # noqa: B023
    return found


@program
def module_backward_hooks_with_other_arguments(lib):
    class Two(lib.nn.Module):
        def forward(self, a, n, b, scale=1.0):
            return a * n, (b * scale).detach(), b * a

    log = []
    show = lambda gs: [None if g is None else g.tolist() for g in gs]  # noqa: E731
    two = Two()
    handle = two.register_full_backward_hook(
        lambda m, gi, go: log.append(["after", m is two, show(gi), show(go)])
    )
    two.register_full_backward_pre_hook(lambda m, go: log.append(["before", show(go)]))
    a, b = leaf(lib, 1.0), lib.tensor([3.0])
    out = two(a, 2, b, scale=2.0)
    out[0].sum().backward(retain_graph=True)
    (out[0] + out[2]).sum().backward()
    handle.remove()
    two(a, 2, b)[2].sum().backward()
    return log, a.grad, [o.requires_grad for o in out]


@program
def module_backward_hooks_without_inputs_that_require_grad(lib):
    layer = lib.nn.Linear(2, 1)
    log = []
    layer.register_full_backward_hook(
        lambda m, gi, go: log.append([gi[0] is None, len(gi), go[0].tolist()])
    )
    layer(lib.ones(1, 2)).sum().backward()
    bad = lib.nn.Linear(2, 1)
    bad.register_full_backward_hook(lambda m, gi, go: (lib.ones(1, 2),))
    loss = bad(lib.ones(1, 2)).sum()
    with lib.no_grad():
        layer(lib.ones(1, 2))
    return log, outcome(loss.backward)


@program
def module_backward_hooks_in_a_model(lib):
    log = []
    model = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.ReLU(), lib.nn.Linear(3, 1))
    for name, m in model.named_modules():
        m.register_full_backward_hook(
            lambda m, gi, go, name=name: log.append([name, len(gi), list(go[0].shape)])
        )
    model.register_full_backward_hook(lambda *_: log.append("first"), prepend=True)
    x = lib.ones(4, 2, requires_grad=True)
    model(x).sum().backward()
    return log


@program
def module_backward_hooks_and_in_place(lib):
    layer = lib.nn.Tanh()
    layer.register_full_backward_hook(lambda m, gi, go: None)
    x = leaf(lib, 0.5)
    y = layer(x)
    return outcome(lambda: y.add_(1))


@program
def saved_tensors_of_a_node(lib):
    x, w = leaf(lib, 1.0, 2.0), lib.tensor([3.0, 4.0])
    y = x.exp()
    z = x * w
    s = (x * 2).sin()
    found = [
        y.grad_fn._saved_result, y.grad_fn._saved_result is y,
        z.grad_fn._saved_other, hasattr(z.grad_fn, "_saved_nothing"),
        s.grad_fn._saved_self, s.grad_fn._saved_self.grad_fn is s.grad_fn.next_functions[0][0],
        x.sin().grad_fn._saved_self is x,
    ]  # fmt: skip
    y.sum().backward()
    return found, outcome(lambda: y.grad_fn._saved_result)


@program
def variables(lib):
    V = lib.autograd.Variable
    t = lib.ones(2)
    v, w = V(t, requires_grad=True), V(t)
    t.add_(1)
    (v * w).sum().backward()
    return v, w, v.grad, isinstance(t, V), isinstance(3, V), type(v) is type(t)
