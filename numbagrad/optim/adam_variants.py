"""Adamax, NAdam and RAdam: relatives of Adam."""

from __future__ import annotations

from typing import Any

from ..creation import ones, zeros_like
from ..ops.elementwise import where
from ..tensor import Tensor
from .adam import AdamLike, moments
from .optimizer import as_number, checked_number, raise_to
from .per_parameter import Start, decayed, no_steps


def _adamax(p: Any, steps: Any, mean: Any, largest: Any, g: Any, o: dict[str, Any]) -> None:
    beta1, beta2 = o["betas"]
    steps += 1
    g = decayed(p, g, o)
    mean += (g - mean) * (1 - beta1)
    largest *= beta2
    raise_to(largest, abs(g) + o["eps"])
    p -= mean * (o["lr"] / (1 - beta1 ** as_number(steps))) / largest


class Adamax(AdamLike):
    """Adam with the infinity norm in place of the second moment (Kingma and Ba, 2015).

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        betas: how much of the running mean and of the norm is kept per step.
        eps: added to each absolute gradient.
        weight_decay: adds ``weight_decay * parameter`` to the gradient.
        maximize: climb instead of descending.
        foreach, capturable: accepted for compatibility; they choose between implementations in
            PyTorch.
        differentiable: not supported.

    Raises:
        ValueError: a negative rate, eps or decay, or a beta outside of [0, 1).

    >>> import numbagrad as ng
    >>> p = ng.tensor([1.0], requires_grad=True)
    >>> optimizer = ng.optim.Adamax([p], lr=0.5)
    >>> (p * 2).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.5000], requires_grad=True)
    """

    _change = staticmethod(_adamax)

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
            "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        return {"step": no_steps, "exp_avg": zeros_like, "exp_inf": zeros_like}


def _nadam(
    p: Any, steps: Any, product: Any, mean: Any, square: Any, g: Any, o: dict[str, Any]
) -> None:
    beta1, beta2 = o["betas"]
    rate, slow = o["lr"], o["momentum_decay"]
    steps += 1
    n = as_number(steps)
    g = decayed(p, g, o)
    now = beta1 * (1.0 - 0.5 * 0.96 ** (n * slow))
    later = beta1 * (1.0 - 0.5 * 0.96 ** ((n + 1) * slow))
    product *= now
    so_far = as_number(product)
    moments(mean, square, g, o["betas"])
    spread = (square / (1 - beta2**n)) ** 0.5 + o["eps"]
    p -= g * (rate * (1.0 - now) / (1.0 - so_far)) / spread
    p -= mean * (rate * later / (1.0 - so_far * later)) / spread


class NAdam(AdamLike):
    """Adam with Nesterov's momentum (Dozat, 2016).

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        betas: how much of the running means of the gradient and of its square is kept per step.
        eps: added to the denominator.
        weight_decay: adds ``weight_decay * parameter`` to the gradient, or shrinks the parameter
            by ``lr * weight_decay`` with `decoupled_weight_decay`.
        momentum_decay: how fast the momentum warms up.
        maximize: climb instead of descending.
        foreach, capturable: accepted for compatibility; they choose between implementations in
            PyTorch.
        differentiable: not supported.

    Raises:
        ValueError: a negative rate, eps or decay, or a beta outside of [0, 1).
    """

    _change = staticmethod(_nadam)

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        checked_number("momentum_decay value", momentum_decay)
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        return {
            "step": no_steps, "mu_product": lambda p: ones(()), "exp_avg": zeros_like,
            "exp_avg_sq": zeros_like,
        }  # fmt: skip


def _radam(p: Any, steps: Any, mean: Any, square: Any, g: Any, o: dict[str, Any]) -> None:
    beta1, beta2 = o["betas"]
    steps += 1
    n = as_number(steps)
    g = decayed(p, g, o)
    moments(mean, square, g, o["betas"])
    # The length of the average that the running mean of the squares amounts to.
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * n * beta2**n / (1 - beta2**n)
    step = mean * (o["lr"] / (1 - beta1**n))
    enough = length > 5.0
    if isinstance(enough, Tensor):
        p -= step * where(enough, _rectified(length, longest, square, n, o), 1.0).to(p.dtype)
    elif enough:
        p -= step * _rectified(length, longest, square, n, o)
    else:
        p -= step


def _rectified(length: Any, longest: float, square: Any, n: Any, o: dict[str, Any]) -> Any:
    """The adaptive rate of each element, corrected for the variance of few squares."""
    share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    factor = (share * (1 - o["betas"][1] ** n)) ** 0.5
    return factor / (square**0.5 + o["eps"])


class RAdam(AdamLike):
    """Adam that begins like SGD, until the second moment is known well enough (Liu et al., 2020).

    Args:
        params: parameters or groups of them.
        lr: the learning rate.
        betas: how much of the running means of the gradient and of its square is kept per step.
        eps: added to the denominator.
        weight_decay: adds ``weight_decay * parameter`` to the gradient, or shrinks the parameter
            by ``lr * weight_decay`` with `decoupled_weight_decay`.
        maximize: climb instead of descending.
        foreach, capturable: accepted for compatibility; they choose between implementations in
            PyTorch.
        differentiable: not supported.

    Raises:
        ValueError: a negative rate, eps or decay, or a beta outside of [0, 1).
    """

    _change = staticmethod(_radam)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, options)

    def _starts(self, group: dict[str, Any]) -> dict[str, Start]:
        return {"step": no_steps, "exp_avg": zeros_like, "exp_avg_sq": zeros_like}
