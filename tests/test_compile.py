"""`compile`: the compiled function does what the function does, for its caller and for others."""

from __future__ import annotations

import collections
import dataclasses
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import nn
from numbagrad.compiled import Compiled
from numbagrad.ir.pytree import flatten
from numbagrad.modes import thread

RNG = np.random.default_rng(0)


def same(ours: Any, eager: Any) -> None:
    """Equal trees: the numbers to rounding, everything else exactly."""
    a, b = flatten(ours), flatten(eager)
    assert a[1] == b[1]
    for x, y in zip(a[0], b[0], strict=True):
        if not isinstance(y, ng.Tensor):
            assert x == y
            continue
        assert x.dtype == y.dtype and x.requires_grad == y.requires_grad
        np.testing.assert_allclose(
            x.detach().numpy(), y.detach().numpy(), rtol=1e-5, atol=1e-6, strict=True
        )


def array(*shape: int) -> Any:
    return np.asarray(RNG.normal(size=shape), np.float32)


def check(fn: Callable[..., Any], *arrays: Any, requires_grad: bool = False) -> Compiled:
    """Compiled == eager in results and in what happens to the arguments, call after call."""
    compiled = ng.compile(fn)
    for _ in range(3):
        mine, theirs = ([ng.tensor(a, requires_grad=requires_grad) for a in arrays] for _ in "ab")
        same(compiled(*mine), fn(*theirs))
        same(mine, theirs)
    return compiled


def twice(make: Callable[[], tuple[Callable[..., Any], Any]], *calls: tuple[Any, ...]) -> None:
    """`make` gives a function and the state it changes: the same after each call, compiled or not.

    A call is the arrays it gets.
    """
    (fn, state), (again, other) = make(), make()
    compiled = ng.compile(again)
    for arrays in calls:
        expected = fn(*map(ng.tensor, arrays))
        same(compiled(*map(ng.tensor, arrays)), expected)
        ours = other()
        same(ours, state())
        assert all(type(t._data) is np.ndarray for t in flatten(ours)[0] if t is not None)


def gradient(t: ng.Tensor) -> ng.Tensor:
    assert t.grad is not None
    return t.grad


X, Y = array(3, 4), array(3, 4)

# -- what goes in and out -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Pair:
    first: Any
    second: Any
    kind: str = "pair"


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x * 2,
        lambda x: (x, [x + 1, (x * 2,)]),
        lambda x: {"a": x + 1, "b": None, "c": [3, "text", 2.5]},
        lambda x: Pair(x + 1, Pair(x, None), "other"),
        lambda x: Point(x.sum(), x.max(1)),
        lambda x: collections.OrderedDict(z=x + 1, a=x + 2),
        lambda x: None,
        lambda x: 7,
        lambda x: x.shape,
        lambda x: (),
        lambda x: ng.ones(3),
        lambda x: ng.tensor(2.0) * 3,
    ],
)
def test_results(fn):
    check(fn, X)


def test_arguments():
    @ng.compile
    def f(tree: Any, *rest: Any, scale: float = 1.0, **more: Any) -> Any:
        return tree["a"][0] * scale + rest[0].first + more["bias"].y

    x = ng.tensor(X)
    r = f({"a": [x, None]}, Pair(x, 3), scale=2.0, bias=Point(None, x * 2))
    same(r, x * 5)
    assert f.__name__ == "f"


def test_static_values_tell_zeros_and_nan_apart():
    f = ng.compile(lambda x, k: x * k)
    one = ng.ones(1)
    assert np.signbit(f(one, -0.0).item()) and not np.signbit(f(one, 0.0).item())
    assert f(one, 1).item() == f(one, True).item() == 1
    for _ in range(3):
        assert np.isnan(f(one, float("nan")).item())
    assert len(f._traces.entries) == 5


def test_module_and_its_attributes():
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    compiled = ng.compile(module)
    x = ng.tensor(X)
    same(compiled(x), module(x))
    assert list(compiled.parameters()) == list(module.parameters())
    assert compiled.state_dict().keys() == module.state_dict().keys()
    compiled.eval()
    assert not module.training
    with pytest.raises(AttributeError):
        compiled.nothing  # noqa: B018


