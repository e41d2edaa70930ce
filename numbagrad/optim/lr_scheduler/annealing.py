"""Schedules that follow a curve, once or again and again."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, per_group


class CosineAnnealingLR(LRScheduler):
    """The rate follows half a cosine wave down to `eta_min` in `T_max` steps, then up again."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._rates()
        if self._step_count == 1:
            return self._closed_form()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The previous rate was the lowest one, from which no factor leads up.
            return [
                rate + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
                for base, rate in zip(self.base_lrs, self._rates(), strict=True)
            ]
        factor = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [factor * (rate - self.eta_min) + self.eta_min for rate in self._rates()]

    def _height(self, epoch: int) -> float:
        return 1 + math.cos(math.pi * epoch / self.T_max)

    def _closed_form(self) -> list[float]:
        return [
            self.eta_min + (base - self.eta_min) * self._height(self.last_epoch) / 2
            for base in self.base_lrs
        ]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine wave down to `eta_min`, again and again (Loshchilov and Hutter, 2017).

    Args:
        T_0: the steps of the first wave.
        T_mult: how many times longer each next one is.
        eta_min: the lowest rate.

    Raises:
        ValueError: `T_0` or `T_mult` is no positive integer, or a step is negative.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, float | int):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min}")
        self.T_0 = T_0
        self.T_i = T_0  # the steps of the wave that is under way
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch  # how many of them are done
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:  # type: ignore[override]
        """Go one step on, or to `epoch`, which may be a fraction."""
        self._check_not_traced()
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = self._rates()

    def _go_to(self, epoch: float) -> None:
        if epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        self.T_i, self.T_cur = self.T_0, epoch
        if epoch < self.T_0:
            return
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
            return
        waves = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
        self.T_i = self.T_0 * self.T_mult**waves
        self.T_cur = epoch - self.T_0 * (self.T_mult**waves - 1) / (self.T_mult - 1)


class _WithMomentum(LRScheduler):
    """Moves the momentum of an optimizer (or the first of its betas) against the rate."""

    def _init_momentum(
        self, optimizer: Optimizer, wanted: bool, base: Any, largest: Any, begin: bool
    ) -> None:
        self.cycle_momentum = wanted
        if not wanted:
            return
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        self.base_momentums = per_group("base_momentum", optimizer, base)
        self.max_momentums = per_group("max_momentum", optimizer, largest)
        if begin:
            pairs = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(optimizer.param_groups, pairs, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"], group["base_momentum"] = high, low

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_WithMomentum):
    """The rate goes up and down between two values (Smith, 2017).

    Args:
        base_lr, max_lr: the lowest and the highest rate, for all groups or a list.
        step_size_up, step_size_down: the steps up, and those down (default: the same).
        mode: "triangular", "triangular2" (each cycle half as high) or "exp_range" (times
            ``gamma ** step``), unless `scale_fn` is given, which gets the number of the cycle or,
            with ``scale_mode="iterations"``, of the step.
        cycle_momentum: move the momentum between `max_momentum` and `base_momentum` against it.

    Raises:
        ValueError: an unknown mode, a list of wrong length, or an optimizer without momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        lowest = per_group("base_lr", optimizer, base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + float(step_size_up if step_size_down is None else step_size_down)
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._own_scale = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        begin = last_epoch == -1
        self._init_momentum(optimizer, cycle_momentum, base_momentum, max_momentum, begin)
        if begin:
            for group, rate in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = rate
        self._lowest = lowest
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x: float) -> float:
        """How high a cycle or step is, as a share of the first one."""
        if self._own_scale is not None:
            return self._own_scale(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else self.gamma**x

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        ratio = self.step_ratio
        height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            pairs = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, pairs, strict=True):
                self._set_momentum(group, high - (high - low) * height)
        return [
            low + (high - low) * height
            for low, high in zip(self._lowest, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of a `scale_fn` only what an object of a class keeps."""
        state = super().state_dict()
        fn = state["_own_scale"]
        plain = fn is None or isinstance(fn, types.FunctionType)
        return {**state, "_own_scale": None if plain else dict(fn.__dict__)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        fn = self._own_scale
        super().load_state_dict(state_dict)
        self._own_scale = fn
        if state_dict["_own_scale"] is not None:
            fn.__dict__.update(state_dict["_own_scale"])  # type: ignore[union-attr]


class OneCycleLR(_WithMomentum):
    """The rate goes up to `max_lr` and then down far below its start (Smith and Topin, 2017).

    Args:
        max_lr: for all groups or a list.
        total_steps: of the cycle; or `epochs` and `steps_per_epoch`.
        pct_start: the share of the steps that goes up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum between `max_momentum` and `base_momentum` against it.
        div_factor: ``max_lr / div_factor`` is the first rate.
        final_div_factor: the first rate divided by this is the last one.
        three_phase: go down to the first rate as steeply as up, then to the last one.

    Raises:
        ValueError: options that do not fit; in `step`, after more than the total number of steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self.anneal_strategy = anneal_strategy
        top = pct_start * self.total_steps - 1
        # Where each phase ends, and between which rates and momenta it goes.
        phases = [(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        last = self.total_steps - 1
        if three_phase:
            down = 2 * pct_start * self.total_steps - 2
            phases.append((down, "max_lr", "initial_lr", "base_momentum", "max_momentum"))
            phases.append((last, "initial_lr", "min_lr", "max_momentum", "max_momentum"))
        else:
            phases.append((last, "max_lr", "min_lr", "base_momentum", "max_momentum"))
        self._phases = phases
        highest = per_group("max_lr", optimizer, max_lr)
        begin = last_epoch == -1
        self._init_momentum(optimizer, cycle_momentum, base_momentum, max_momentum, begin)
        if begin:
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[float]:
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        phases = self._phases
        i = next((i for i, p in enumerate(phases) if step <= p[0]), len(phases) - 1)
        start = phases[i - 1][0] if i else 0.0
        end, *keys = phases[i]
        share = (step - start) / (end - start)
        rates = []
        for group in self.optimizer.param_groups:
            first, last, *momenta = keys
            rates.append(self._between(group[first], group[last], share))
            if self.cycle_momentum:
                start_momentum, end_momentum = (group[key] for key in momenta)
                self._set_momentum(group, self._between(start_momentum, end_momentum, share))
        return rates


def _total(total: int | None, epochs: int | None, per_epoch: int | None) -> int:
    """The number of steps of a cycle."""
    given = {"total_steps": total}
    if total is None:
        if epochs is None or per_epoch is None:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        given = {"epochs": epochs, "steps_per_epoch": per_epoch}
    result = 1
    for name, n in given.items():
        if not isinstance(n, int) or n <= 0:
            raise ValueError(f"Expected positive integer {name}, but got {n}")
        result *= n
    return result
