"""Every optimizer and schedule takes the same steps as PyTorch's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import numbagrad as ng

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


def _grid(**options: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [
        dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())
    ]


DECAYS = (0, 0.1)
SIGNS = (False, True)
CASES = {
    "SGD": [
        *_grid(lr=(0.1,), momentum=(0, 0.9), dampening=(0, 0.3), weight_decay=DECAYS,
               maximize=SIGNS),
        *_grid(lr=(0.1,), momentum=(0.9,), nesterov=(True,), weight_decay=DECAYS, maximize=SIGNS),
    ],
    "Adam": _grid(lr=(0.1,), weight_decay=DECAYS, amsgrad=SIGNS, maximize=SIGNS,
                  betas=((0.9, 0.999), (0.3, 0.6))),
    "AdamW": _grid(lr=(0.1,), weight_decay=(0, 0.01, 0.3), amsgrad=SIGNS, maximize=SIGNS),
    "RMSprop": _grid(lr=(0.1,), momentum=(0, 0.9), centered=SIGNS, weight_decay=DECAYS,
                     maximize=SIGNS, alpha=(0.9,)),
    "Adagrad": _grid(lr=(0.1,), lr_decay=(0, 0.1), weight_decay=DECAYS, maximize=SIGNS,
                     initial_accumulator_value=(0, 0.2)),
    "Adadelta": _grid(lr=(1.0,), rho=(0.9, 0.5), weight_decay=DECAYS, maximize=SIGNS),
    "Adamax": _grid(lr=(0.1,), weight_decay=DECAYS, maximize=SIGNS, betas=((0.9, 0.999),)),
    "NAdam": _grid(lr=(0.1,), weight_decay=DECAYS, maximize=SIGNS,
                   decoupled_weight_decay=SIGNS, momentum_decay=(4e-3, 0.1)),
    "RAdam": _grid(lr=(0.1,), weight_decay=DECAYS, maximize=SIGNS,
                   decoupled_weight_decay=SIGNS, betas=((0.9, 0.999), (0.5, 0.9))),
    "Rprop": _grid(lr=(0.01, 0.3), etas=((0.5, 1.2), (0.3, 2.0)), step_sizes=((1e-2, 0.5),),
                   maximize=SIGNS),
    "ASGD": _grid(lr=(0.1,), lambd=(1e-4, 0.1), alpha=(0.75,), t0=(1e6, 2), weight_decay=DECAYS,
                  maximize=SIGNS),
}  # fmt: skip
PARAMETERS = [(name, options) for name, cases in CASES.items() for options in cases]


def _start(dtype: Any) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(dtype) for s in ((3, 4), (4,), ())]


def _step(library: Any, params: list[Any]) -> None:
    """One forward and backward pass whose loss depends on every parameter."""
    a, b, c = params
    loss = ((a * library.sin(b) + c) ** 2).sum() + (b**3).sum() * c
    for p in params:
        p.grad = None
    loss.backward()


def _arrays(params: list[Any]) -> list[np.ndarray[Any, Any]]:
    return [p.detach().numpy() for p in params]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), PARAMETERS)
def test_steps(name: str, options: dict[str, Any], dtype: str) -> None:
    theirs = [torch.from_numpy(a.copy()).requires_grad_() for a in _start(dtype)]
    ours = [ng.from_numpy(a.copy()).requires_grad_() for a in _start(dtype)]
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    our_optimizer = getattr(ng.optim, name)(ours, **options)
    rtol = 1e-4 if dtype == "float32" else 1e-10
    for step in range(6):
        # The same gradients for both, so that rounding errors do not grow.
        _step(torch, theirs)
        for p, q in zip(ours, theirs, strict=True):
            p.grad = ng.from_numpy(q.grad.numpy().copy())
        their_optimizer.step()
        our_optimizer.step()
        for a, b in zip(_arrays(ours), _arrays(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol, rtol, err_msg=f"step {step}")


@pytest.mark.parametrize(("name", "options"), [(n, c[-1]) for n, c in CASES.items()])
def test_state_dict(name: str, options: dict[str, Any]) -> None:
    """The state has the same keys, and what PyTorch saved can be loaded."""
    theirs = [torch.from_numpy(a).requires_grad_() for a in _start("float64")]
    ours = [ng.from_numpy(a).requires_grad_() for a in _start("float64")]
    their_optimizer = getattr(torch.optim, name)(theirs, **options)
    our_optimizer = getattr(ng.optim, name)(ours, **options)
    _step(torch, theirs)
    _step(ng, ours)
    their_optimizer.step()
    our_optimizer.step()
    expected, found = their_optimizer.state_dict(), our_optimizer.state_dict()
    assert {k: set(v) for k, v in found["state"].items()} == {
        k: set(v) for k, v in expected["state"].items()
    }
    group, their_group = found["param_groups"][0], expected["param_groups"][0]
    assert {k: group[k] for k in their_group} == their_group
    converted = {
        k: {n: ng.from_numpy(t.numpy().copy()) for n, t in v.items()}
        for k, v in expected["state"].items()
    }
    for p, q in zip(ours, theirs, strict=True):
        p.data = ng.from_numpy(q.detach().numpy().copy())
    our_optimizer.load_state_dict({"state": converted, "param_groups": expected["param_groups"]})
    _step(torch, theirs)
    _step(ng, ours)
    their_optimizer.step()
    our_optimizer.step()
    for a, b in zip(_arrays(ours), _arrays(theirs), strict=True):
        # NAdam's product of momenta is float32 until it is loaded.
        np.testing.assert_allclose(a, b, 1e-7)


SCHEDULES: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 3, "gamma": 0.5},
    "MultiStepLR": {"milestones": [2, 5, 5, 9]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 5, "eta_min": 0.01},
    "LambdaLR": {"lr_lambda": lambda step: 1 / (1 + step)},
    "MultiplicativeLR": {"lr_lambda": lambda step: 0.9**step},
    "ConstantLR": {"total_iters": 4},
    "LinearLR": {"total_iters": 4, "end_factor": 0.5},
    "SWALR": {"swa_lr": 0.05, "anneal_epochs": 5},
    "SWALR linear": {"swa_lr": [0.05, 0.3], "anneal_epochs": 0, "anneal_strategy": "linear"},
}


def _schedule(library: Any, name: str) -> Any:
    if name.startswith("SWALR"):
        return library.optim.swa_utils.SWALR
    return getattr(library.optim.lr_scheduler, name)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    rates = []
    for library in (ng, torch):
        groups = [{"params": [library.ones(2, requires_grad=True)], "lr": lr} for lr in (0.1, 0.5)]
        optimizer = library.optim.SGD(groups, lr=1.0)
        scheduler = _schedule(library, name)(optimizer, **SCHEDULES[name])
        found = [scheduler.get_last_lr()]
        for _ in range(14):
            optimizer.step()
            scheduler.step()
            found.append(scheduler.get_last_lr())
        rates.append(found)
    np.testing.assert_allclose(rates[0], rates[1], 1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_reduce_on_plateau(mode: str, threshold_mode: str) -> None:
    metrics = np.random.default_rng(1).standard_normal(40).cumsum()
    rates = []
    for library in (ng, torch):
        optimizer = library.optim.SGD([library.ones(1, requires_grad=True)], lr=1.0)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, factor=0.5, patience=2, threshold=0.05,
            threshold_mode=threshold_mode, cooldown=1, min_lr=0.01,
        )  # fmt: skip
        found = []
        for m in metrics:
            scheduler.step(m)
            found.append(optimizer.param_groups[0]["lr"])
        rates.append(found)
    np.testing.assert_allclose(rates[0], rates[1], 1e-12)


def _rosenbrock(library: Any, p: Any) -> Any:
    return (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 1e-3},
        {"lr": 0.5, "max_iter": 4, "history_size": 2, "line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 30, "max_eval": 6},
    ],
)
def test_lbfgs(options: dict[str, Any]) -> None:
    paths: list[Any] = []
    states = []
    for library in (ng, torch):
        p = library.tensor([-1.2, 1.0, 0.7], dtype=library.float64, requires_grad=True)
        optimizer = library.optim.LBFGS([p], **options)
        path = []

        def closure(p=p, optimizer=optimizer, path=path, library=library) -> Any:
            optimizer.zero_grad()
            loss = _rosenbrock(library, p)
            loss.backward()
            path.append([loss.item(), *p.tolist()])
            return loss

        for _ in range(4):
            path.append([optimizer.step(closure).item(), *p.tolist()])
        paths.append(path)
        states.append(optimizer.state_dict())
    assert len(paths[0]) == len(paths[1])
    np.testing.assert_allclose(paths[0], paths[1], 1e-6)
    # "al" holds what is computed anew at each iteration.
    assert set(states[0]["state"][0]) == set(states[1]["state"][0]) - {"al"}
    assert states[0]["param_groups"] == states[1]["param_groups"]


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("average", [None, "get_ema_avg_fn", "get_ema_multi_avg_fn"])
def test_averaged_model(use_buffers: bool, average: str | None) -> None:
    results: list[Any] = []
    for library in (ng, torch):
        swa = library.optim.swa_utils
        options: dict[str, Any] = {"use_buffers": use_buffers}
        if average:
            options["multi_avg_fn" if "multi" in average else "avg_fn"] = getattr(swa, average)(0.7)
        model = library.nn.Sequential(library.nn.Linear(2, 3), library.nn.BatchNorm1d(3))
        averaged = swa.AveragedModel(model, **options)
        x = library.arange(8.0).reshape(4, 2)
        for i in range(4):
            with library.no_grad():
                for p in model.parameters():
                    p.copy_(library.arange(float(p.numel())).reshape(p.shape) * (i * i - 1))
            model(x + i)
            averaged.update_parameters(model)
        swa.update_bn([(x,), (x * 2,)], averaged)
        results.append({k: v.numpy() for k, v in averaged.state_dict().items()})
    assert list(results[0]) == list(results[1])
    for key, value in results[0].items():
        np.testing.assert_allclose(value, results[1][key], 1e-5, err_msg=key)