def test_method():
    class Scale(nn.Module):
        def __init__(self, k: float) -> None:
            super().__init__()
            self.k = nn.Parameter(ng.tensor(k))

        @ng.compile
        def forward(self, x: ng.Tensor) -> ng.Tensor:
            return x * self.k

    a, b = Scale(2.0), Scale(3.0)
    for _ in range(2):
        assert a(ng.ones(())).item() == 2 and b(ng.ones(())).item() == 3


def test_inputs_as_results():
    w = nn.Parameter(ng.ones(2, 2))
    f = ng.compile(lambda x: (x, x[0], x.t(), w, w[1]))
    for _ in range(2):
        x = ng.zeros(2, 2)
        a, row, transposed, same_w, part = f(x)
        assert a is x and same_w is w and row._base is x and part._base is w
        row += 1
        assert transposed.tolist() == [[1, 0], [1, 0]]
        assert part.requires_grad and part.grad_fn is not None


def test_results_share_no_memory_by_accident():
    f = ng.compile(lambda x: (y := x + 1, y, x + 1, x.clone(), x.to(ng.float32, copy=True), y[0]))
    for _ in range(2):
        x = ng.ones(2)
        a, b, c, d, e, part = f(x)
        assert a is b and part._base is a
        x += 5
        a += 10
        assert (c.tolist(), d.tolist(), e.tolist()) == ([2, 2], [1, 1], [1, 1])
        assert part.item() == 12


def test_constant_results_are_fresh():
    f = ng.compile(lambda x: ng.zeros(2))
    for _ in range(3):
        r = f(ng.ones(1))
        assert r.tolist() == [0, 0]
        r += 1


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (1,), (1, 1), (5,), (2, 3, 4)])
def test_shapes(shape):
    def f(x):
        return x * 2 + 1, x.sum(), x.exp().sum(-1), x.reshape(-1), x + x.sum()

    check(f, array(*shape))


LAYOUTS = pytest.mark.parametrize(
    "view",
    [
        lambda x: x.t(),
        lambda x: x[::2, 1::2],
        lambda x: x[0].expand(5, 6),
        lambda x: x[:, :1].expand(4, 6),
        lambda x: x.flip(0).t()[1:],
        lambda x: x[2:3, 3:4],
        lambda x: x.reshape(2, 2, 6).permute(2, 0, 1),
    ],
)


@LAYOUTS
def test_layouts(view):
    d = array(4, 6)

    def f(x: ng.Tensor) -> Any:
        # What is equal in any layout to the last bit is compared elsewhere; here all must run.
        m = x.reshape(x.shape[0], -1)
        return x * 2 + 1, x.sum(), x.exp().sum(0), x.amax(-1), m @ m.t(), x.reshape(-1), x > 0

    compiled = ng.compile(f)
    for _ in range(2):
        same(compiled(view(ng.tensor(d))), f(view(ng.tensor(d))))


@LAYOUTS
@pytest.mark.parametrize("twice", [False, True])
def test_gradients_in_every_layout(view, twice):
    """The backward program reads saved inputs where they lie, in their own strides."""

    def f(x: ng.Tensor, y: ng.Tensor) -> ng.Tensor:
        return (x.sin() * y).cos() * x.sum(-1, keepdim=True)

    compiled = ng.compile(f)

    def gradients(fn: Any) -> Any:
        x, y = (view(ng.tensor(a)).detach().requires_grad_() for a in (d, e))
        found = ng.autograd.grad(fn(x, y).sum(), [x, y], create_graph=twice)
        return ng.autograd.grad((found[0] * found[1]).sum(), [x, y]) if twice else found

    d, e = array(4, 6), array(4, 6)
    for _ in range(2):
        same(gradients(compiled), gradients(f))


