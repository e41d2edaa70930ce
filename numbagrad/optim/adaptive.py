"""RMSprop, Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any

from ..creation import full_like, zeros_like
from .optimizer import as_number, checked_number, unsupported
from .per_parameter import PerParameter, Start, decayed, no_steps


def _rmsprop(p: Any, steps: Any, square: Any, *rest: Any) -> None:
    *more, g, o = rest
    rate, alpha = o["lr"], o["alpha"]
    steps += 1
    g = decayed(p, g, o)
    square *= alpha
    square += g * g * (1 - alpha)
    if o["centered"]:
        mean = more.pop()
        mean += (g - mean) * (1 - alpha)
        spread = (square - mean * mean) ** 0.5 + o["eps"]
    else:
        spread = square**0.5 + o["eps"]
    if o["momentum"] > 0:
        velocity = more.pop()
        velocity *= o["momentum"]
        velocity += g / spread
        p -= velocity * rate
    else:
        p -= g * rate / spread


class RMSprop(PerParameter):
    """RMSprop: the gradient divided by the root of the running mean of its square.

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        alpha: how much of the running mean is kept per step.
        eps: added to the denominator.
        weight_decay: adds ``weight_decay * parameter`` to the gradient.
        momentum: how much of the last step is added to the next.
        centered: subtract the square of the running mean: divide by the standard deviation.
        capturable, foreach: accepted for compatibility; they choose between implementations in
            PyTorch.
        maximize: climb instead of descending.
        differentiable: not supported.

    Raises:
        ValueError: a negative option.
    """

    _change = staticmethod(_rmsprop)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked_number("learning rate", lr)
        checked_number("epsilon value", eps)
        checked_number("momentum value", momentum)
        checked_number("weight_decay value", weight_decay)
        checked_number("alpha value", alpha)
        unsupported("RMSprop", differentiable=differentiable)
        options = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        starts = {"step": no_steps, "square_avg": zeros_like}
        if group["momentum"] > 0:
            starts["momentum_buffer"] = zeros_like
        if group["centered"]:
            starts["grad_avg"] = zeros_like
        return starts


def _adagrad(p: Any, steps: Any, total: Any, g: Any, o: dict[str, Any]) -> None:
    steps += 1
    g = decayed(p, g, o)
    total += g * g
    rate = o["lr"] / (1 + (as_number(steps) - 1) * o["lr_decay"])
    p -= g * rate / (total**0.5 + o["eps"])


class Adagrad(PerParameter):
    """Adagrad (Duchi et al., 2011): the gradient divided by the root of the sum of its squares.

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        lr_decay: after n steps the rate is ``lr / (1 + n * lr_decay)``.
        weight_decay: adds ``weight_decay * parameter`` to the gradient.
        initial_accumulator_value: where the sum of squares starts.
        eps: added to the denominator.
        foreach, fused: accepted for compatibility; they choose between implementations in PyTorch.
        maximize: climb instead of descending.
        differentiable: not supported.

    Raises:
        ValueError: a negative option.
    """

    _change = staticmethod(_adagrad)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        checked_number("learning rate", lr)
        checked_number("lr_decay value", lr_decay)
        checked_number("weight_decay value", weight_decay)
        checked_number("initial_accumulator_value value", initial_accumulator_value)
        checked_number("epsilon value", eps)
        unsupported("Adagrad", differentiable=differentiable)
        options = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)
        for group in self.param_groups:
            for p in group["params"]:
                self._state_of(p, self._starts(group))

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        first = group["initial_accumulator_value"]
        return {"step": no_steps, "sum": lambda p: full_like(p, first)}


def _adadelta(p: Any, steps: Any, square: Any, moved: Any, g: Any, o: dict[str, Any]) -> None:
    rho, eps = o["rho"], o["eps"]
    steps += 1
    g = decayed(p, g, o)
    square *= rho
    square += g * g * (1 - rho)
    step = g * ((moved + eps) ** 0.5 / (square + eps) ** 0.5)
    moved *= rho
    moved += step * step * (1 - rho)
    p -= step * o["lr"]


class Adadelta(PerParameter):
    """Adadelta: steps in the units of the parameter (Zeiler, 2012).

    Args:
        params: parameters or groups of them.
        lr: a factor for the step.
        rho: how much of the running means of squared gradients and steps is kept.
        eps: added under both roots.
        weight_decay: adds ``weight_decay * parameter`` to the gradient.
        foreach, capturable: accepted for compatibility; they choose between implementations in
            PyTorch.
        maximize: climb instead of descending.
        differentiable: not supported.

    Raises:
        ValueError: a negative option, or `rho` above 1.
    """

    _change = staticmethod(_adadelta)

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked_number("learning rate", lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        checked_number("epsilon value", eps)
        checked_number("weight_decay value", weight_decay)
        unsupported("Adadelta", differentiable=differentiable)
        options = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        return {"step": no_steps, "square_avg": zeros_like, "acc_delta": zeros_like}
