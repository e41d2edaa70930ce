"""`autocast` for scripts that train in mixed precision: accepted, computed in full precision."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, Self

from .. import dtypes
from ..devices import device

_state = threading.local()


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether the code runs inside an :class:`autocast` of this device that is enabled."""
    return device(device_type).type == "cpu" and getattr(_state, "enabled", False)


class autocast:
    """A context (or decorator) in which ops may be computed in less precision; here none is.

    Results keep the dtypes that they have outside; `dtype` and `cache_enabled` have no effect. A
    device other than the CPU disables it with a warning, as PyTorch does where it has none.

    Raises:
        ValueError: `device_type` is not a string.
        RuntimeError: there is no device of this name.

    >>> import numbagrad as ng
    >>> with ng.autocast("cpu", dtype=ng.float16):
    ...     ng.is_autocast_enabled("cpu"), (ng.ones(2, 2) @ ng.ones(2, 2)).dtype
    (True, numbagrad.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtypes.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device(device_type).type
        if enabled and self.device != "cpu":
            warnings.warn(
                f"User provided device_type of '{device_type}', but numbagrad runs on the CPU "
                "only. Disabling",
                UserWarning,
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        self._before.append(getattr(_state, "enabled", False))
        if self.device == "cpu":
            _state.enabled = self._enabled
        return self

    def __exit__(self, *exception: Any) -> None:
        _state.enabled = self._before.pop()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return run
