"""What a compiled function does beside computing: random streams, hooks, state of objects."""

import copy

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import nn
from numbagrad.utils.checkpoint import checkpoint


def both(make, *args, calls=2):
    """What the function gives eager and compiled, and where the generator stands then."""
    outcomes = []
    for wrap in (lambda f: f, ng.compile):
        ng.manual_seed(3)
        fn = wrap(make())
        outcomes.append([fn(*args) for _ in range(calls)] + [ng.rand(2)])
    return outcomes


def assert_same(a, b):
    if isinstance(a, ng.Tensor):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6)
        return
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert_same(x, y)


# -- random streams ---------------------------------------------------------------------------


def seeded(x):
    first = ng.rand(2)
    ng.manual_seed(7)
    return first, x * ng.rand(2)


def own_generator(x):
    generator = ng.Generator()
    first = ng.rand(2, generator=generator)
    generator.manual_seed(3)
    return first, ng.rand(2, generator=generator), x * ng.rand(2)


def forked(x):
    with ng.random.fork_rng():
        ng.manual_seed(1)
        inner = ng.rand(2)
    return inner, x * ng.rand(2)


def gone_back(x):
    state = ng.get_rng_state()
    first = ng.rand(2)
    ng.set_rng_state(state)
    return first, x * ng.rand(2), state


@pytest.mark.parametrize("fn", [seeded, own_generator, forked, gone_back])
def test_random_streams_are_moved_as_in_eager_code(fn):
    eager, compiled = both(lambda: fn, ng.ones(2))
    assert_same(eager, compiled)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_draws_the_same_numbers_again(reentrant):
    def make():
        x = ng.arange(1.0, 21.0).requires_grad_()

        def fn():
            x.grad = None
            y = checkpoint(
                lambda x: nn.functional.dropout(x * x, 0.5).sum(), x, use_reentrant=reentrant
            )
            y.backward()
            assert x.grad is not None
            return y.detach(), x.grad.clone()

        return fn

    eager, compiled = both(make)
    assert_same(eager, compiled)


def test_a_state_from_outside_is_refused():
    state = ng.get_rng_state()

    @ng.compile
    def fn(x):
        ng.set_rng_state(state)
        return x * ng.rand(2)

    with pytest.raises(RuntimeError, match=r"before the call\n.*test_compile_state"):
        fn(ng.ones(2))


# -- hooks of modules -------------------------------------------------------------------------


def test_hooks_that_come_and_go_are_noticed():
    m = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    x = ng.ones(2)
    compiled = ng.compile(m)
    assert_same(m(x), compiled(x))
    pre = m[0].register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    assert_same(m(x), compiled(x))
    post = m[1].register_forward_hook(lambda m, args, out: out * 2)
    assert_same(m(x), compiled(x))
    pre.remove()
    assert_same(m(x), compiled(x))
    post.remove()
    assert_same(m(x), compiled(x))


def test_hooks_of_other_modules_cost_no_trace():
    m = nn.Linear(2, 2)
    compiled = ng.compile(m)
    compiled(ng.ones(2))
    traces = list(compiled._traces.signatures)
    nn.Linear(2, 2).register_forward_hook(lambda m, args, out: None)
    compiled(ng.ones(2))
    assert compiled._traces.signatures == traces


# -- leaves and histories -----------------------------------------------------------------------


def test_a_leaf_made_inside_gets_gradients_outside():
    @ng.compile
    def fn(x):
        w = x.detach().requires_grad_()
        return w, (w * w).sum() + x.sum()

    x = ng.ones(2, requires_grad=True)
    w, y = fn(x)
    assert w.is_leaf and w.requires_grad
    y.backward()
    assert w.grad is not None and w.grad.tolist() == [2, 2]
    assert x.grad is not None and x.grad.tolist() == [1, 1]


def test_a_functional_update_can_be_fed_back():
    @ng.compile
    def step(w):
        (g,) = ng.autograd.grad((w**2).sum(), w)
        return (w - 0.25 * g).detach().requires_grad_()

    w = ng.ones(2, requires_grad=True)
    for _ in range(3):
        w = step(w)
    assert w.tolist() == [0.125, 0.125]


def test_a_loss_whose_backward_ran_inside_says_so():
    w = ng.ones(2, requires_grad=True)

    @ng.compile
    def step(x):
        loss = (w * x).sum()
        loss.backward()
        return loss

    loss = step(ng.ones(2))
    assert loss.requires_grad and not loss.is_leaf
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


