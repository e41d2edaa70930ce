"""Rprop and averaged SGD."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import full_like, ones, tensor, zeros, zeros_like
from ..inplace import modify
from ..ops.elementwise import where
from ..tensor import Tensor
from .optimizer import (
    Optimizer,
    as_number,
    checked_number,
    learning_rate,
    unsupported,
    with_gradients,
)


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


def _rprop(p: Any, count: Any, before: Any, size: Any, g: Any, o: dict[str, Any]) -> None:
    less, more = o["etas"]
    smallest, largest = o["step_sizes"]
    count += 1
    if o["maximize"]:
        g = -g
    turn = _sign(g * before)
    new = _choose(turn > 0, size * more, _choose(turn < 0, size * less, size))
    size[...] = _choose(new < smallest, smallest, _choose(new > largest, largest, new))
    g = _choose(turn < 0, 0.0, g)  # after a change of sign it stays where it is
    p -= _sign(g) * size
    before[...] = g


class Rprop(Optimizer):
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

    def _update(self, group: dict[str, Any]) -> None:
        for p, g in with_gradients(group):
            state = self.state[p]
            if not state:
                state["step"] = zeros(())
                state["prev"] = zeros_like(p)
                state["step_size"] = full_like(p, _first_rate(self, group))
            modify(_rprop, (p, state["step"], state["prev"], state["step_size"]), (g,), group)


def _asgd(p: Any, count: Any, rate: Any, share: Any, mean: Any, g: Any, o: dict[str, Any]) -> None:
    lambd, lr = o["lambd"], o["lr"]
    count += 1
    n = as_number(count)
    if o["maximize"]:
        g = -g
    if o["weight_decay"]:
        g = g + p * o["weight_decay"]
    eta = as_number(rate)
    p *= 1 - lambd * eta
    p -= g * eta
    mean += (p - mean) * as_number(share)
    rate[...] = lr / (1 + lambd * lr * n) ** o["alpha"]
    late = n - o["t0"]
    share[...] = 1 / _choose(late > 1, late, 1.0)


class ASGD(Optimizer):
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

    def _update(self, group: dict[str, Any]) -> None:
        options = {**group, "lr": learning_rate(group)}
        for p, g in with_gradients(group):
            state = self.state[p]
            if not state:
                state["step"] = zeros(())
                state["eta"] = tensor(_first_rate(self, group))
                state["mu"] = ones(())
                state["ax"] = zeros_like(p)
            changed = (p, state["step"], state["eta"], state["mu"], state["ax"])
            modify(_asgd, changed, (g,), options)
