"""Anomaly mode: find the forward op whose gradient is NaN or raises.

While it is on, each recorded node keeps the stack of the call, and each step of a backward pass is
watched. While it is off, nothing of this is asked for.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..modes import thread
from ..tape import Node, observe
from ..tensor import Tensor

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled",
           "set_detect_anomaly"]  # fmt: skip

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Trail:
    """Where an op was called, and by which node's backward if it was part of a backward pass."""

    __slots__ = ("parent", "stack")

    def __init__(self, stack: traceback.StackSummary, parent: Node | None) -> None:
        self.stack = stack
        self.parent = parent

    @property
    def line(self) -> str:
        """The innermost line."""
        frame = self.stack[-1]
        return f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"


def _user_stack() -> traceback.StackSummary:
    """The calling frames outside of this package, the innermost last."""
    frame: Any = sys._getframe(1)
    found = []
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            found.append((frame, frame.f_lineno))
        frame = frame.f_back
    return traceback.StackSummary.extract(iter(reversed(found)), lookup_lines=False)


class _Watch:
    """What the tape and the engine call in anomaly mode."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan
        self.running: list[Node] = []  # nodes whose backward is under way, outermost first

    def recorded(self) -> _Trail:
        return _Trail(_user_stack(), self.running[-1] if self.running else None)

    def watching(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """`run(node, gradients, ...)`, which runs one node, with what it does checked."""

        def watched(node: Node, grads: list[Tensor | None], *rest: Any) -> Any:
            self.running.append(node)
            try:
                outputs = run(node, grads, *rest)
                if self.check_nan:
                    self._check(node, grads, outputs)
            except Exception as error:
                _report(node, error)
                raise
            finally:
                self.running.pop()
            return outputs

        return watched

    def _check(self, node: Node, grads: list[Tensor | None], outputs: Any) -> None:
        for i, g in enumerate(outputs):
            if g is None or not _has_nan(g):
                continue
            given = [None if x is None else tuple(x.shape) for x in grads]
            also = "" if not any(x is not None and _has_nan(x) for x in grads) else (
                " The gradient that it got holds NaN already."
            )  # fmt: skip
            where = f" Forward call at {node.stack.line}." if node.stack else ""
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {i}th output. Shapes: "
                f"gradients of its outputs {given}, this gradient {tuple(g.shape)}.{also}{where}"
            )


def _has_nan(t: Tensor) -> bool:
    data = t._data
    if data.__class__ is not np.ndarray or data.dtype.kind not in "fc":
        return False  # a tracer has no values yet
    return bool(np.isnan(data).any())


def _report(node: Node, error: Exception) -> None:
    """Warn with the stack of the forward call, as PyTorch does."""
    if node.stack is None:
        text = (
            f"Error detected in {node.name()}. No forward pass information available. Enable "
            "detect anomaly during forward pass for more information."
        )
    else:
        stack = "".join(node.stack.stack.format())
        text = (
            f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
            f"{stack}"
        )
        parent = node.stack.parent
        while parent is not None:
            if parent.stack is None:
                text += (
                    f"\n\nPrevious calculation was induced by {parent.name()}. No forward pass "
                    "information available."
                )
                break
            text += (
                f"\n\nPrevious calculation was induced by {parent.name()}. Traceback of forward "
                "call that induced the previous calculation:\n"
                + "".join(parent.stack.stack.format())
            )
            parent = parent.stack.parent
    try:
        warnings.warn(text, UserWarning, stacklevel=_outside())
    except UserWarning:  # a filter made it an error, which must not replace the one under way
        error.add_note(text)


def _outside() -> int:
    """The stack level, seen from the caller, of the first frame outside of the package."""
    level = 0
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    return level + 1


def is_anomaly_enabled() -> bool:
    """True if anomaly mode is on in this thread."""
    return thread.modes.anomaly is not None


def is_anomaly_check_nan_enabled() -> bool:
    """True if anomaly mode is on in this thread and checks for NaN."""
    return thread.modes.anomaly is not None and thread.modes.anomaly.check_nan


def _set(watch: _Watch | None) -> _Watch | None:
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
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.previous = _set(_Watch(check_nan) if mode else None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _set(self.previous)


class detect_anomaly:
    """A ``with`` block in which errors of the backward pass lead back to the forward call.

    A gradient with NaN raises a RuntimeError that names the op, the shapes and the line that
    called it; a warning shows the whole stack. The forward pass must run inside as well to be
    remembered. It makes everything slower: for debugging only, as a warning says.

    Args:
        check_nan: raise if a gradient holds NaN; otherwise only errors are explained.

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

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self.previous: list[_Watch | None] = []
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.previous.append(_set(_Watch(self.check_nan)))

    def __exit__(self, *exc: object) -> None:
        _set(self.previous.pop())