def test_mixed_dtypes():
    f = ng.compile(lambda a, b, c: (a + b, a * c, (a > b).sum(), b // 2, a.double() * 2, ~c))
    args = ng.tensor(X), ng.tensor(X).long(), ng.tensor(X) > 0
    same(f(*args), f.fn(*args))


# -- what is closed over --------------------------------------------------------------------------


def test_closed_over_tensors_are_read_at_each_call():
    m, other = nn.Linear(4, 2), nn.Linear(4, 2)
    f = ng.compile(lambda x: m(x))
    x = ng.tensor(X)
    same(f(x), m(x))
    with ng.no_grad():
        m.weight.mul_(2)
    same(f(x), m(x))
    m.load_state_dict(other.state_dict())
    same(f(x), other(x))
    m.weight.data = ng.ones(2, 4)
    same(f(x), m(x))
    m.weight = nn.Parameter(ng.zeros(2, 4))
    same(f(x), m(x))
    m.requires_grad_(False)
    assert not f(x).requires_grad


def test_closed_over_tensor_of_another_shape_or_dtype_retraces():
    w = ng.ones(3)
    f = ng.compile(lambda x: x * w)
    assert f(ng.ones(3)).shape == (3,)
    w.data = ng.ones(2, 3).double()
    assert f(ng.ones(3)).shape == (2, 3) and f(ng.ones(3)).dtype == ng.float64


# -- in-place changes -----------------------------------------------------------------------------


def swap(a, b):
    t = a.clone()
    a.copy_(b)
    b.copy_(t)


def fill_local(x):
    a = ng.zeros(4)
    a += x[0]
    a[1:] *= 2
    return a


def change_through_views(x, y):
    x[0] = 5
    v = x[1:]
    v.mul_(y[1:])
    x.t()[1] += 1
    return v * 1, x.sum()


def change_data(x, y):
    x.data.add_(y)
    d = x.detach()
    d.mul_(2)
    return x + 1


@pytest.mark.parametrize(
    "fn", [lambda x, y: x.add_(y), swap, lambda x, y: fill_local(x), change_through_views,
           change_data, lambda x, y: (x.add_(1), x * 2, y.zero_())]
)  # fmt: skip
def test_changed_arguments(fn):
    check(fn, X, Y)


def test_version_counters_move():
    f = ng.compile(lambda x: x.add_(1))
    x = ng.ones(3)
    for i in range(1, 4):
        assert f(x) is x and x._version == i


def test_changed_closed_over_tensors_and_their_views():
    def make():
        w = ng.ones(3)
        v = w[1:]

        def f(x):
            w.add_(x)
            r = v * 1
            v.mul_(2)
            w[0] = 7
            return r + w.sum()

        return f, lambda: (w, v)

    twice(make, (np.float32(1),), (np.float32(2),), (np.float32(3),))


def test_parameters_changed_in_place():
    def make():
        p = nn.Parameter(ng.ones(3))

        def f(x):
            with ng.no_grad():
                p[0] = x
                p.detach().mul_(2)
            p.data -= x
            p.data = p.data * 3
            return (p * x).sum().detach()

        return f, lambda: (p,)

    twice(make, (np.float32(1),), (np.float32(2),))


def test_buffers():
    def make():
        ng.manual_seed(0)
        m = nn.BatchNorm1d(4)
        return m, lambda: list(m.buffers())

    twice(make, (X,), (Y,), (X,))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_same_tensor_twice(order):
    def f(a, b):
        a += 1
        return a * b

    def different():
        return ng.full((3,), 2.0), ng.full((3,), 3.0)

    def alike():
        x = ng.full((3,), 2.0)
        return x, x

    compiled = ng.compile(f)
    for _ in range(2):
        for i in order:
            make = (different, alike)[i]
            same(compiled(*make()), f(*make()))


def test_arguments_that_share_memory():
    def f(a, b):
        b.add_(1)
        return a * 2

    compiled = ng.compile(f)
    for _ in range(3):
        x, y = ng.ones(3), ng.ones(3)
        same(compiled(x, x[1:]), f(y, y[1:]))
        same(x, y)
        x, y = ng.ones(3), ng.ones(3)
        same(compiled(x[:2], x[1:]), f(y[:2], y[1:]))
        same(x, y)
        same(compiled(ng.ones(3), ng.ones(2)), ng.full((3,), 2.0))


def test_closed_over_tensor_as_argument():
    w = ng.ones(3)

    def f(x):
        w.add_(1)
        return x * 2

    compiled = ng.compile(f)
    assert compiled(w).tolist() == [4, 4, 4] and compiled(w).tolist() == [6, 6, 6]


def test_unknown_sharing_of_memory_is_refused():
    def f(a, b):
        b.add_(1)
        return a * 2

    x = ng.ones(3)
    with pytest.raises(RuntimeError, match=r"shares memory.*clone\(\)"):
        ng.compile(f)(x, x.detach())
    assert x.tolist() == [1, 1, 1]


# -- gradients ------------------------------------------------------------------------------------


def f_two(x, y):
    return (x.tanh() * y).sum(), x * 3, x > 0, y.detach() * x


def test_gradients_from_outside():
    compiled = ng.compile(f_two)
    for _ in range(2):
        results = []
        for f in (compiled, f_two):
            x, y = (ng.tensor(a, requires_grad=True) for a in (X, Y))
            a, b, mask, d = f(x, y)
            assert not mask.requires_grad
            results.append(ng.autograd.grad(a * 2 + (b * d).sum(), (x, y)))
        same(*results)


def test_result_that_got_no_gradient():
    x = ng.tensor(X, requires_grad=True)
    ng.compile(f_two)(x, x)[1].sum().backward()
    same(x.grad, ng.full((3, 4), 3.0))


def test_gradient_of_the_identity_is_not_the_cotangent_itself():
    x, y = (ng.ones(2, requires_grad=True) for _ in "xy")
    g = ng.ones(2)
    ng.compile(lambda x, y: x + y)(x, y).backward(g)
    x.grad += 1
    assert g.tolist() == [1, 1] and y.grad.tolist() == [1, 1]


def derivatives(f, x, y):
    first = ng.autograd.grad(f(x, y), (x, y), create_graph=True)
    second = ng.autograd.grad(
        (first[0] ** 2).sum() + (first[1] ** 3).sum(), (x, y), create_graph=True
    )
    third = ng.autograd.grad((second[0] * second[1]).sum(), (x, y))
    return [t.detach() for t in (*first, *second, *third)]


def test_higher_derivatives():
    def f(x, y):
        return (x.tanh() * y * y).sum()

    x, y = (ng.tensor(a, requires_grad=True) for a in (X, Y))
    same(derivatives(ng.compile(f), x, y), derivatives(f, x, y))


def test_second_derivative_uses_the_same_random_numbers_and_changes_nothing_again():
    x = ng.ones(50, requires_grad=True)
    calls = ng.zeros(())

    def f(x):
        calls.add_(1)
        return (ng.rand(50) * x**3).sum()

    def second(f):
        ng.manual_seed(0)
        (g,) = ng.autograd.grad(f(x), x, create_graph=True)
        return ng.autograd.grad(g.sum(), x)[0]

    compiled = ng.compile(f)
    expected = second(f)
    calls.zero_()
    for n in (1, 2):
        same(second(compiled), expected)
        assert calls.item() == n


def test_gradient_through_in_place_change_of_an_argument():
    def f(x):
        x.mul_(2)
        x.add_(x.exp())
        return x.sum()

    def run(f):
        a = ng.tensor([0.1, 0.2, 0.3], requires_grad=True)
        x = a * 3
        (f(x) + (x**2).sum()).backward()
        return a.grad

    compiled = ng.compile(f)
    for _ in range(2):
        same(run(compiled), run(f))


def test_change_after_the_call_is_noticed():
    w = nn.Parameter(ng.ones(3))
    f = ng.compile(lambda x: (w * x).sum())
    x = ng.ones(3)
    loss = f(x)
    x += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    y = ng.compile(lambda x: x.sum(0, keepdim=True).exp().cumsum(0))(w)
    y.backward(ng.ones(1))
    with pytest.raises(RuntimeError, match="second time"):
        y.backward(ng.ones(1))


def test_hooks_of_leaves_run_once():
    w = nn.Parameter(ng.ones(3))
    w.register_hook(lambda g: g * 2)
    f = ng.compile(lambda x: (w * x).sum())
    for _ in range(2):
        w.grad = None
        f(ng.ones(3)).backward()
        assert gradient(w).tolist() == [2, 2, 2]


def test_backward_inside_accumulates():
    def make():
        w = nn.Parameter(ng.ones(3))

        def f(x):
            (w * x).sum().backward()
            return x * 1

        return f, lambda: (w, w.grad)

    twice(make, *[(np.float32(i),) for i in range(4)])


def test_gradient_is_accumulated_in_the_tensor_the_user_holds():
    w = nn.Parameter(ng.ones(3))
    f = ng.compile(lambda x: (w * x).sum().backward())
    for _ in range(2):
        w.grad = None
        f(ng.tensor(2.0))
        held = gradient(w)
        f(ng.tensor(2.0))
        assert w.grad is held and held.tolist() == [4, 4, 4]


def test_gradient_of_an_argument():
    def f(w, x):
        (w * x).sum().backward()

    compiled = ng.compile(f)
    for _ in range(2):
        w = nn.Parameter(ng.ones(3))
        compiled(w, ng.tensor(2.0))
        compiled(w, ng.tensor(3.0))
        assert gradient(w).tolist() == [5, 5, 5]


def test_grad_inside():
    def f(x, y):
        (g,) = ng.autograd.grad((x**3 * y).sum(), x, create_graph=True)
        return g, (g * y).sum()

    compiled = ng.compile(f)
    results = []
    for fn in (f, compiled, compiled):
        x, y = (ng.tensor(a, requires_grad=True) for a in (X, Y))
        g, s = fn(x, y)
        results.append((g.detach(), *ng.autograd.grad(s, (x, y))))
    same(results[1], results[0])
    same(results[2], results[0])


# -- training steps -------------------------------------------------------------------------------

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr": 0.01}),
]


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_training_steps(name, options, set_to_none):
    def make():
        ng.manual_seed(0)
        m = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))
        optimizer = getattr(ng.optim, name)(m.parameters(), **options)

        def step(x, y):
            optimizer.zero_grad(set_to_none)
            loss = ((m(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        schedule = ng.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

        def state():
            schedule.step()  # the rate changes between the calls
            moments = [v for s in optimizer.state.values() for v in s.values()]
            return [list(m.parameters()), [p.grad for p in m.parameters()], moments]

        return step, state

    twice(make, *[(X, Y)] * 5)


def test_step_alone():
    w = nn.Parameter(ng.ones(3))
    optimizer = ng.optim.SGD([w], lr=1.0)
    w.grad = ng.ones(3)
    step = ng.compile(optimizer.step)
    for i in range(3):
        step()
        assert w.tolist() == [-float(i)] * 3


# -- random numbers -------------------------------------------------------------------------------


def test_random_stream_is_that_of_eager():
    def f(x):
        return x + ng.rand(3), ng.randn(2), nn.functional.dropout(ng.ones(8), 0.5)

    def run(f):
        ng.manual_seed(3)
        return [f(ng.zeros(3)) for _ in range(3)] + [ng.rand(2)]

    expected = run(f)
    compiled = ng.compile(f)
    same(run(compiled), expected)
    same(run(compiled), expected)
    assert not ng.equal(compiled(ng.zeros(3))[0], compiled(ng.zeros(3))[0])


def test_dropout_heeds_the_mode():
    m = nn.Dropout(0.5)
    compiled = ng.compile(lambda x: m(x))
    x = ng.ones(100)
    for _ in range(2):
        m.train()
        assert (compiled(x) == 0).any()
        m.eval()
        assert not (compiled(x) == 0).any()


# -- modes, nesting, errors -----------------------------------------------------------------------


def test_modes_outside_and_inside():
    f = ng.compile(lambda x: x * 2)
    x = ng.ones(3, requires_grad=True)
    for _ in range(2):
        assert f(x).requires_grad
        with ng.no_grad():
            assert not f(x).requires_grad
        with ng.inference_mode():
            assert f(x).is_inference()
        assert not f(x.detach()).requires_grad

    @ng.compile
    def g(x):
        with ng.no_grad():
            y = x * 2
        return y, x * y

    for _ in range(2):
        y, z = g(x)
        assert not y.requires_grad and z.requires_grad
        assert ng.autograd.grad(z.sum(), x)[0].tolist() == [2, 2, 2]


def test_compiled_in_compiled_and_recursion():
    inner = ng.compile(lambda x: x * 2)
    outer = ng.compile(lambda x: inner(x) + inner(x + 1))
    assert outer(ng.ones(2)).tolist() == [6, 6]

    @ng.compile
    def power(x, n):
        return x if n == 0 else x * power(x, n - 1)

    assert power(ng.full((1,), 2.0), 4).item() == 32


class Stop(Exception):
    pass


def test_exception_leaves_everything_as_it_was():
    m = nn.Linear(3, 1)
    optimizer = ng.optim.Adam(m.parameters())
    view = m.weight.detach()[0]

    @ng.compile
    def f(x):
        m(x).sum().backward()
        optimizer.step()
        view.add_(1)
        x.mul_(2)
        with ng.no_grad():
            m.weight.zero_()
            raise Stop

    before = [p.detach().clone() for p in m.parameters()]
    versions = [p._version for p in m.parameters()]
    x = ng.ones(2, 3)
    with pytest.raises(Stop):
        f(x)
    same([p.detach() for p in m.parameters()], before)
    assert all(p.grad is None for p in m.parameters())
    assert versions == [p._version for p in m.parameters()]
    assert x._version == 0 and x.tolist() == [[1] * 3] * 2 and type(view._data) is np.ndarray
    assert thread.modes.trace is None and thread.modes.grad


def test_threads_get_the_same_bits():
    m = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 8))
    f = ng.compile(lambda x: m(x).softmax(-1))
    inputs = [ng.tensor(array(n, 64)) for n in (1, 5, 300)]
    expected = [f.fn(x).detach() for x in inputs]
    results: list[list[Any]] = [[] for _ in range(4)]
    start = threading.Barrier(4)

    def work(k: int) -> None:
        start.wait()
        for _ in range(5):
            results[k].append([f(x).detach() for x in inputs])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for runs in results:
        assert len(runs) == 5
        for run in runs:
            same(run, expected)
            assert all(ng.equal(a, b) for a, b in zip(run, results[0][0], strict=True))


@pytest.mark.parametrize("threads", [2, 4])
def test_number_of_threads_does_not_change_bits(threads):
    f = ng.compile(lambda x: (x.exp().sum(), x.tanh().sum(0), x.softmax(1), x @ x.t()))
    x = ng.tensor(array(400, 300))
    before = ng.get_num_threads()
    try:
        ng.set_num_threads(1)
        one = f(x)
        ng.set_num_threads(threads)
        assert all(ng.equal(a, b) for a, b in zip(f(x), one, strict=True))
    finally:
        ng.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork():
    f = ng.compile(lambda x: (x.exp() * 2).sum(1))
    x = ng.ones(300, 300)
    expected = f(x)
    pid = os.fork()
    if pid == 0:
        ok = False
        try:
            ok = ng.equal(f(x), expected) and f(ng.ones(2, 3)).shape == (2,)
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert ng.equal(f(x), expected)


# -- errors that say where ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: 1 if x.sum() > 0 else 2,
        lambda x: x.item(),
        lambda x: x.numpy(),
        lambda x: float(x),
        lambda x: x.tolist(),
        lambda x: [1, 2][x],
        lambda x: ng.nonzero(x),
    ],
)
def test_reading_values_names_the_line(fn):
    with pytest.raises(RuntimeError) as error:
        ng.compile(fn)(ng.tensor(1))
    text = str(error.value)
    assert "ng.where" in text and f'File "{__file__}", line {fn.__code__.co_firstlineno}' in text
    assert thread.modes.trace is None


