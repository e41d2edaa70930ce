"""Optimizer: the base class, which keeps parameters in groups and the state of each."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd.profiler import record_function
from ..modes import enable_grad, no_grad, thread
from ..tape import RemovableHandle
from ..tensor import Tensor

Hooks = dict[int, Callable[..., Any]]


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` that calls the hooks of the optimizer around it."""

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        if not self._step_pre_hooks and not self._step_post_hooks:
            return step(self, *args, **kwargs)
        given = (self, *args)
        for hook in list(self._step_pre_hooks.values()):
            replaced = hook(self, given, kwargs)
            if replaced is None:
                continue
            if not isinstance(replaced, tuple) or len(replaced) != 2:
                raise RuntimeError(
                    f"{hook} must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{replaced}."
                )
            given, kwargs = replaced
        result = step(*given, **kwargs)
        for hook in list(self._step_post_hooks.values()):
            hook(self, given, kwargs)
        return result

    return hooked


class Optimizer:
    """The base class of optimizers.

    Args:
        params: tensors, (name, tensor) pairs, or dictionaries that describe a group each:
            ``{"params": [...], "lr": 0.1}``.
        defaults: the options of groups that do not say otherwise.

    Subclasses define `_update(group)`, which changes the parameters of one group.

    Raises:
        TypeError: `params` is a single tensor, or holds something else than tensors.
        ValueError: no parameters, a parameter that is not a leaf or in two groups, or a group
            without a required option.
    """

    _opt_called = False  # a step was made: schedules ask

    def __init_subclass__(cls) -> None:
        if "step" in vars(cls):
            cls.step = _with_hooks(vars(cls)["step"])  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._without_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}; pass [tensor]"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _without_hooks(self) -> None:
        self._step_pre_hooks: Hooks = {}
        self._step_post_hooks: Hooks = {}
        self._state_dict_pre_hooks: Hooks = {}
        self._state_dict_post_hooks: Hooks = {}
        self._load_state_dict_pre_hooks: Hooks = {}
        self._load_state_dict_post_hooks: Hooks = {}

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deepcopy: hooks stay with the original, as in PyTorch."""
        return {k: v for k, v in self.__dict__.items() if not k.endswith("_hooks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._without_hooks()
        self.__dict__.update(state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own; raises as the constructor does."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        params = group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        if params and isinstance(params[0], tuple):
            group["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        group["params"] = params
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is "
                                f"{type(p).__name__}")  # fmt: skip
            if not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            group.setdefault(name, default)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        if len({id(p) for p in params}) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each is updated "
                "as often as it is named",
                UserWarning,
                stacklevel=3,
            )
        if any(id(p) in known for p in params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to zero."""
        if thread.modes.trace is not None:
            self._guard(thread.modes.trace)
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    @_with_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters by their gradients; those without one stay as they are.

        Args:
            closure: computes the loss anew, with gradients, and returns it.

        Returns:
            What the closure returned, else None.
        """
        if thread.modes.profiler is None:
            return self._step(closure)
        with record_function(f"Optimizer.step#{type(self).__name__}.step"):
            return self._step(closure)

    def _step(self, closure: Callable[[], Any] | None) -> Any:
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        trace = thread.modes.trace
        if trace is not None:
            self._guard(trace)
        with no_grad():
            for group in self.param_groups:
                self._update(group if trace is None else _traced(group, trace))
        if trace is not None:
            for state in self.state.values():
                for value in state.values():
                    if isinstance(value, Tensor):
                        trace.keep(value)
        return loss

    def _guard(self, trace: Any) -> None:
        """A compiled step is for the groups and the state that there are now."""
        trace.guard(self.__dict__, "state")
        trace.guard_size(self.state)
        for p, state in self.state.items():
            trace.guard(self.state, p)
            for key in state:
                trace.guard(state, key)
        trace.guard_size(self.param_groups)
        for group in self.param_groups:
            trace.guard_size(group["params"])

    def _update(self, group: dict[str, Any]) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} does not define _update(group) or step(closure)"
        )

    # -- hooks ------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; `args` begin with the optimizer.

        It may return new ``(args, kwargs)``.
        """
        return RemovableHandle(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle(self._step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` before :meth:`state_dict`."""
        return _registered(self._state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[[Optimizer, dict[str, Any]], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after :meth:`state_dict`; it may return another."""
        return _registered(self._state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[[Optimizer, dict[str, Any]], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; it may return another state."""
        return _registered(self._load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after loading."""
        return _registered(self._load_state_dict_post_hooks, hook, prepend)

    # -- state ------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state by number of the parameter, and the groups with numbers for parameters."""
        for before in list(self._state_dict_pre_hooks.values()):
            before(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            described = {k: v for k, v in group.items() if k != "params"}
            described["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(described)
        result: dict[str, Any] = {
            "state": {numbers[id(p)]: s for p, s in self.state.items()},
            "param_groups": groups,
        }
        for after in list(self._state_dict_post_hooks.values()):
            replaced = after(self, result)
            if replaced is not None:
                result = replaced
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state that `state_dict()` gave, copied and cast to the parameters' dtypes.

        Raises:
            ValueError: the numbers of groups or of parameters differ.
        """
        for before in list(self._load_state_dict_pre_hooks.values()):
            replaced = before(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(new["params"]) != len(old["params"])
            for new, old in zip(saved, self.param_groups, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        by_number = {
            number: p
            for new, old in zip(saved, self.param_groups, strict=True)
            for number, p in zip(new["params"], old["params"], strict=True)
        }
        self.state = defaultdict(dict)
        for number, values in state_dict["state"].items():
            p = by_number[number]
            self.state[p] = {k: _fitted(k, v, p) for k, v in values.items()}
        for new, old in zip(saved, self.param_groups, strict=True):
            options = {k: copy.deepcopy(v) for k, v in new.items() if k != "params"}
            params = old["params"]
            old.clear()
            old.update(options, params=params)
        for after in list(self._load_state_dict_post_hooks.values()):
            after(self)

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"


def _registered(hooks: Hooks, hook: Callable[..., Any], prepend: bool) -> RemovableHandle:
    handle = RemovableHandle(hooks, hook)
    if prepend:
        later = {k: hooks.pop(k) for k in list(hooks) if k != handle.id}
        hooks.update(later)
    return handle


def _fitted(name: str, value: Any, parameter: Tensor) -> Any:
    """A copy of one entry of a parameter's state, in the parameter's dtype."""
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    if name == "step" or not parameter.is_floating_point():
        return value.detach().clone()
    return value.detach().to(parameter.dtype, copy=True)


def _traced(group: dict[str, Any], trace: Any) -> dict[str, Any]:
    """The group for a compiled step: its rate is read at each call, the rest is constant."""
    for key in group:
        if key not in ("params", "lr"):
            trace.guard(group, key)
    rate = trace.read(lambda: np.asarray(float(group["lr"])), (), np.float64)
    return {**group, "lr": rate}


def learning_rate(group: dict[str, Any]) -> Any:
    """The rate as a number; in a compiled step a tensor that has no value yet."""
    rate = group["lr"]
    traced = isinstance(rate, Tensor) and not isinstance(rate._data, np.ndarray)
    return rate if traced else float(rate)


def with_gradients(group: dict[str, Any]) -> Iterable[tuple[Tensor, Tensor]]:
    """The parameters of a group that have a gradient, with it."""
    for p in group["params"]:
        gradient = p.grad
        if gradient is not None:
            yield p, gradient


def checked_number(name: str, value: Any, low: float = 0.0) -> None:
    """Raise ValueError unless `value` is at least `low` (so not NaN either)."""
    if not low <= value:
        raise ValueError(f"Invalid {name}: {value}")


def unsupported(optimizer: str, **options: bool) -> None:
    """Raise NotImplementedError for options that are set and that we do not have."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"{optimizer}: {name}=True is not supported; leave it False")


def as_number(x: Any) -> Any:
    """The Python number in a 0-d array; numbers as they are, tensors in double precision.

    Bias corrections are computed from it in double precision.
    """
    return x.double() if isinstance(x, Tensor) else x if isinstance(x, int | float) else x.item()


def raise_to(largest: Any, x: Any) -> None:
    """largest = maximum(largest, x) in place, for arrays and tensors."""
    if isinstance(largest, Tensor):
        largest.copy_(largest.maximum(x))
    else:
        np.maximum(largest, x, out=largest)
