"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..inplace import modify
from .optimizer import Optimizer, checked_number, learning_rate, unsupported, with_gradients


def _plain(*operands: Any) -> None:
    """Parameters, then their gradients, then the rate: one call for a whole group."""
    n = len(operands) // 2
    rate = operands[-1]
    for p, g in zip(operands[:n], operands[n:-1], strict=True):
        p -= g * rate


def _decayed(p: Any, g: Any, rate: float, decay: float) -> None:
    p -= (g + p * decay) * rate


def _with_momentum(
    p: Any,
    velocity: Any,
    g: Any,
    rate: float,
    decay: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    sign: float,
) -> None:
    if sign < 0:
        g = -g
    if decay:
        g = g + p * decay
    velocity *= momentum
    velocity += g if dampening == 0 else g * (1 - dampening)
    p -= (g + velocity * momentum if nesterov else velocity) * rate


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        momentum, dampening, nesterov: ``v = momentum * v + (1 - dampening) * grad``, and the step
            goes along v, or along ``grad + momentum * v`` with `nesterov`.
        weight_decay: adds ``weight_decay * parameter`` to the gradient.
        maximize: climb instead of descending.
        foreach, fused: accepted for compatibility; they choose between implementations in PyTorch.
        differentiable: not supported.

    Raises:
        ValueError: a negative rate, momentum or decay, or Nesterov without momentum.

    >>> import numbagrad as ng
    >>> p = ng.tensor([1.0], requires_grad=True)
    >>> optimizer = ng.optim.SGD([p], lr=0.5)
    >>> (p * 2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        checked_number("learning rate", lr)
        checked_number("momentum value", momentum)
        checked_number("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        unsupported("SGD", differentiable=differentiable)
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)

    def _update(self, group: dict[str, Any]) -> None:
        rate, decay, momentum = learning_rate(group), group["weight_decay"], group["momentum"]
        sign = -1.0 if group["maximize"] else 1.0
        if not momentum and not decay:
            pairs = list(with_gradients(group))
            modify(_plain, [p for p, _ in pairs], [g for _, g in pairs], rate * sign)
            return
        for p, g in with_gradients(group):
            if momentum:
                self._momentum_step(p, g, group, rate, sign)
            else:
                # Climbing is descending with both rate and decay negated.
                modify(_decayed, (p,), (g,), rate * sign, decay * sign)

    def _momentum_step(
        self, p: Any, g: Any, group: dict[str, Any], rate: float, sign: float
    ) -> None:
        state = self.state[p]
        velocity = state.get("momentum_buffer")
        dampening = group["dampening"]
        if velocity is None:
            # The first gradient is not dampened.
            velocity = state["momentum_buffer"] = g.new_zeros(g.shape)
            dampening = 0
        modify(
            _with_momentum, (p, velocity), (g,), rate, group["weight_decay"], group["momentum"],
            dampening, group["nesterov"], sign,
        )  # fmt: skip