def test_tracers_can_be_printed(capsys):
    ng.compile(print)(ng.ones(2, 3))
    assert "shape=(2, 3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t + 1,
        lambda t: t.item(),
        lambda t: t.add_(1),
        lambda t: ng.compile(lambda x: x + t)(ng.ones(2)),
        lambda t: t.sum().backward(),
    ],
)
def test_leaked_tracers(use):
    kept = []

    @ng.compile
    def f(x):
        kept.append(x * 2)
        return x + 1

    f(ng.ones(2))
    with pytest.raises(RuntimeError) as error:
        use(kept[0])
    assert "Return the tensor" in str(error.value) and __file__ in str(error.value)


def test_unhashable_argument():
    with pytest.raises(TypeError, match="f: arguments that are not tensors must be hashable"):

        @ng.compile
        def f(x, k):
            return x

        f(ng.ones(1), {1, 2})
    with pytest.raises(TypeError, match="takes a function or module, got int"):
        ng.compile(3)  # type: ignore[arg-type]


def test_warning_names_the_changing_argument():
    @ng.compile
    def f(x, options):
        return x * options["rate"]

    with pytest.warns(UserWarning, match=r"f was traced .*'options'\['rate'\].*ng.tensor"):
        for i in range(20):
            f(ng.ones(1), {"rate": i / 7, "other": 1})


