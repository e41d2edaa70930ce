"""`GradScaler`: gradients of float16 computations that do not vanish below its range."""

from __future__ import annotations

import enum
import warnings
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..creation import full
from ..dtypes import int32
from ..inplace import modify
from ..modes import no_grad, thread
from ..ops.elementwise import isfinite, where
from ..optim.optimizer import Optimizer
from ..stack import at_user_line
from ..tensor import Tensor, wrap


class _Stage(enum.Enum):
    READY = 0
    UNSCALED = 1
    STEPPED = 2


class _State:
    """What happened to one optimizer since the last `update`."""

    def __init__(self) -> None:
        self.stage = _Stage.READY
        self.finite: Any = None  # whether all gradients are, in a trace a tensor; None: not looked


#: In place of the states of scalers while a function is traced, whose calls begin and end without.
_traced: weakref.WeakKeyDictionary[Any, dict[int, dict[int, _State]]] = weakref.WeakKeyDictionary()


def _finite(g: Any) -> Any:
    if isinstance(g, Tensor):
        if thread.modes.trace is not None:
            return isfinite(g).all()
        g = g.detach().numpy()
    # A finite sum has finite terms, and needs no array of truth values.
    return bool(np.isfinite(g.sum())) or bool(np.isfinite(g).all())


def _tensors(optimizer: Optimizer) -> list[Tensor]:
    """What a step may change: the parameters that have a gradient, and all state."""
    groups = optimizer.param_groups
    found = [p for group in groups for p in group["params"] if p.grad is not None]
    values = [v for state in optimizer.state.values() for v in state.values()]
    return found + [v for v in values if isinstance(v, Tensor)]


