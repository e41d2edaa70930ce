"""The base class of schedules."""

from __future__ import annotations

import warnings
from typing import Any

from ...modes import thread
from ...stack import at_user_line
from ..optimizer import Optimizer


class LRScheduler:
    """The base class: `get_lr` gives the rate of each group for the step `last_epoch`.

    Raises:
        TypeError: `optimizer` is not an Optimizer.
        KeyError: `last_epoch` is given and a group does not know its initial rate.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    "scheduler with last_epoch >= 0; load the state of the optimizer first"
                )
        self.base_lrs: list[float] = [g["initial_lr"] for g in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rate of the first step."""
        self._step_count = 0
        self.step()

    def get_lr(self) -> list[float]:
        """The rates of the groups at the step `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def _closed_form(self) -> list[float] | None:
        """The rates without the previous ones, where there is such a form."""
        return None

    def get_last_lr(self) -> list[float]:
        """The rates that were set last."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go one step on; call it after ``optimizer.step()``, outside of compiled functions."""
        self._check_not_traced()
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value "
                "of the learning rate schedule is skipped. Call them in the opposite order.",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` was not necessary and is being "
                "deprecated where possible. Please use `scheduler.step()` to step the scheduler.",
                stacklevel=2,
            )
        self._set_rates(epoch)

    def _check_not_traced(self) -> None:
        """A compiled function reads the rates at each call, but would set them only once."""
        if thread.modes.trace is not None:
            raise RuntimeError(
                f"{type(self).__name__}.step() in a compiled function would run once, when it is "
                f"traced: call it after the compiled function{at_user_line()}"
            )

    def _set_rates(self, epoch: int | None = None) -> None:
        """Set the rates of the next step, or of step number `epoch`."""
        rates = None
        if epoch is None:
            self.last_epoch += 1
        else:
            self.last_epoch = epoch
            rates = self._closed_form()
        if rates is None:
            rates = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)

    def _rates(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave."""
        self.__dict__.update(state_dict)


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """An option given once for all groups, or as a list with one value for each.

    Raises:
        ValueError: the list is of another length.
    """
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{name} must have the same length as optimizer.param_groups: expected "
                         f"{groups}, got {len(value)}")  # fmt: skip
    return list(value)
