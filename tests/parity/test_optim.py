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
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    rates = []
    for library in (ng, torch):
        groups = [{"params": [library.ones(2, requires_grad=True)], "lr": lr} for lr in (0.1, 0.5)]
        optimizer = library.optim.SGD(groups, lr=1.0)
        scheduler = getattr(library.optim.lr_scheduler, name)(optimizer, **SCHEDULES[name])
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
