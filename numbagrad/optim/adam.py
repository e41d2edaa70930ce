"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from typing import Any

from ..creation import zeros, zeros_like
from ..inplace import modify
from .optimizer import (
    Optimizer,
    as_number,
    checked_number,
    learning_rate,
    raise_to,
    unsupported,
    with_gradients,
)


def _adam(p: Any, mean: Any, square: Any, count: Any, *rest: Any) -> None:
    largest, g, o = rest if len(rest) == 3 else (None, *rest)
    beta1, beta2 = o["betas"]
    rate, decay = o["lr"], o["weight_decay"]
    count += 1
    n = as_number(count)
    if o["maximize"]:
        g = -g
    if decay:
        if o["decoupled_weight_decay"]:
            p *= 1 - rate * decay
        else:
            g = g + p * decay
    mean += (g - mean) * (1 - beta1)
    square *= beta2
    square += g * g * (1 - beta2)
    if largest is None:
        spread = square**0.5
    else:
        raise_to(largest, square)
        spread = largest**0.5
    spread /= (1 - beta2**n) ** 0.5
    spread += o["eps"]
    p -= mean * (rate / (1 - beta1**n)) / spread


class Adam(Optimizer):
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

    _decoupled = False

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
        checked_number("learning rate", lr)
        checked_number("epsilon value", eps)
        for i, beta in enumerate(betas):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        checked_number("weight_decay value", weight_decay)
        unsupported(type(self).__name__, differentiable=differentiable)
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

    def _update(self, group: dict[str, Any]) -> None:
        options = {**group, "lr": learning_rate(group)}
        for p, g in with_gradients(group):
            state = self.state[p]
            if not state:
                state["step"] = zeros(())
                state["exp_avg"] = zeros_like(p)
                state["exp_avg_sq"] = zeros_like(p)
                if group["amsgrad"]:
                    state["max_exp_avg_sq"] = zeros_like(p)
            changed = (p, state["exp_avg"], state["exp_avg_sq"], state["step"])
            if group["amsgrad"]:
                changed += (state["max_exp_avg_sq"],)
            modify(_adam, changed, (g,), options)


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
