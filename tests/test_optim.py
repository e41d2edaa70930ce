"""Optimizers and schedules: updates by the book, groups, state, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad import optim

ALL: list[tuple[type[optim.Optimizer], dict[str, Any]]] = [
    (optim.SGD, {"lr": 0.05}),
    (optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    (optim.SGD, {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    (optim.Adam, {"lr": 0.1}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True}),
    (optim.AdamW, {"lr": 0.1, "weight_decay": 1e-4}),
    (optim.RMSprop, {"lr": 0.02}),
    (optim.RMSprop, {"lr": 0.01, "momentum": 0.5, "centered": True}),
    (optim.Adagrad, {"lr": 0.5}),
    (optim.Adadelta, {"lr": 10.0, "eps": 1e-4}),
    (optim.Adamax, {"lr": 0.1}),
    (optim.NAdam, {"lr": 0.1}),
    (optim.RAdam, {"lr": 0.1, "betas": (0.9, 0.99)}),
    (optim.Rprop, {"lr": 0.1}),
    (optim.ASGD, {"lr": 0.05}),
    (optim.ASGD, {"lr": 0.05, "t0": 3, "weight_decay": 1e-3}),
]


def quadratic(p: ng.Tensor) -> ng.Tensor:
    return ((p - ng.tensor([1.0, -2.0])) ** 2).sum()


@pytest.mark.parametrize(("cls", "options"), ALL)
def test_minimises(cls, options):
    p = ng.zeros(2, requires_grad=True)
    optimizer = cls([p], **options)
    for _ in range(300):
        optimizer.zero_grad()
        quadratic(p).backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), [1, -2], atol=0.05)


@pytest.mark.parametrize(("cls", "options"), ALL)
def test_maximize_is_the_mirror_image(cls, options):
    if cls is not optim.Rprop:  # which has no decay
        options = {**options, "weight_decay": 0}
    results = []
    for sign in (1, -1):
        p = ng.zeros(2, requires_grad=True)
        optimizer = cls([p], maximize=sign < 0, **options)
        for _ in range(5):
            optimizer.zero_grad()
            (sign * quadratic(p)).backward()
            optimizer.step()
        results.append(p.detach().numpy())
    np.testing.assert_allclose(results[0], results[1], 1e-6)


@pytest.mark.parametrize(("cls", "options"), ALL)
def test_state_dict_continues(cls, options):
    def steps(optimizer, p, n):
        for _ in range(n):
            optimizer.zero_grad()
            quadratic(p).backward()
            optimizer.step()

    p = ng.zeros(2, requires_grad=True)
    first = cls([p], **options)
    steps(first, p, 3)
    q = p.detach().clone().requires_grad_()
    second = cls([q], **{**options, "lr": 123.0})
    second.load_state_dict(first.state_dict())
    steps(first, p, 3)
    steps(second, q, 3)
    assert ng.equal(p, q)


@pytest.mark.parametrize(("cls", "options"), ALL)
def test_state_is_found_by_name(cls, options):
    """Whoever saves a state may sort its entries."""
    orders = [dict, lambda state: dict(sorted(state.items())), lambda s: dict(reversed(s.items()))]
    results = []
    for order in orders:
        p = ng.tensor([1.0, -2.0], requires_grad=True)
        optimizer = cls([p], **options)
        for _ in range(3):
            optimizer.zero_grad()
            (p**2).sum().backward()
            optimizer.step()
            saved = optimizer.state_dict()
            saved["state"] = {n: order(state) for n, state in saved["state"].items()}
            optimizer.load_state_dict(saved)
        results.append(p.tolist())
    assert results[0] == results[1] == results[2]


def test_adam_by_the_book():
    p = ng.tensor([1.0, 2.0], dtype=ng.float64, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1, betas=(0.8, 0.9), eps=1e-3)
    x, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    for t in range(1, 6):
        g = np.cos(x)
        p.grad = ng.from_numpy(g.copy())
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        x = x - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-3)
        np.testing.assert_allclose(p.detach().numpy(), x, 1e-12)


@pytest.mark.parametrize(("cls", "options"), ALL)
def test_counts_versions(cls, options):
    """A backward pass through what was computed before the step reports the change."""
    p = ng.ones(2, requires_grad=True)
    loss = (p * p).sum()
    p.grad = ng.ones(2)
    cls([p], **options).step()
    assert p._version > 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parameters_without_gradient_stay():
    p, q = ng.ones(1, requires_grad=True), ng.ones(1, requires_grad=True)
    optimizer = optim.Adam([p, q])
    p.grad = ng.ones(1)
    optimizer.step()
    assert q.item() == 1 and p.item() < 1
    assert list(optimizer.state_dict()["state"]) == [0]


def test_parameter_that_is_a_view():
    """Steps through a view change the base."""
    base = ng.zeros(4)
    p = base[:2].detach().requires_grad_()
    p.grad = ng.ones(2)
    optim.SGD([p], lr=1.0).step()
    assert base.tolist() == [-1, -1, 0, 0]


def test_groups():
    p, q, r = (ng.ones(1, requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([{"params": [p]}, {"params": q, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [r], "lr": 1.0})
    for t in (p, q, r):
        t.grad = ng.ones(1)
    optimizer.step()
    assert [round(t.item(), 6) for t in (p, q, r)] == [0.9, 0.5, 0]
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is not None and p.grad.item() == 0
    optimizer.zero_grad()
    assert p.grad is None
    assert "Parameter Group 1" in repr(optimizer)


def test_named_parameters():
    layer = ng.nn.Linear(2, 1)
    optimizer = optim.SGD(layer.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]


def test_closure():
    p = ng.zeros(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = quadratic(p)
        loss.backward()
        return loss

    with ng.no_grad():
        assert optimizer.step(closure).item() == 5
    assert p.tolist() == pytest.approx([0.2, -0.4])


P = ng.ones(2, requires_grad=True)
ERRORS: list[tuple[type[Exception], str, Any]] = [
    (ValueError, "empty parameter list", lambda: optim.SGD([])),
    (TypeError, "iterable of Tensors", lambda: optim.SGD(P)),
    (TypeError, "can only optimize Tensors", lambda: optim.SGD([1.0])),
    (ValueError, "non-leaf", lambda: optim.SGD([P * 2])),
    (ValueError, "more than one", lambda: optim.SGD([{"params": [P]}, {"params": [P]}])),
    (ValueError, "learning rate: -1", lambda: optim.SGD([P], lr=-1)),
    (ValueError, "momentum", lambda: optim.SGD([P], momentum=-1)),
    (ValueError, "Nesterov", lambda: optim.SGD([P], nesterov=True)),
    (ValueError, "index 1", lambda: optim.Adam([P], betas=(0.9, 1.0))),
    (ValueError, "epsilon", lambda: optim.AdamW([P], eps=-1)),
    (ValueError, "alpha", lambda: optim.RMSprop([P], alpha=-1)),
    (ValueError, "lr_decay", lambda: optim.Adagrad([P], lr_decay=-1)),
    (ValueError, "eta values: 1.5", lambda: optim.Rprop([P], etas=(1.5, 1.2))),
    (ValueError, "weight_decay", lambda: optim.ASGD([P], weight_decay=-1)),
    (NotImplementedError, "differentiable", lambda: optim.Adam([P], differentiable=True)),
    (TypeError, "not an Optimizer", lambda: optim.lr_scheduler.StepLR(P, 1)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("error", "text", "call"), ERRORS, ids=[e[1] for e in ERRORS])
def test_errors(error, text, call):
    with pytest.raises(error, match=text):
        call()


def test_state_of_another_model_is_refused():
    optimizer = optim.SGD([P])
    other = optim.SGD([ng.ones(1, requires_grad=True), ng.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="doesn't match the size"):
        optimizer.load_state_dict(other.state_dict())


# -- schedules ------------------------------------------------------------------------------------


def rates(make: Any, n: int = 8) -> list[float]:
    optimizer = optim.SGD([ng.ones(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


S = optim.lr_scheduler


@pytest.mark.parametrize(
    ("make", "closed"),
    [
        (lambda o: S.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
        (lambda o: S.MultiStepLR(o, [2, 5], 0.1), lambda t: 0.1 ** ((t >= 2) + (t >= 5))),
        (lambda o: S.ExponentialLR(o, 0.9), lambda t: 0.9**t),
        (lambda o: S.CosineAnnealingLR(o, 3, 0.2),
         lambda t: 0.2 + 0.4 * (1 + math.cos(math.pi * t / 3))),
        (lambda o: S.LambdaLR(o, lambda t: 1 / (t + 1)), lambda t: 1 / (t + 1)),
        (lambda o: S.MultiplicativeLR(o, lambda t: 0.5), lambda t: 0.5**t),
        (lambda o: S.ConstantLR(o, 0.5, 3), lambda t: 0.5 if t < 3 else 1),
        (lambda o: S.LinearLR(o, 0.5, 1.0, 4), lambda t: min(1, 0.5 + t / 8)),
    ],
)  # fmt: skip
def test_schedules(make, closed):
    np.testing.assert_allclose(rates(make), [closed(t) for t in range(8)], 1e-9)


@pytest.mark.parametrize(("cls", "options"), [ALL[2], ALL[4], ALL[7], *ALL[8:]])
def test_compiled_steps(cls, options):
    eager, compiled = (ng.tensor([3.0, 4.0], requires_grad=True) for _ in range(2))
    first, second = cls([eager], **options), cls([compiled], **options)

    @ng.compile
    def step():
        second.zero_grad()
        quadratic(compiled).backward()
        second.step()

    for _ in range(12):
        first.zero_grad()
        quadratic(eager).backward()
        first.step()
        step()
    np.testing.assert_allclose(compiled.detach().numpy(), eager.detach().numpy(), 1e-5)


def test_a_schedule_before_the_optimizer_warns():
    optimizer = optim.SGD([ng.ones(1, requires_grad=True)], lr=1.0)
    scheduler = S.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda o: S.StepLR(o, 1),
        lambda o: S.CosineAnnealingWarmRestarts(o, 2),
        lambda o: S.SequentialLR(o, [S.StepLR(o, 1), S.StepLR(o, 2)], [1]),
        lambda o: S.ChainedScheduler([S.StepLR(o, 1)]),
    ],
)
def test_a_compiled_function_does_not_step_a_schedule(make):
    p = ng.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    schedule = make(optimizer)
    epoch, rate = getattr(schedule, "last_epoch", None), optimizer.param_groups[0]["lr"]
    with pytest.raises(RuntimeError, match="call it after the compiled function"):
        ng.compile(schedule.step)()
    assert (getattr(schedule, "last_epoch", None), optimizer.param_groups[0]["lr"]) == (epoch, rate)


def test_hooks_of_an_optimizer_with_a_step_of_its_own():
    class Own(optim.Optimizer):
        def step(self, closure=None):
            log.append("step")

    log = []
    optimizer = Own([ng.ones(1, requires_grad=True)], {})
    optimizer.register_step_post_hook(lambda *_: log.append("post"))
    with optimizer.register_step_pre_hook(lambda *_: log.append("pre")):
        optimizer.step()
    optimizer.step()
    assert log == ["pre", "step", "post", "step", "post"]


def test_lbfgs_goes_on_from_its_state():
    def make(start):
        p = ng.tensor(start, dtype=ng.float64, requires_grad=True)
        optimizer = optim.LBFGS([p], max_iter=3, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
            loss.backward()
            return loss

        return p, optimizer, closure

    p, optimizer, closure = make([-1.0, 1.5])
    for _ in range(2):
        optimizer.step(closure)
    q, other, again = make(p.tolist())
    other.load_state_dict(optimizer.state_dict())
    for _ in range(2):
        optimizer.step(closure)
        other.step(again)
    np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())


def test_a_line_search_that_meets_nan_ends():
    p = ng.tensor([3.0], requires_grad=True)
    optimizer = optim.LBFGS([p], lr=10.0, line_search_fn="strong_wolfe", max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = p.sqrt().sum()  # NaN on the other side of 0
        loss.backward()
        return loss

    optimizer.step(closure)
    assert optimizer.state[p]["func_evals"] <= 8


def test_a_prepended_hook_runs_first():
    optimizer = optim.SGD([ng.ones(1, requires_grad=True)], lr=1.0)
    log = []
    optimizer.register_state_dict_pre_hook(lambda _: log.append("later"))
    optimizer.register_state_dict_pre_hook(lambda _: log.append("first"), prepend=True)
    optimizer.state_dict()
    assert log == ["first", "later"]


def test_schedule_state():
    optimizer = optim.SGD([ng.ones(1, requires_grad=True)], lr=1.0)
    scheduler = S.StepLR(optimizer, 2, 0.5)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    other = S.StepLR(optim.SGD([ng.ones(1, requires_grad=True)], lr=1.0), 2, 0.5)
    other.load_state_dict(scheduler.state_dict())
    assert other.last_epoch == 3 and other.get_last_lr() == [0.5]


def test_reduce_on_plateau():
    optimizer = optim.SGD([ng.ones(1, requires_grad=True)], lr=1.0)
    scheduler = S.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    for loss in (1.0, 0.5, 0.6, 0.6, 0.6, 0.6):
        scheduler.step(ng.tensor(loss))
    assert scheduler.get_last_lr() == [0.25]


# -- averages -------------------------------------------------------------------------------------


def test_averaged_model_is_the_mean():
    model = ng.nn.Linear(1, 1, bias=False)
    mean = optim.swa_utils.AveragedModel(model)
    moving = optim.swa_utils.AveragedModel(model, avg_fn=optim.swa_utils.get_ema_avg_fn(0.5))
    for value in (1.0, 2.0, 6.0):
        with ng.no_grad():
            model.weight.fill_(value)
        mean.update_parameters(model)
        moving.update_parameters(model)
    assert mean.module.weight.item() == 3
    assert moving.module.weight.item() == 3.75
    assert mean(ng.ones(1)).item() == 3
    with pytest.raises(ValueError, match="Invalid decay value 2"):
        optim.swa_utils.get_ema_avg_fn(2)


def test_statistics_of_all_batches():
    model = ng.nn.BatchNorm1d(1).eval()
    batches = [ng.tensor([[1.0], [3.0]]), ng.tensor([[5.0], [7.0]])]
    optim.swa_utils.update_bn(batches, model)
    assert model.running_mean is not None
    assert (model.running_mean.item(), model.momentum, model.training) == (4, 0.1, False)


def test_swalr_goes_to_its_rate():
    swalr = optim.swa_utils.SWALR
    found = rates(lambda o: swalr(o, 0.2, anneal_epochs=4, anneal_strategy="linear"))
    np.testing.assert_allclose(found, [1, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2, 0.2])
    optimizer = optim.SGD([P], lr=1.0)
    with pytest.raises(ValueError, match="must be one of"):
        swalr(optimizer, 0.2, anneal_strategy="exp")
    with pytest.raises(ValueError, match="must be equal or greater"):
        swalr(optimizer, 0.2, anneal_epochs=-1)
    assert "swa_lr" not in optimizer.param_groups[0]