def test_what_a_call_cannot_repeat_is_refused():
    w = ng.ones(2, 3)

    def reshape_argument(x):
        x.t_()
        return x

    def reshape_closed_over(x):
        w.unsqueeze_(0)
        return x

    def flag(x):
        x.requires_grad_()
        return (x * x).sum()

    for fn, message in (
        (reshape_argument, r"use t\(\)"), (reshape_closed_over, "use unsqueeze"), (flag, "before"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=message):
            ng.compile(fn)(ng.ones(2, 3))
    assert w.shape == (2, 3)


@pytest.mark.parametrize("wrap", [lambda f: f, ng.compile])
def test_gradients_do_not_pass_what_closed_over_tensors_were_made_of(wrap):
    w = ng.ones(2, requires_grad=True)
    y = w * w * w
    fn = wrap(lambda x: (y * w * w * x).sum())
    (g,) = ng.autograd.grad(fn(ng.ones(2)), w, create_graph=True)
    assert g.tolist() == [5, 5]
    (h,) = ng.autograd.grad(g.sum(), w)
    assert h.tolist() == [20, 20]


def test_generators_are_refused():
    @ng.compile
    def fn(x):
        yield x * 2

    with pytest.raises(TypeError, match=r"test_compile_state.py:\d+.*return a list"):
        fn(ng.ones(2))


# -- tensors that objects hold ------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("count", ng.zeros(()))
        self.hidden = ng.zeros(2)

    def forward(self, x):
        self.count = self.count + 1
        self.hidden = ng.tanh(self.linear(x) + self.hidden).detach()
        return self.hidden * self.count


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Recurrent()

    def forward(self, x):
        return self.inner(x) * 2


@pytest.mark.parametrize("make", [Recurrent, Stack])
def test_state_that_a_call_binds_anew_is_kept(make):
    outcomes = []
    for compiled in (False, True):
        ng.manual_seed(0)
        m = make()
        fn = ng.compile(m) if compiled else m
        inner = m if make is Recurrent else m.inner
        found = [fn(ng.ones(2)) for _ in range(3)]
        if compiled:
            assert len(fn._traces.signatures) == 1
        inner.hidden = ng.ones(2)
        outcomes.append([*found, fn(ng.ones(2)), inner.hidden, inner.count])
    assert_same(*outcomes)


def test_state_with_a_history_carries_gradients():
    gradients = []
    for wrap in (lambda f: f, ng.compile):
        w = ng.full((2,), 0.5, requires_grad=True)
        state = {"h": ng.zeros(2)}

        def step(x, w=w, state=state):
            state["h"] = state["h"] * w + x
            return state["h"].sum()

        fn = wrap(step)
        fn(ng.ones(2))
        fn(ng.ones(2))
        fn(ng.ones(2)).backward()
        assert w.grad is not None
        gradients.append(w.grad)
    assert_same(*gradients)


def test_a_compiled_module_is_a_child_of_the_module_that_holds_it():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = ng.compile(nn.Linear(2, 2))

        def forward(self, x):
            return self.block(x) * 2

    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["block.weight", "block.bias"]
    net(ng.ones(2)).sum().backward()
    assert net.block.weight.grad is not None
    net.block = None
    assert list(net.parameters()) == [] and net.block is None
    net.block = ng.compile(nn.Linear(2, 2))
    net.block = plain = nn.Linear(2, 2)
    assert net.block is plain
    net.block = ng.compile(plain)
    del net.block
    assert not hasattr(net, "block")


def test_a_module_that_holds_one_as_fn_is_an_ordinary_child():
    class Residual(nn.Module):
        def __init__(self, fn):
            super().__init__()
            self.fn = fn

    net = nn.Module()
    net.block = Residual(nn.Linear(2, 2))
    assert [name for name, _ in net.named_parameters()] == ["block.fn.weight", "block.fn.bias"]


def test_a_trace_that_fails_leaves_no_state_changed():
    class Counter:
        total = None

    counter = Counter()
    counter.total = ng.zeros(2)

    @ng.compile
    def add(x):
        counter.total = counter.total + x
        raise ValueError("after the change")

    with pytest.raises(ValueError, match="after the change"):
        add(ng.ones(2))
    assert counter.total.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("make", [
    lambda p: ng.optim.Adam(p, lr=0.1),
    lambda p: ng.optim.SGD(p, lr=0.1, momentum=0.9),
])  # fmt: skip
def test_a_compiled_step_follows_the_optimizer(make):
    def train(compiled):
        w, v = (ng.ones(2, requires_grad=True) for _ in range(2))
        optimizer = make([w])

        def step():
            optimizer.zero_grad()
            (w * v).square().sum().backward()
            optimizer.step()

        run = ng.compile(step) if compiled else step
        seen = []

        def steps():
            for _ in range(3):
                run()
                seen.append([*w.tolist(), *v.tolist()])

        steps()
        saved = copy.deepcopy(optimizer.state_dict())
        steps()
        optimizer.load_state_dict(saved)
        steps()
        optimizer.state.clear()
        steps()
        optimizer.add_param_group({"params": [v], "lr": 0.5})
        steps()
        optimizer.param_groups[0]["params"].clear()
        steps()
        return seen

    assert np.allclose(train(True), train(False), rtol=1e-5)


def test_a_compiled_step_follows_an_optimizer_that_counts_in_python():
    class Counting(ng.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 1.0})

        def _update(self, group):
            for p in group["params"]:
                state = self.state[p]
                state["step"] = state.get("step", 0) + 1
                p.sub_(p.grad * state["step"])

    w = ng.zeros(1, requires_grad=True)
    optimizer = Counting([w])

    @ng.compile
    def step():
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    for _ in range(4):
        step()
    assert w.tolist() == [-10]
