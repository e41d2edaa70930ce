"""Hooks, edges and saved tensors: as in PyTorch; memory; what only numbagrad promises."""

from __future__ import annotations

import gc
import weakref

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

EXPECTED = expected()
graph = ng.autograd.graph


@pytest.mark.parametrize("name", programs("hooks", "hooks_more"))
def test_as_in_pytorch(name):
    ours = run(name, ng)
    assert same(ours, EXPECTED[name]), f"\nnumbagrad: {ours}\n  PyTorch: {EXPECTED[name]}"


def dies(make):
    """Whether what `make` returns is gone with its last reference, without the collector."""
    gc.collect()
    gc.disable()
    try:
        thing = make()
        alive = weakref.ref(thing)
        del thing
        return alive() is None
    finally:
        gc.enable()


def test_hooked_graphs_have_no_cycles():
    def make():
        x = ng.ones(3, requires_grad=True)
        y = x.exp()
        y.register_hook(lambda g: g * 2)
        y.grad_fn.register_prehook(lambda g: None)
        y.grad_fn.register_hook(lambda i, o: None)
        y.retain_grad()
        graph.register_multi_grad_hook((x, y), lambda grads: None)
        y.sum().backward(retain_graph=True)
        return y

    assert dies(make)


def test_a_hook_that_holds_its_tensor_is_collected():
    x = ng.ones(3, requires_grad=True)

    def hooked():
        y = x.exp()
        y.register_hook(lambda g: g * y)
        return weakref.ref(y)

    alive = hooked()
    gc.collect()
    assert alive() is None


def test_packed_tensors_have_no_cycles():
    def make():
        x = ng.ones(3, requires_grad=True)
        with graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t):
            y = x.exp()
        y.sum().backward(retain_graph=True)
        return y

    assert dies(make)


def test_hooks_are_off_after_an_error():
    x = ng.ones(2, requires_grad=True)

    def fail(t):
        raise KeyError("from the hook")

    with pytest.raises(KeyError), graph.saved_tensors_hooks(fail, lambda t: t):
        x.exp()
    assert ng.is_grad_enabled()
    x.exp().sum().backward()
    assert ng.allclose(x.grad, ng.ones(2).exp())


def test_multi_hook_in_grad():
    """PyTorch raises here."""
    seen = []
    x, y = ng.ones(1, requires_grad=True), ng.ones(1, requires_grad=True)
    z = x * y
    graph.register_multi_grad_hook((x, y, z), seen.append)
    ng.autograd.grad(z, x)
    (grads,) = seen
    assert [g is None for g in grads] == [False, True, False]


def test_hand_made_edge_needs_a_gradient():
    x = ng.ones(1, requires_grad=True)
    y = x * 2
    edge = graph.GradientEdge(y.grad_fn, 0)
    with pytest.raises(RuntimeError, match="pass a gradient"):
        ng.autograd.grad(edge, x)
    assert ng.autograd.grad(edge, x, ng.ones(1))[0].tolist() == [2.0]


def test_saved_numbers_are_not_packed():
    x = ng.ones(2, requires_grad=True)

    def fail(t):
        raise AssertionError("nothing to save")

    with graph.saved_tensors_hooks(fail, fail):
        y = x * 3.0
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_mutation_is_reported_outside_of_its_block():
    x = ng.ones(2, requires_grad=True)
    with graph.allow_mutation_on_saved_tensors() as kept:
        y = x.exp()
        z = x.exp()
        kept.clear()
        with pytest.raises(RuntimeError, match="originally recorded"):
            z.sum().backward()
    with pytest.raises(RuntimeError, match="originally recorded"):
        y.sum().backward()


def test_modes_are_per_thread():
    import threading

    found = []

    def look():
        x = ng.ones(1, requires_grad=True)
        x.exp().backward()
        found.append(x.grad.tolist())

    with graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t * 0):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found[0] != [0.0]


def _through(kind):
    """A tensor that something with a reference to it hangs on."""
    x = ng.ones(1, requires_grad=True)
    y = x * 2
    if kind == "hook":
        y.register_hook(lambda g: g * y.detach())
    elif kind in ("register_hook", "register_prehook"):
        getattr(y.grad_fn, kind)(lambda *gs: y)
    elif kind == "retain_grad":
        y.retain_grad()
        y.sum().backward()
    elif kind == "saved hooks":
        with ng.autograd.graph.saved_tensors_hooks(lambda t: (t, x), lambda p: p[0]):
            y = x.exp()
    elif kind == "several":
        ng.autograd.graph.register_multi_grad_hook((x, y), lambda gs: y)
    elif kind == "leaf":
        y = x
        x.register_hook(lambda g: x)
        x.register_post_accumulate_grad_hook(lambda t: None)
        (x * 1).sum().backward()
    return weakref.ref(y)


@pytest.mark.parametrize(
    "kind",
    ["hook", "register_hook", "register_prehook", "retain_grad", "saved hooks", "several", "leaf"],
)
def test_cycles_through_hooks_are_collected(kind):
    ref = _through(kind)
    gc.collect()
    assert ref() is None


def test_without_hooks_nothing_waits_for_the_collector():
    gc.disable()
    try:
        assert _through("retain_grad")() is None and _through("nothing")() is None
    finally:
        gc.enable()


def test_a_module_with_backward_hooks_in_a_compiled_function():
    layer = ng.nn.Linear(2, 1, bias=False)
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))

    def gradient(x):
        x = x.detach().requires_grad_()
        layer(x).sum().backward()
        return x.grad

    x = ng.rand(3, 2)
    assert ng.allclose(ng.compile(gradient)(x), gradient(x))
    assert ng.allclose(gradient(x), layer.weight.detach() * 10)


def test_a_compiled_function_hears_of_hooks_that_are_deleted():
    layer = ng.nn.Identity()
    handle = layer.register_forward_hook(lambda module, args, out: out * 2)
    f = ng.compile(lambda x: layer(x))
    assert f(ng.ones(1)).item() == 2
    del layer._forward_hooks[handle.id]
    assert f(ng.ones(1)).item() == 1
