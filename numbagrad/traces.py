"""The traces of a compiled function: which of them fits a call, how many are kept, why there is one
more."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from . import config
from .ir.pytree import paths
from .tensor import Tensor
from .traced import Traced

_TRACES_BEFORE_WARNING = 8
_SIGNATURES = 256  # kept by one function
_TENSOR_PARTS = 4  # shape, strides, dtype, requires_grad
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Traces:
    """The traces by signature: (structure, a tuple for each leaf, which are the same, modes)."""

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        self.fn = fn
        self.name = name
        self.entries: dict[Any, list[Traced]] = {}  # those of one signature, latest first
        self.signatures: list[Any] = []  # of the traces, oldest first
        self._reasons: dict[str, int] = {}

    def latest(self) -> list[Traced]:
        """The trace that was made last, if there is one."""
        return self.entries[self.signatures[-1]][:1] if self.signatures else []

    def remember(self, key: Any, traced: Traced, reason: str) -> None:
        """Keep a new trace; warn if one and the same thing makes us trace again and again."""
        if not traced.once:
            self.entries.setdefault(key, []).insert(0, traced)
            self.signatures.append(key)
        if len(self.signatures) > _SIGNATURES:
            oldest = self.signatures.pop(0)
            self.entries[oldest].pop()
            if not self.entries[oldest]:
                del self.entries[oldest]
        if not reason:
            reason = self._changing(key)
        if reason and not traced.once:
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
            if self._reasons[reason] == _TRACES_BEFORE_WARNING:
                warnings.warn(
                    f"{self.name} was traced {_TRACES_BEFORE_WARNING} times because {reason} "
                    "changes from call to call. Numbers that change are to be tensors: "
                    "ng.tensor(x)",
                    stacklevel=_user_level(),
                )

    def difference(self, key: Any) -> str:
        """What tells a call from the one that was traced last."""
        if not self.signatures:
            return "the first call"
        old, new = self.signatures[-1], key
        if old[0] != new[0]:
            return "other arguments, or a tree of them with another structure"
        places = paths(new[0])
        found = []
        for place, a, b in zip(places, old[1], new[1], strict=True):
            if a == b:
                continue
            name = self._argument(place)
            if len(a) == len(b) == _TENSOR_PARTS:
                facts = zip(("shape", "strides", "dtype", "requires_grad"), a, b, strict=True)
                found += [f"the {f} of {name} is {q}, was {p}" for f, p, q in facts if p != q]
            else:
                found.append(f"{name} is {b[-1]!r}, was {a[-1]!r}")
        if old[2] != new[2]:
            found.append("other arguments are one and the same tensor")
        if old[3:] != new[3:]:
            found.append("another gradient or inference mode")
        return "; ".join(found) or "a trace that was forgotten"

    def _changing(self, key: Any) -> str:
        """The name of the argument that is not a tensor and differs from the call before."""
        if len(self.signatures) < 2:
            return ""
        previous = self.signatures[-2]
        if previous[0] != key[0]:
            return ""
        places = paths(key[0])
        for i, (old, new) in enumerate(zip(previous[1], key[1], strict=True)):
            if old != new and len(new) != _TENSOR_PARTS:
                return f"the argument {self._argument(places[i])}"
        return ""

    def _argument(self, path: tuple[Any, ...]) -> str:
        """How the user calls the argument at a path in (args, kwargs)."""
        kind, first, *rest = path
        name = repr(first)
        if kind == 0:
            try:
                name = repr(list(inspect.signature(self.fn).parameters)[first])
            except (IndexError, TypeError, ValueError):
                name = f"number {first}"
        return name + "".join(f"[{p!r}]" for p in rest)


def fitting(entries: list[Traced] | None, tensors: list[Tensor]) -> Traced | None:
    """The trace that is valid for a call with these tensors now."""
    for traced in entries or ():
        if not traced.misfit(tensors):
            return traced
    return None


def report(level: int, name: str, traced: Traced, seconds: float, reason: str) -> None:
    """Tell about a new trace: the ladder of NUMBAGRAD_DEBUG."""
    config.report(f"{name}: traced and planned in {seconds * 1e3:.1f} ms: {reason}")
    if level >= 2:
        config.report(f"{name}:\n" + "\n".join(explained(traced)))
    if level >= 3:
        config.report(f"sources of {name}:\n" + "\n\n".join(traced.forward.sources))


def explained(traced: Traced) -> list[str]:
    """The graphs of a trace after all passes, and how they run."""
    lines = [str(traced.graph), *traced.forward.describe()]
    if traced.backward is not None:
        backward = traced.backward
        lines += ["", "backward:", str(backward.graph), *backward.describe()]
    return lines


def _user_level() -> int:
    """For `warnings.warn` in the calling function: the level of the user's call."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