def _step_if(finite: Tensor, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
    """A step in a trace, which cannot leave it out: what it changed is taken back by values."""
    with no_grad():
        before = {id(t): t.detach().clone() for t in _tensors(optimizer)}
    result = optimizer.step(*args, **kwargs)
    with no_grad():
        for t in _tensors(optimizer):
            old = before.get(id(t))
            if old is None:  # state that the step itself made
                old = wrap(thread.modes.trace.before(t))
            t.copy_(where(finite, t, old))
    return result


class GradScaler:
    """Multiplies the loss by a factor, so that float16 gradients do not become zero.

    The step divides the gradients by it again; gradients that are infinite or NaN make it skip
    the step, and :meth:`update` lower the factor. After `growth_interval` steps without one the
    factor grows. A compiled function may do all of it, from :meth:`scale` to :meth:`update`.

    Args:
        device: "cpu". Any other one disables the scaler with a warning, as PyTorch does where it
            has none.
        init_scale: the factor at first.
        growth_factor, backoff_factor: what it is multiplied by, to grow and after a skipped step.
        growth_interval: how many good steps in a row make it grow.
        enabled: False: everything passes through, and `step` is the optimizer's own.

    Raises:
        AssertionError: a growth factor that does not grow, a backoff factor that does not shrink;
            methods called before :meth:`scale`.
        RuntimeError: in `step` or `unscale_`, if called twice without `update`; in a compiled
            function, if one of them was called before it.
        ValueError: in `unscale_`, for float16 gradients: the parameters are to be float32, and
            cast in the forward pass.

    >>> import numbagrad as ng
    >>> w = ng.tensor([1.0], requires_grad=True)
    >>> optimizer = ng.optim.SGD([w], lr=1.0)
    >>> scaler = ng.amp.GradScaler("cpu", init_scale=2.0**20)
    >>> loss = (w.half() * 2.0**-14).float().sum() * 2.0**-12  # its gradient is below float16
    >>> scaler.scale(loss).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> 1 - w.item() == 2.0**-26
    False
    >>> w.grad.item() == 2.0**-26, scaler.get_scale()
    (True, 1048576.0)
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and str(device) != "cpu":
            warnings.warn(
                f"GradScaler is enabled for {device!r}, but numbagrad runs on the CPU only. "
                "Disabling.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        if not enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        # Made here and not by the first scale(), which may be traced.
        self._scale = full((), init_scale)
        self._used = False
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good_steps = full((), 0, dtype=int32)
        self._states: dict[int, _State] = {}  # by optimizer

    def scale(self, outputs: Any) -> Any:
        """`outputs`, a tensor or an iterable of them, multiplied by the factor.

        Raises:
            ValueError: something else.
        """
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            self._used = True
            return outputs * self._scale
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, list | tuple) else scaled
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _begun(self, what: str) -> Tensor:
        if not self._used:
            raise AssertionError(
                f"Attempted {what} but nothing has been scaled yet.  This may indicate your script "
                "did not use scaler.scale(loss or outputs) earlier in the iteration."
            )
        return self._scale

    def _state_of(self, optimizer: Optimizer) -> _State:
        return self._now().setdefault(id(optimizer), _State())

    def _now(self) -> dict[int, _State]:
        """What happened to each optimizer since the last `update`."""
        trace = thread.modes.trace
        if trace is None:
            return self._states
        trace.guard_size(self._states)
        if self._states:
            raise RuntimeError(
                "unscale_() or step() was called before a compiled function that goes on with it: "
                "put all from scale() to update() into the function, or all of it behind the call"
                f"{at_user_line()}"
            )
        return _traced.setdefault(trace, {}).setdefault(id(self), {})

    @no_grad()
    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the optimizer's gradients by the factor, for instance to clip them.

        `step` does it otherwise.
        """
        if not self._enabled:
            return
        scale = self._begun("unscale_")
        state = self._state_of(optimizer)
        if state.stage is _Stage.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if state.stage is _Stage.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        grads = [
            p.grad for group in optimizer.param_groups for p in group["params"]
            if p.grad is not None
        ]  # fmt: skip
        if any(g._data.dtype == np.float16 for g in grads):
            raise ValueError(
                "Attempting to unscale FP16 gradients. Keep the parameters in float32 and cast "
                "them in the forward pass."
            )
        state.finite = True

        def divide(*operands: Any) -> None:
            for g in operands[:-1]:
                finite = _finite(g)
                state.finite = finite if state.finite is True else state.finite & finite
                g *= operands[-1]

        inverse = scale.double().reciprocal().float()
        modify(divide, grads, (), inverse if thread.modes.trace is not None else inverse.item())
        state.stage = _Stage.UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Divide the gradients unless that is done, and call ``optimizer.step`` if all are finite.

        Returns:
            What ``optimizer.step(*args, **kwargs)`` returned; None if it was skipped, unless that
            is decided by a compiled function.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._begun("step")
        state = self._state_of(optimizer)
        if state.stage is _Stage.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state.stage is _Stage.READY:
            self.unscale_(optimizer)
        result = None
        if isinstance(state.finite, Tensor):
            result = _step_if(state.finite, optimizer, args, kwargs)
        elif state.finite:
            result = optimizer.step(*args, **kwargs)
        state.stage = _Stage.STEPPED
        return result

    @no_grad()
    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the factor, at the end of an iteration; or set it to `new_scale`."""
        if not self._enabled:
            return
        scale = self._begun("update")
        if isinstance(new_scale, Tensor):
            if new_scale.numel() != 1 or new_scale.requires_grad:
                raise AssertionError(
                    "new_scale should be a float or a 1-element tensor with requires_grad=False."
                )
            scale.copy_(new_scale)
        elif new_scale is not None:
            scale.fill_(float(new_scale))
        else:
            found = [s.finite for s in self._now().values() if s.finite is not None]
            if not found:
                raise AssertionError(
                    "No inf checks were recorded prior to update. Call step() before, and where "
                    "a compiled function does so, update() in it, too."
                )
            self._adapt(scale, found)
        self._now().clear()

    def _adapt(self, scale: Tensor, found: list[Any]) -> None:
        trace = thread.modes.trace
        if trace is not None:
            for name in ("_growth_factor", "_backoff_factor", "_growth_interval"):
                trace.guard(self.__dict__, name)
        finite = full((), True)
        for each in found:
            finite = finite & each
        steps = where(finite, self._good_steps + 1, 0)
        complete = steps == self._growth_interval
        grown = scale * self._growth_factor
        raised = where(complete & isfinite(grown), grown, scale)
        scale.copy_(where(finite, raised, scale * self._backoff_factor))
        self._good_steps.copy_(where(complete, 0, steps))

    # -- state ------------------------------------------------------------------------------

    def get_scale(self) -> float:
        """The factor; 1.0 if disabled."""
        if not self._enabled:
            return 1.0
        return self._scale.item()

    def get_growth_factor(self) -> float:
        """What the factor is multiplied by to grow."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the factor is multiplied by to grow."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the factor is multiplied by after a skipped step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the factor is multiplied by after a skipped step."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many good steps in a row make the factor grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many good steps in a row make the factor grow."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The factor, how it changes, and the number of good steps; empty if disabled.

        Call it after `update`.
        """
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps.item(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict()` gave; nothing if disabled.

        Raises:
            RuntimeError: it is empty.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._scale.fill_(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good_steps.fill_(state_dict["_growth_tracker"])
