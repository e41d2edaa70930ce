"""Selective checkpointing: what a policy picks is kept, the rest is computed again."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..ops.export import EXPORTS
from ..ops.registry import REGISTRY, Op
from ..tensor import wrap
from .interception import Interception, Run

_RECOMPUTE, _CONSUMED = object(), object()
_MISMATCH = (
    "This can happen if the operations in the checkpointed region are nondeterministic or depend "
    "on global state that changed between forward and backward."
)


class CheckpointPolicy(enum.Enum):
    """What happens to the result of an op: kept from the first run, or computed again.

    MUST and PREFER are the same here; offloading to the CPU is keeping.
    """

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_RECOMPUTED = (CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_RECOMPUTE)


class SelectiveCheckpointContext:
    """What a policy is told: the result of the op; `is_recompute` is False always."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute = is_recompute
        self.op_output = op_output


Policy = Callable[..., "CheckpointPolicy | bool"]
Kept = dict[Op, dict[int, Any]]  # by op and number of its call


def _tensors(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_tensors, x))
    return wrap(x) if isinstance(x, np.ndarray) else x


class _First(Interception):
    """The first run: asks the policy about each result."""

    def __init__(self, policy: Policy, kept: Kept) -> None:
        super().__init__()
        self.policy = policy
        self.kept = kept
        self.count: dict[Op, int] = defaultdict(int)

    def evaluated(self, op: Op, args: tuple[Any, ...], params: dict[str, Any], run: Run) -> Any:
        out = run()
        i = self.count[op]
        self.count[op] += 1
        context = SelectiveCheckpointContext(is_recompute=False, op_output=_tensors(out))
        decision = self.policy(context, op, *map(_tensors, args), **params)
        save = decision if isinstance(decision, bool) else decision not in _RECOMPUTED
        # A copy: the function may change its own tensor in place.
        self.kept[op][i] = _copy(out) if save else _RECOMPUTE
        return out


def _copy(out: Any) -> Any:
    return tuple(map(np.copy, out)) if isinstance(out, tuple) else np.array(out, order="K")


class _Second(Interception):
    """The second run: results that were kept are handed out, once."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept
        self.count: dict[Op, int] = defaultdict(int)

    def __enter__(self) -> Any:
        self.count.clear()
        return super().__enter__()

    def evaluated(self, op: Op, args: tuple[Any, ...], params: dict[str, Any], run: Run) -> Any:
        i = self.count[op]
        self.count[op] += 1
        found = self.kept.get(op, {}).get(i)
        if found is None:
            raise RuntimeError(
                f"{op.name} invocation index {i} encountered during backward but not found in "
                f"storage. {_MISMATCH}"
            )
        if found is _CONSUMED:
            raise RuntimeError(
                "Trying to backward an extra time. You are only allowed to backward once on any "
                "region computed under selective activation checkpoint."
            )
        if found is _RECOMPUTE:
            return run()
        self.kept[op][i] = _CONSUMED
        return found


def _listed(ops: Iterable[Any]) -> set[Op]:
    found = set()
    for op in ops:
        name = op if isinstance(op, str) else getattr(op, "name", getattr(op, "__name__", None))
        record = op if isinstance(op, Op) else REGISTRY.get(name)  # type: ignore[arg-type]
        if record is None:
            what = "is made of several ops: name those" if name in EXPORTS else "is no op"
            raise ValueError(
                f"Expected ops in the list, by name, function or record, but {name or op!r} {what}"
            )
        found.add(record)
    return found


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Policy | list[Any], allow_cache_entry_mutation: bool = False
) -> tuple[Any, Any]:
    """The two context managers for ``context_fn`` of a checkpoint that keeps some results.

    Args:
        policy_fn_or_list: ``policy(context, op, *args, **params)`` is called for each op of the
            first run (`op` is its record in the registry, with a `name`) and says with a
            :class:`CheckpointPolicy` whether the result is kept; or a list of the ops to keep, by
            name ("matmul") or as functions. Views are never kept, and in a compiled function the
            compiler decides.
        allow_cache_entry_mutation: accepted for compatibility: what is kept is a copy.

    Raises:
        TypeError: neither a function nor a list.
        ValueError: something in the list is no op.
        RuntimeError: in the backward pass, if the runs differ, or on a second pass.

    >>> import functools
    >>> import numbagrad as ng
    >>> from numbagrad.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
    >>> keep = functools.partial(create_selective_checkpoint_contexts, ["matmul"])
    >>> x, w = ng.ones(2, 2, requires_grad=True), ng.ones(2, 2, requires_grad=True)
    >>> f = lambda x, w: (x @ w).tanh()  # runs the product once, tanh twice
    >>> checkpoint(f, x, w, use_reentrant=False, context_fn=keep).sum().backward()
    """
    if isinstance(policy_fn_or_list, list):
        wanted = _listed(policy_fn_or_list)

        def policy(context: Any, op: Op, *args: Any, **params: Any) -> bool:
            return op in wanted

    elif callable(policy_fn_or_list):
        policy = policy_fn_or_list  # type: ignore[assignment]
    else:
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    kept: Kept = defaultdict(dict)
    return _First(policy, kept), _Second(kept)
