"""Rprop and averaged SGD."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import full_like, ones, tensor, zeros_like
from ..ops.elementwise import where
from ..tensor import Tensor
from .optimizer import Optimizer, as_number, checked_number, unsupported
from .per_parameter import PerParameter, Start, decayed, no_steps


def _choose(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y: for arrays, tensors and numbers."""
    if isinstance(condition, Tensor):
        return where(condition, x, y)
    return np.where(condition, x, y) if isinstance(condition, np.ndarray) else x if condition else y


def _sign(x: Any) -> Any:
    return x.sign() if isinstance(x, Tensor) else np.sign(x)


def _first_rate(optimizer: Optimizer, group: dict[str, Any]) -> float:
    """The rate of a group as a number, in a compiled step too: new state is made before it runs."""
    own = next(g for g in optimizer.param_groups if g["params"] is group["params"])
    return float(own["lr"])


def _rprop(p: Any, steps: Any, before: Any, size: Any, g: Any, o: dict[str, Any]) -> None:
    less, more = o["etas"]
    smallest, largest = o["step_sizes"]
    steps += 1
    if o["maximize"]:
        g = -g
    turn = _sign(g * before)
    new = _choose(turn > 0, size * more, _choose(turn < 0, size * less, size))
    size[...] = _choose(new < smallest, smallest, _choose(new > largest, largest, new))
    g = _choose(turn < 0, 0.0, g)  # after a change of sign it stays where it is
    p -= _sign(g) * size
    before[...] = g


class Rprop(PerParameter):
    """Rprop (Riedmiller and Braun, 1993): the sign of the gradient times a step that adapts.

    Args:
        params: parameters or groups of them.
        lr: the first step.
        etas: the factors of the step after a change of sign, and after none.
        step_sizes: the smallest and the largest step.
        foreach, capturable: accepted for compatibility; they choose between implementations in
            PyTorch.
        maximize: climb instead of descending.
        differentiable: not supported.

    Raises:
        ValueError: an option outside of its range.
    """

    _change = staticmethod(_rprop)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked_number("learning rate", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        unsupported("Rprop", differentiable=differentiable)
        options = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        rate = _first_rate(self, group)
        return {
            "step": no_steps, "prev": zeros_like, "step_size": lambda p: full_like(p, rate)
        }  # fmt: skip


def _asgd(p: Any, steps: Any, rate: Any, share: Any, mean: Any, g: Any, o: dict[str, Any]) -> None:
    lambd, lr = o["lambd"], o["lr"]
    steps += 1
    n = as_number(steps)
    g = decayed(p, g, o)
    eta = as_number(rate)
    p *= 1 - lambd * eta
    p -= g * eta
    mean += (p - mean) * as_number(share)
    rate[...] = lr / (1 + lambd * lr * n) ** o["alpha"]
    late = n - o["t0"]
    share[...] = 1 / _choose(late > 1, late, 1.0)


class ASGD(PerParameter):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    The average is in the state, under "ax".

    Args:
        params: parameters or groups of them.
        lr: the first learning rate.
        lambd: how fast parameters and rate decay.
        alpha: the power with which the rate decays.
        t0: the step at which averaging begins.
        weight_decay: adds ``weight_decay * parameter`` to the gradient.
        foreach, capturable: accepted for compatibility; they choose between implementations in
            PyTorch.
        maximize: climb instead of descending.
        differentiable: not supported.

    Raises:
        ValueError: an option outside of its range.
    """

    _change = staticmethod(_asgd)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        checked_number("learning rate", lr)
        checked_number("weight_decay value", weight_decay)
        unsupported("ASGD", differentiable=differentiable)
        options = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        rate = _first_rate(self, group)
        return {
            "step": no_steps, "eta": lambda p: tensor(rate), "mu": lambda p: ones(()),
            "ax": zeros_like,
        }  # fmt: skip
