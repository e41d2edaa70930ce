"""What a compiled function sees beside its arguments is read at each call, as in eager mode."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import pickle
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
import numbagrad.traces
from numbagrad import nn
from numbagrad.compiled import Compiled
from numbagrad.surroundings import Surroundings

ONE = ng.ones(1)
scale: Any = 2.0
weight: Any = ng.tensor([2.0])


def helper(x: ng.Tensor) -> ng.Tensor:
    return x * scale


def value(t: ng.Tensor) -> float:
    return t.item()


def traces(f: Compiled) -> int:
    return sum(map(len, f._traces.entries.values()))


def test_global_number(monkeypatch):
    f = ng.compile(lambda x: helper(x) + scale)
    assert value(f(ONE)) == 4
    monkeypatch.setitem(globals(), "scale", 5.0)
    assert value(f(ONE)) == 10
    monkeypatch.setitem(globals(), "scale", 2.0)
    assert value(f(ONE)) == 4 and traces(f) == 2


@pytest.mark.parametrize("first, then", [(0.0, -0.0), (1, True), (1.0, 1), (None, 2.0)])
def test_numbers_that_are_equal_in_python_alone(first, then):
    k = first
    f = ng.compile(lambda x: x * (7.0 if k is None else k))
    f(ONE)
    k = then
    expected = (ONE * then).item()
    assert repr(f(ONE).item()) == repr(expected)


def test_nan_is_equal_to_itself():
    k = float("nan")
    f = ng.compile(lambda x: x * k)
    f(ONE)
    k = float("nan")
    f(ONE)
    assert traces(f) == 1


def test_function_replaced():
    def first(x):
        return x + 1

    inner = first
    f = ng.compile(lambda x: inner(x))
    assert value(f(ONE)) == 2

    def other(x):
        return x + 2

    inner = other
    assert value(f(ONE)) == 3


def test_tensors_bound_anew_need_no_new_trace(monkeypatch):
    """A loop that replaces its parameters, as functional code does."""
    f = ng.compile(lambda x: (x * weight).sum())
    for step in range(5):
        monkeypatch.setitem(globals(), "weight", ng.tensor([float(step)], requires_grad=True))
        y = f(ONE)
        assert value(y) == step
        y.backward()
        assert weight.grad.tolist() == [1.0]
    assert traces(f) == 1
    monkeypatch.setitem(globals(), "weight", ng.ones(3))
    assert value(f(ONE)) == 3
    monkeypatch.setitem(globals(), "weight", 4.0)
    assert value(f(ONE)) == 4


class State:
    def __init__(self) -> None:
        self.w = ng.tensor([2.0])
        self.k = 3.0

    def __call__(self, x: ng.Tensor) -> ng.Tensor:
        return x * self.w * self.k

    @functools.wraps(print)
    def wrapped(self, x: ng.Tensor) -> ng.Tensor:
        return x * self.w * self.k


@pytest.mark.parametrize(
    "make",
    [
        lambda s: ng.compile(lambda x: x * s.w * s.k),
        lambda s: functools.partial(ng.compile(lambda state, x: x * state.w * state.k), s),
        lambda s: ng.compile(functools.partial(lambda state, x: x * state.w * state.k, s)),
        lambda s: ng.compile(s.__call__),
    ],
)
def test_attributes(make):
    s = State()
    f = make(s)
    assert value(f(ONE)) == 6
    s.w = ng.tensor([5.0])
    assert value(f(ONE)) == 15
    s.k = 1.0
    assert value(f(ONE)) == 5


def test_elements_of_lists_and_dictionaries():
    weights, options = [ng.tensor([1.0]), ng.tensor([2.0])], {"k": 2.0, "w": ng.tensor([1.0])}

    @ng.compile
    def f(x):
        for w in weights:
            x = x * w
        return x * options["k"] * options["w"]

    assert value(f(ONE)) == 4
    weights[1] = ng.tensor([5.0])
    assert value(f(ONE)) == 10
    options["w"] = ng.tensor([3.0])
    assert value(f(ONE)) == 30 and traces(f) == 1
    options["k"] = 1.0
    assert value(f(ONE)) == 15
    weights.append(ng.tensor([2.0]))
    assert value(f(ONE)) == 30
    weights.clear()
    assert value(f(ONE)) == 3


def test_one_tensor_under_two_names():
    a = b = ng.tensor([2.0])
    f = ng.compile(lambda x: x * a + b)
    assert value(f(ONE)) == 4
    b = ng.tensor([10.0])
    assert value(f(ONE)) == 12
    a = ng.tensor([3.0])
    assert value(f(ONE)) == 13


def test_changes_reach_the_tensor_that_is_there_now():
    w = ng.tensor([1.0], requires_grad=True)
    count = ng.zeros(1)

    @ng.compile
    def step(x):
        (w * x).sum().backward()
        count.add_(1)
        with ng.no_grad():
            w.sub_(w.grad)
            w.grad = None

    step(ONE)
    first, w = w, ng.tensor([10.0], requires_grad=True)
    old, count = count, ng.tensor([5.0])
    step(ONE * 2)
    assert (first.tolist(), w.tolist(), old.tolist(), count.tolist()) == ([0], [8], [1], [6])
    assert w.grad is None


def test_backward_goes_to_the_tensor_of_the_call():
    w = first = ng.tensor([3.0], requires_grad=True)
    del first  # a second name would be a second place
    f = ng.compile(lambda x: (x * w * w).sum())
    y = f(ONE)
    old, w = w, ng.tensor([7.0], requires_grad=True)
    y.backward()
    assert old.grad is not None and old.grad.tolist() == [6.0] and w.grad is None


def test_second_derivative_after_a_replacement_is_an_error():
    w = ng.tensor([3.0], requires_grad=True)
    f = ng.compile(lambda x: (x * w**3).sum())
    y = f(ONE)
    (g,) = ng.autograd.grad(y, w, create_graph=True)
    assert ng.autograd.grad(g, w)[0].tolist() == [18.0]
    y, old = f(ONE), w
    w = ng.tensor([4.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="'w' was replaced"):
        ng.autograd.grad(y, old, create_graph=True)


def test_a_number_that_changes_at_each_call_is_named(monkeypatch):
    f = ng.compile(lambda x: x * scale)
    with pytest.warns(UserWarning, match="because 'scale' changes from call to call") as caught:
        for i in range(12):
            monkeypatch.setitem(globals(), "scale", float(i))
            assert value(f(ONE)) == i
    (warning,) = caught
    assert warning.filename == __file__


def test_old_traces_are_forgotten(monkeypatch):
    """Numbers that change for ever must not fill the memory, whatever they belong to."""
    monkeypatch.setattr(numbagrad.traces, "_SIGNATURES", 5)
    f = ng.compile(lambda x, k=1: x * scale * k)
    with pytest.warns(UserWarning, match="changes from call to call"):
        for i in range(20):
            monkeypatch.setitem(globals(), "scale", float(i % 10))
            assert value(f(ONE, i)) == i * (i % 10)
            assert value(f(ONE)) == i % 10
    assert traces(f) == 5 == len(f._traces.signatures)


@dataclasses.dataclass
class Box:
    x: Any
    more: Any = None


@pytest.mark.parametrize("requires_grad", [False, True])
def test_containers_that_the_function_changes(requires_grad):
    def change(l, d, box, pair):
        l.append(l[0] * 2)
        d["new"] = d.pop("old") + 1
        box.x, box.more = box.x * 3, l
        pair[1][0] = pair[0]
        return box

    def run(fn):
        x = ng.tensor([1.0], requires_grad=requires_grad)
        l: list[Any] = [x]
        d: Any = collections.defaultdict(list, old=x)
        box, pair, r = Box(x), (x, [None]), Box(None)
        for _ in range(2):
            l[:] = [x]
            d["old"] = x
            r = fn(l, d, box, pair)
        assert pair[1][0] is x and box.more[1].tolist() == [2.0]
        assert d.default_factory is list
        assert l[1].requires_grad == requires_grad
        return [t.tolist() for t in (l[0], l[1], d["new"], box.x, r.x)], list(d), len(l)

    assert run(ng.compile(change)) == run(change)


def test_changed_containers_and_gradients():
    @ng.compile
    def f(out, x):
        out.append(x**3)
        return (x * x).sum()

    x = ng.tensor([2.0], requires_grad=True)
    out: list[Any] = []
    y = f(out, x)
    (g,) = ng.autograd.grad(out[0], x, create_graph=True, retain_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), [12.0], rtol=1e-6)
    assert ng.autograd.grad(g, x)[0].tolist() == [12.0]
    assert ng.autograd.grad(y, x)[0].tolist() == [4.0]


def test_numbers_that_modules_read():
    """Those of inner modules too, whose code the function's own does not name."""
    model = nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.5), nn.Sequential(nn.Dropout(0.0)))
    f = ng.compile(model)
    x = -ng.ones(1, 2)
    for slope, p in ((0.5, 0.0), (2.0, 0.0), (2.0, 1.0)):
        model[1].negative_slope, model[2][0].p = slope, p
        np.testing.assert_allclose(f(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("owned", [False, True])
def test_lists_of_modules(owned):
    class Model(nn.Module):
        def __init__(self, layers: Any) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: ng.Tensor) -> ng.Tensor:
            for layer in self.layers:
                x = layer(x)
            return x

    layers = nn.ModuleList([nn.LeakyReLU(2.0)])

    def functional(x: ng.Tensor) -> ng.Tensor:
        for layer in layers:
            x = layer(x)
        return x

    f: Any = ng.compile(Model(layers) if owned else functional)
    assert value(f(-ONE)) == -2
    layers.append(nn.LeakyReLU(3.0))
    assert value(f(-ONE)) == -6
    layers[0] = nn.LeakyReLU(5.0)
    assert value(f(-ONE)) == -15
    del layers[1]
    assert value(f(-ONE)) == -5


def test_fast_path_of_closed_over_tensors():
    """Calls that end in one program look tensors up in the fastest way there is."""
    one, more, table = ng.tensor([2.0]), [ng.tensor([3.0]), ng.tensor([5.0])], {"w": ng.ones(1)}
    functions = (
        lambda x: x * one,
        lambda x: x * more[0] * more[1],
        lambda x: x * one * more[1] * table["w"],
    )
    f: Any = None
    for fn in functions:
        f = ng.compile(fn)
        for _ in range(3):
            assert value(f(ONE)) == value(fn(ONE))
        assert f._fast is not None
        one, more[1], table["w"] = one + 1, more[1] + 1, table["w"] + 1
        assert value(f(ONE)) == value(fn(ONE))
    assert traces(f) == 1
    last = more.pop()
    with pytest.raises(IndexError):
        f(ONE)
    more.append(last)
    del table["w"]
    with pytest.raises(KeyError):
        f(ONE)


def test_parameter_added_to_a_module():
    m = nn.Linear(1, 1, bias=False)
    f = ng.compile(m)
    before = f(ONE[None])
    m.bias = nn.Parameter(ONE * 3)
    assert f(ONE[None]).item() == pytest.approx(before.item() + 3)


def test_the_library_itself_is_not_watched():
    """Its globals (counters, caches) are its own business."""
    for fn in (nn.functional.gelu, ng.func.vmap(ng.sin), nn.Sequential(nn.GELU()), ng.add):
        surroundings = Surroundings(fn)
        assert not surroundings.facts and not surroundings.named
    assert Surroundings(ng.func.grad(helper)).facts[0].name == "scale"


class Holder:
    rate = 2.0
    __slots__ = ("_scale", "weight")

    def __init__(self) -> None:
        self._scale = 3.0
        self.weight = ng.ones(2)

    @property
    def scale(self) -> float:
        return self._scale

    def apply(self, x: ng.Tensor) -> ng.Tensor:
        return x * self.weight * self.scale * self.rate


def test_attributes_are_followed_through_classes_slots_properties_and_methods():
    holder = Holder()
    compiled = ng.compile(lambda x: holder.apply(x))
    x = ng.ones(2)
    assert compiled(x).tolist() == [6, 6]
    holder._scale = 4.0
    assert compiled(x).tolist() == [8, 8]
    holder.weight = ng.full((2,), 2.0)
    assert compiled(x).tolist() == [16, 16]
    Holder.rate = 1.0
    try:
        assert compiled(x).tolist() == [8, 8]
    finally:
        Holder.rate = 2.0


def test_what_a_module_reads_in_its_own_methods_is_followed():
    class Scaled(ng.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = 2.0

        def scaled(self, x):
            return x * self.factor

        def forward(self, x):
            return self.scaled(x)

    m = Scaled()
    compiled = ng.compile(m)
    assert compiled(ng.ones(1)).tolist() == [2]
    m.factor = 5.0
    assert compiled(ng.ones(1)).tolist() == [5]


def test_containers_in_containers_and_rebound_ones_are_followed():
    config = {"optimizer": {"rate": 2.0}, "act": lambda x: x + 1}
    nested = [[ng.ones(1)], [ng.ones(1)]]
    pair = (ng.ones(1), ng.ones(1))

    def fn(x):
        total = nested[0][0] + nested[1][0] + pair[0] + pair[1]
        return config["act"](x * config["optimizer"]["rate"]) + total

    compiled = ng.compile(fn)

    def check():
        assert compiled(ng.ones(1)).tolist() == fn(ng.ones(1)).tolist()

    check()
    config["optimizer"]["rate"] = 7.0
    check()
    config["act"] = lambda x: x - 1
    check()
    nested[0][0] = ng.zeros(1)
    check()
    nested[1] = [ng.full((1,), 9.0)]
    check()
    pair = (ng.zeros(1), ng.full((1,), 3.0))
    check()


def test_cached_properties_are_not_asked_by_looking():
    asked = []

    class Lazy:
        @functools.cached_property
        def value(self):
            asked.append(1)
            return 2.0

    lazy = Lazy()
    compiled = ng.compile(lambda x, use: x * lazy.value if use else x)
    compiled(ng.ones(1), False)
    assert not asked
    assert compiled(ng.ones(1), True).tolist() == [2]


def test_copies_of_compiled_functions_trace_for_themselves():
    m = ng.nn.Linear(2, 2)
    compiled = ng.compile(m)
    x = ng.ones(2)
    before = compiled(x).tolist()
    copied = copy.deepcopy(compiled)
    with ng.no_grad():
        m.weight.zero_()
    assert copied(x).tolist() == before
    assert compiled(x).tolist() == m(x).tolist() != before


@ng.compile
def _decorated(x):
    return x * 2


class _WithMethod:
    @ng.compile
    def double(self, x):
        return x * 2


@pytest.mark.parametrize("f", [_decorated, _WithMethod.double])
def test_decorated_functions_are_pickled_by_name(f):
    assert pickle.loads(pickle.dumps(f)) is f


def test_slices_are_arguments():
    compiled = ng.compile(lambda x, part: x[part])
    x = ng.arange(5.0)
    assert compiled(x, slice(1, 3)).tolist() == [1, 2]
    assert compiled(x, slice(2, 5)).tolist() == [2, 3, 4]


def _custom_vjp(box):
    @ng.func.custom_vjp
    def f(x):
        return x * x

    f.defvjp(lambda x: (x * x, x), lambda x, g: (g * x * box["factor"],))
    return f


def _custom_jvp(box):
    @ng.func.custom_jvp
    def f(x):
        return x * x

    f.defjvp(lambda primals, tangents: (primals[0] ** 2, tangents[0] * box["factor"]))
    return f


def _custom_jvps(box):
    @ng.func.custom_jvp
    def f(x):
        return x * x

    f.defjvps(lambda t, out, x: t * x * box["factor"])
    return f


def _function(box):
    class Scaled(ng.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * box["factor"]

    return Scaled.apply


@pytest.mark.parametrize("make", [_custom_vjp, _custom_jvp, _custom_jvps, _function])
def test_what_custom_rules_close_over_is_followed(make):
    box = {"factor": 2.0}
    rule = make(box)
    gradient = ng.func.grad(lambda x: rule(x).sum())
    compiled = ng.compile(gradient)
    x = ng.tensor([3.0])
    seen = []
    for factor in (2.0, 5.0):
        box["factor"] = factor
        seen.append(compiled(x).item())
        assert seen[-1] == gradient(x).item()
    assert seen[0] != seen[1]


def test_a_rule_given_anew_is_followed():
    f = _custom_vjp({"factor": 2.0})
    compiled = ng.compile(ng.func.grad(lambda x: f(x).sum()))
    assert compiled(ng.tensor([3.0])).item() == 6.0
    f.defvjp(lambda x: (x * x, x), lambda x, g: (g * 7,))
    assert compiled(ng.tensor([3.0])).item() == 7.0


def test_what_the_methods_of_a_module_read():
    class Scale(ng.nn.Module):
        def __init__(self):
            super().__init__()
            self.k, self.more = 2.0, 1.0

        @property
        def factor(self):
            return self.k + self.offset()

        def offset(self):
            return sum(self.more for _ in range(2))

        def forward(self, x):
            return x * self.factor

    model = ng.nn.Sequential(Scale())
    f = ng.compile(model)
    assert value(f(ONE)) == 4
    model[0].k = 3.0
    assert value(f(ONE)) == 5
    model[0].more = 2.0
    assert value(f(ONE)) == 7


def test_the_options_of_a_layer():
    pool = ng.nn.MaxPool1d(2)
    f = ng.compile(lambda x: pool(x))
    x = ng.arange(12.0).reshape(1, 12)
    assert f(x).shape == (1, 6)
    pool.kernel_size = pool.stride = 3
    assert f(x).shape == (1, 4)