def test_no_warning_for_sizes_and_a_limit_for_all():
    f = ng.compile(lambda x: x + 1)
    for n in range(1, 300):
        f(ng.ones(n))
    assert sum(map(len, f._traces.entries.values())) <= 256


def test_real_part_of_what_numpy_computed():
    z = ng.tensor([1 + 2j, 3 - 1j])
    f = lambda z: (z * z).real * z  # noqa: E731
    assert ng.compile(f)(z).tolist() == f(z).tolist()


def test_nested_arguments_and_views_take_the_short_path():
    f = ng.compile(lambda params, x: (params["w"] * x + params["b"][0]).t())
    w, b, x = ng.randn(3, 4), ng.randn(4), ng.randn(3, 4)
    y = [f({"w": w, "b": [b]}, x) for _ in range(3)][-1]
    assert f._fast is not None
    assert np.array_equal(y.numpy(), (w * x + b).t().numpy())
    assert y.stride() == (1, 4)
    calls = (
        ({"w": w, "b": (b,)}, x),  # another structure
        ({"w": w, "b": [b]}, x[:2].contiguous()[:1]),  # another shape
        ({"w": w, "b": [b]}, w),  # one tensor twice
        ({"w": w, "b": [2.0]}, x),  # a number
        ({"w": w, "b": [b.clone().requires_grad_()]}, x),
        ({"w": w, "b": [b]}, x),
    )
    for params, z in calls:
        y = f(params, z)
        expected = (params["w"] * z + params["b"][0]).t()
        assert np.allclose(y.detach().numpy(), expected.detach().numpy())
    assert f({"w": w, "b": [b.requires_grad_()]}, x).requires_grad


