"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from typing import Any

from ..creation import zeros_like
from .optimizer import as_number, checked_number, raise_to, unsupported
from .per_parameter import PerParameter, Start, decayed, no_steps


class AdamLike(PerParameter):
    """What Adam and its relatives have in common: the checks of their options."""

    def __init__(self, params: Any, options: dict[str, Any]) -> None:
        checked_number("learning rate", options["lr"])
        checked_number("epsilon value", options["eps"])
        for i, beta in enumerate(options["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        checked_number("weight_decay value", options["weight_decay"])
        unsupported(type(self).__name__, differentiable=options["differentiable"])
        super().__init__(params, options)


def moments(mean: Any, square: Any, g: Any, betas: tuple[float, float]) -> None:
    """Move the running means of the gradient and of its square, in place, towards those of `g`."""
    beta1, beta2 = betas
    mean += (g - mean) * (1 - beta1)
    square *= beta2
    square += g * g * (1 - beta2)


def _adam(p: Any, steps: Any, mean: Any, square: Any, *rest: Any) -> None:
    largest, g, o = rest if len(rest) == 3 else (None, *rest)
    beta1, beta2 = o["betas"]
    steps += 1
    n = as_number(steps)
    g = decayed(p, g, o)
    moments(mean, square, g, o["betas"])
    if largest is None:
        spread = square**0.5
    else:
        raise_to(largest, square)
        spread = largest**0.5
    spread /= (1 - beta2**n) ** 0.5
    spread += o["eps"]
    p -= mean * (o["lr"] / (1 - beta1**n)) / spread


class Adam(AdamLike):
    """Adam (Kingma and Ba, 2015).

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        betas: how much of the running means of the gradient and of its square is kept per step.
        eps: added to the denominator.
        weight_decay: adds ``weight_decay * parameter`` to the gradient, or shrinks the parameter
            by ``lr * weight_decay`` with `decoupled_weight_decay`.
        amsgrad: divide by the largest mean square so far.
        maximize: climb instead of descending.
        foreach, capturable, fused: accepted for compatibility; they choose between
            implementations in PyTorch.
        differentiable: not supported.

    Raises:
        ValueError: a negative rate, eps or decay, or a beta outside of [0, 1).
    """

    _change = staticmethod(_adam)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        starts = {"step": no_steps, "exp_avg": zeros_like, "exp_avg_sq": zeros_like}
        return {**starts, "max_exp_avg_sq": zeros_like} if group["amsgrad"] else starts


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019); see :class:`Adam`."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
            capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=True,
        )  # fmt: skip
