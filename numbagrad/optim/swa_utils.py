"""Averages of the weights that a model had during training (Izmailov et al., 2018)."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..creation import tensor
from ..dtypes import int64
from ..modes import no_grad, thread
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d
from ..nn.module import Module
from ..ops.elementwise import where
from ..tensor import Tensor
from .lr_scheduler.base import LRScheduler, per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average: ``decay * average + (1 - decay) * current``.

    Raises:
        ValueError: `decay` is outside of [0, 1].
    """
    if not 0.0 <= decay <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )

    def average(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            return ema_param * decay + current_param * (1 - decay)

    return average


def get_swa_avg_fn() -> Average:
    """The mean of all: ``average + (current - average) / (number + 1)``."""

    def average(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return average


def _each(average: Average) -> MultiAverage:
    def averages(averaged: Sequence[Tensor], current: Sequence[Tensor], num_averaged: Any) -> None:
        with no_grad():
            for a, c in zip(averaged, current, strict=True):
                a.copy_(average(a, c, num_averaged))

    return averages


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """:func:`get_ema_avg_fn` for lists of tensors, in place."""
    return _each(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> MultiAverage:
    """:func:`get_swa_avg_fn` for lists of tensors, in place."""
    return _each(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of those that the model had.

    Args:
        model: is copied.
        device: "cpu", the only one.
        avg_fn: ``avg_fn(averaged, current, number averaged so far)`` gives the new average; the
            mean of all by default.
        multi_avg_fn: the same for lists of tensors, in place.
        use_buffers: average the buffers too, instead of copying them.

    Raises:
        AssertionError: both functions are given.

    >>> import numbagrad as ng
    >>> model = ng.nn.Linear(1, 1)
    >>> average = ng.optim.swa_utils.AveragedModel(model)
    >>> average.update_parameters(model)
    >>> average.n_averaged.item()
    1
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters that `model` has now into the average."""

        def tensors(of: Module) -> list[Tensor]:
            buffers = of.buffers() if self.use_buffers else ()
            return [t.detach() for t in itertools.chain(of.parameters(), buffers)]

        averaged, current = tensors(self.module), tensors(model)
        with no_grad():
            first = self.n_averaged == 0
            traced = thread.modes.trace is not None
            if traced or not first:
                average = self.multi_avg_fn or _each(self.avg_fn or get_swa_avg_fn())
                average(averaged, current, self.n_averaged)
            if traced or first:  # a trace holds for the first call and for later ones
                for a, c in zip(averaged, current, strict=True):
                    a.copy_(where(first, c, a) if traced else c)
            if not self.use_buffers:
                for a, c in zip(self.module.buffers(), model.buffers(), strict=True):
                    a.detach().copy_(c.detach())
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Set the statistics of batch normalisation to those of the inputs in `loader`.

    Args:
        loader: batches; of tuples the first is the input.
    """
    kinds = (BatchNorm1d, BatchNorm2d, BatchNorm3d)
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, kinds)}
    if not momenta:
        return
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None  # the plain mean of all batches
    training = model.training
    model.train()
    with no_grad():
        for batch in loader:
            model(batch[0] if isinstance(batch, list | tuple) else batch)
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """The rate goes to `swa_lr` and stays there.

    Args:
        swa_lr: one rate, or one for each group.
        anneal_epochs: in how many steps.
        anneal_strategy: "cos" or "linear".

    Raises:
        ValueError: an unknown strategy, or a number of steps that is no integer or negative.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        rates = per_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way is gone."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            goal, rate = group["swa_lr"], group["lr"]
            # The rate without this schedule, which another one may have changed.
            plain = goal if before == 1 else (rate - before * goal) / (1 - before)
            rates.append(goal * now + plain * (1 - now))
        return rates
