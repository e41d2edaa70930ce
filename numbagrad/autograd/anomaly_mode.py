"""Anomaly mode: find the forward op whose gradient is NaN, becomes infinite, or raises.

While it is on, each recorded node keeps the stack of the call, and each step of a backward pass is
watched. While it is off, nothing of this is asked for.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..modes import thread
from ..stack import PACKAGE
from ..tape import Node, Trail, Watch, input_shapes, observe
from ..tensor import Shape, Tensor
from ..transforms.levels import LevelTracer

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled",
           "set_detect_anomaly"]  # fmt: skip


class AnomalyWatch(Watch):
    """Anomaly mode in one thread."""

    def __init__(self, check_nan: bool, check_inf: bool) -> None:
        self.check_nan = check_nan
        self.check_inf = check_inf
        self.running: list[Node] = []  # nodes whose backward is under way, outermost first

    def recorded(self, node: Node) -> None:
        if node.stack is None:
            node.stack = Trail.here(self.running)

    def watching(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def watched(node: Node, grads: list[Tensor | None], *rest: Any) -> Any:
            self.running.append(node)
            try:
                outputs = run(node, grads, *rest)
                self.check(node.name(), node.stack, input_shapes(node, grads), grads, outputs)
            except Exception as error:
                explain(node.name(), node.stack, error)
                raise
            finally:
                self.running.pop()
            return outputs

        return watched

    def check(
        self,
        name: str,
        trail: Trail | None,
        shapes: Sequence[Shape | None],
        given: Sequence[Any],
        found: Sequence[Any],
    ) -> None:
        """Raise if one of the gradients that a node found is bad.

        Args:
            name, trail: of the node.
            shapes: of the inputs of its forward op.
            given: the gradients it got; `given` and `found` are tensors, arrays or None.
        """
        for i, g in enumerate(found):
            data = _values(g)
            if data is None or np.isfinite(data).all():
                continue
            if self.check_nan and np.isnan(data).any():
                what, how = "nan", ""
                if any(np.isnan(a).any() for a in map(_values, given) if a is not None):
                    how = " The gradient that it got holds NaN already."
            elif self.check_inf and all(
                np.isfinite(a).all() for a in map(_values, given) if a is not None
            ):
                what = "inf"
                how = (
                    " The gradients that it got are finite. If infinite gradients are meant, pass "
                    "check_inf=False."
                )
            else:
                continue
            got = ", ".join("none" if g is None else str(tuple(g.shape)) for g in given)
            # A gradient has the shape of its input, so nodes need not know those of all.
            inputs = [g.shape if s is None and g is not None else s for s, g in zip(shapes, found)]
            read = ", ".join("unknown" if s is None else str(tuple(s)) for s in inputs)
            where = "" if trail is None else f" Forward call at {trail.stack.line}."
            raise RuntimeError(
                f"Function '{name}' returned {what} values in its {i}th output. Shapes: inputs of "
                f"the forward op {read}; gradients of its outputs {got}.{how}{where}"
            )


def _values(g: Any) -> Any:
    """The floating-point array of a gradient; None if there is none, as of a tracer."""
    data = g._data if isinstance(g, Tensor) else g
    while isinstance(data, LevelTracer):  # under `vmap` and the like the values are inside
        data = data.contents()[0]._data
    return data if data.__class__ is np.ndarray and data.dtype.kind in "fc" else None


def explain(name: str, trail: Trail | None, error: Exception) -> None:
    """Warn with the stack of the forward call, as PyTorch does."""
    if trail is None:
        text = (
            f"Error detected in {name}. No forward pass information available. Enable "
            "detect anomaly during forward pass for more information."
        )
    else:
        text = (
            f"Error detected in {name}. Traceback of forward call that caused the error:\n"
            f"{trail.stack.format()}"
        )
        parent = trail.parent
        while parent is not None:
            by, trail = parent
            if trail is None:
                text += (
                    f"\n\nPrevious calculation was induced by {by}. No forward pass information "
                    "available."
                )
                break
            text += (
                f"\n\nPrevious calculation was induced by {by}. Traceback of forward call that "
                f"induced the previous calculation:\n{trail.stack.format()}"
            )
            parent = trail.parent
    try:
        warnings.warn(text, UserWarning, stacklevel=_outside())
    except UserWarning:  # a filter made it an error, which must not replace the one under way
        error.add_note(text)


def _outside() -> int:
    """The stack level, seen from the caller, of the first frame outside of the package."""
    level = 0
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
        level += 1
    return level + 1


def is_anomaly_enabled() -> bool:
    """True if anomaly mode is on in this thread."""
    return thread.modes.anomaly is not None


def is_anomaly_check_nan_enabled() -> bool:
    """True if anomaly mode is on in this thread and checks for NaN."""
    return thread.modes.anomaly is not None and thread.modes.anomaly.check_nan


def _watch(check_nan: bool, check_inf: bool | None) -> AnomalyWatch:
    return AnomalyWatch(check_nan, check_nan if check_inf is None else check_inf)


def _set(watch: AnomalyWatch | None) -> AnomalyWatch | None:
    """Returns what was set before."""
    modes = thread.modes
    previous, modes.anomaly = modes.anomaly, watch
    observe(modes)
    return previous


class set_detect_anomaly:
    """Turn anomaly mode on or off, at once; as a ``with`` block it is set back at the end.

    Args:
        mode: on or off.
        check_nan: raise if a gradient holds NaN; otherwise only errors are explained.
        check_inf: raise if finite gradients become infinite; by default what `check_nan` says.

    >>> import numbagrad as ng
    >>> with ng.autograd.set_detect_anomaly(True):
    ...     ng.autograd.is_anomaly_enabled()
    True
    """

    def __init__(self, mode: bool, check_nan: bool = True, check_inf: bool | None = None) -> None:
        self.previous = _set(_watch(check_nan, check_inf) if mode else None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _set(self.previous)


class detect_anomaly:
    """A ``with`` block in which errors of the backward pass lead back to the forward call.

    A gradient that is NaN, or infinite though it was made of finite gradients, raises a
    RuntimeError that names the op, the shapes and the line that called it; a warning shows the
    whole stack. The forward pass must run inside as well to be remembered. It works for compiled
    functions, too: their gradients are computed once more, op by op. It makes everything slower:
    for debugging only, as a warning says.

    Args:
        check_nan: raise if a gradient holds NaN; otherwise only errors are explained.
        check_inf: raise if finite gradients become infinite; by default what `check_nan` says.

    >>> import warnings
    >>> import numbagrad as ng
    >>> x = ng.tensor([0.0], requires_grad=True)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     with ng.autograd.detect_anomaly():
    ...         (x.sqrt() * 0).sum().backward()
    Traceback (most recent call last):
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output. ...
    """

    def __init__(self, check_nan: bool = True, check_inf: bool | None = None) -> None:
        self.check_nan = check_nan
        self.check_inf = check_inf
        self.previous: list[AnomalyWatch | None] = []
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.previous.append(_set(_watch(self.check_nan, self.check_inf)))

    def __exit__(self, *exc: object) -> None:
        _set(self.previous.pop())
