"""Blocks inside which the evaluation of ops on arrays goes through a function of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..modes import thread
from ..ops.registry import REGISTRY, Op
from ..stack import Stack

Run = Callable[[], Any]


class Interception:
    """A block inside which :meth:`evaluated` is asked for the result of each op.

    Ops that only make views are not asked for; nor is anything inside a compiled function.
    """

    def __init__(self) -> None:
        self._outer: list[Callable[..., Any]] = []
        self._ops: dict[Any, Op] = {}

    def __enter__(self) -> Any:
        if len(self._ops) != len(REGISTRY):
            self._ops = {op.evaluate: op for op in REGISTRY.values() if not op.view}
        modes = thread.modes
        self._outer.append(modes.quietly)
        modes.quietly = self._call
        return self

    def __exit__(self, *exc: object) -> None:
        thread.modes.quietly = self._outer.pop()

    def _call(self, fn: Callable[..., Any], *args: Any, **params: Any) -> Any:
        op = self._ops.get(fn)
        outer = self._outer[-1]
        if op is None:
            return outer(fn, *args, **params)
        return self.evaluated(op, args, params, lambda: outer(fn, *args, **params))

    def evaluated(self, op: Op, args: tuple[Any, ...], params: dict[str, Any], run: Run) -> Any:
        """The result of ``op(*args, **params)``: an array or a tuple of them."""
        raise NotImplementedError


class _Noted(Interception):
    """Notes which ops run, and where."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def evaluated(self, op: Any, args: Any, params: Any, run: Callable[[], Any]) -> Any:
        shapes = ", ".join(str(list(a.shape)) if hasattr(a, "shape") else repr(a) for a in args)
        self.lines.append(f"{op.name}({shapes})  at {Stack.here().line}")
        return run()


class OpLog:
    """The ops of both runs, for the message of an error."""

    def __init__(self) -> None:
        self.runs = _Noted(), _Noted()

    def contexts(self) -> tuple[Any, Any]:
        return self.runs

    def text(self) -> str:
        first, second = ("\n  ".join(run.lines) for run in self.runs)
        return (
            f"\nOperations executed during the original forward:\n  {first}\n"
            f"Operations executed during recomputation:\n  {second}"
        )