def test_chunks_of_many_loops_begin_anywhere():
    f = ng.compile(lambda x, y: x * y)
    x = ng.randn(7, 30, 5, 2, 90).permute(4, 0, 2, 3, 1)[1:80]
    y = ng.randn(79, 1, 5, 1, 30)
    expected = (x * y).numpy()
    before = ng.get_num_threads()
    try:
        for number in (1, 2, 3):
            ng.set_num_threads(number)
            assert np.array_equal(f(x, y).numpy(), expected)
    finally:
        ng.set_num_threads(before)


@pytest.mark.parametrize("options", [{}, {"dtype": ng.float64}])
def test_tensor_of_a_traced_tensor_is_a_copy(options):
    def f(x):
        with pytest.warns(UserWarning, match="copy construct"):
            y = ng.tensor(x, **options)
        x += 1
        return y * 2, y.is_leaf

    same(ng.compile(f)(ng.tensor(X)), f(ng.tensor(X)))


def test_only_single_native_calls_share_an_arena():
    """A profiled call runs kernel by kernel: between two of them others may run the program."""
    compiled = ng.compile(lambda x: (x @ x).exp() @ x)
    x = ng.ones(3, 3)
    compiled(x)
    (traced,) = compiled._latest()
    executable = traced.forward
    assert executable.direct is not None and executable.plan.arena
    first, second = executable.slots([x.numpy()])[-1], executable.slots([x.numpy()])[-1]
    assert first is not second and not np.shares_memory(first, second)
    behind = executable.fresh_slots()
    assert behind()[-1] is behind()[-1] and behind()[0] is not behind()[0]
