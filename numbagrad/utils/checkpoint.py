"""Checkpointing: compute parts of a model again in the backward pass, instead of keeping them.

Two variants, as in PyTorch. The first one (``use_reentrant=True``) is a `Function` that runs the
forward pass without recording, and again with recording inside its backward. The other replaces
each saved tensor by a placeholder; the first one that the backward pass wants makes the function
run again, and the tensors it saves then are the values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from .. import autograd
from ..autograd.function_levels import highest_level
from ..autograd.graph import saved_tensors_hooks
from ..creation import zeros
from ..modes import enable_grad, thread
from ..random import fork_rng, get_rng_state, set_rng_state
from ..tape import next_sequence
from ..tensor import Tensor
from ..transforms.remat import checkpoint as transformed
from .interception import OpLog
from .selective import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

_UNSET = (
    "numbagrad.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
    "use_reentrant=False is recommended; without it the reentrant variant is used, as in PyTorch."
)


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function did not do what the first one did."""


class _Stop(Exception):
    """Ends the second run as soon as all values are there."""


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """The default of ``context_fn``: nothing around the first run, nothing around the second."""
    return nullcontext(), nullcontext()


def _replay_rng(state: Any) -> AbstractContextManager[Any]:
    """Random numbers inside are those that followed `state`; the generator is not moved."""
    if state is None:
        return nullcontext()

    @contextmanager
    def block() -> Iterator[None]:
        with fork_rng():
            set_rng_state(state)
            yield

    return block()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Call ``function(*args, **kwargs)`` without keeping what its backward pass needs.

    Args:
        function: runs a second time in the backward pass, and must do the same then.
        use_reentrant: which variant. False: all of autograd works. True: only ``backward()``
            without `inputs`; an argument itself, not inside a list, must require grad; no
            `kwargs`. Not given: True, with a warning. In a compiled function they are the same.
        context_fn: returns two context managers, for the first and the second run, such as
            :func:`create_selective_checkpoint_contexts` makes.
        determinism_check: "default" compares shapes and dtypes of the two runs, "none" does not.
        debug: note the ops of both runs, and show them if the runs differ. Not along with
            `context_fn`.
        early_stop: end the second run when the last value that is needed has been computed.
        kwargs: for `function`; and ``preserve_rng_state`` (True): random numbers, as in dropout,
            are the same in both runs.

    Returns:
        What `function` returns.

    Raises:
        ValueError: an option that the variant does not have.
        CheckpointError: in the backward pass, if the two runs differ.
        RuntimeError: in the backward pass of the reentrant variant, if used by ``grad`` or with
            `inputs`.

    >>> import numbagrad as ng
    >>> x = ng.tensor([1.0, 2.0], requires_grad=True)
    >>> y = ng.utils.checkpoint.checkpoint(lambda t: (t.exp() * t).sum(), x, use_reentrant=False)
    >>> y.backward()
    >>> x.grad
    tensor([ 5.4366, 22.1672])
    """
    if use_reentrant is None:
        warnings.warn(_UNSET, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant and thread.modes.trace is None:
        if context_fn is not noop_context_fn or debug:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    if highest_level((*args, *kwargs.values())) is not None:
        return transformed(function)(*args, **kwargs)
    if _debug_override:
        debug = _debug_override[-1]
    if debug and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    log = OpLog() if debug else None
    return _without_reentry(
        function, args, kwargs, preserve, log.contexts if log else context_fn, determinism_check,
        early_stop, log,
    )  # fmt: skip


# -- the reentrant variant ------------------------------------------------------------------------


class CheckpointFunction(autograd.Function):
    """The reentrant variant: ``CheckpointFunction.apply(function, preserve_rng_state, *args)``."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4
            )
        ctx.function = function
        ctx.rng_state = get_rng_state() if preserve else None
        ctx.args = [None if isinstance(a, Tensor) else a for a in args]
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if not thread.modes.backward.everything:
            raise RuntimeError(
                "When use_reentrant=True, numbagrad.utils.checkpoint is incompatible with .grad() "
                "or passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
            )
        args = list(ctx.args)
        for i, t in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[i] = t.detach().requires_grad_(t.requires_grad)
        with _replay_rng(ctx.rng_state), enable_grad():
            outputs = ctx.function(*args)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        pairs = [
            (o, g)
            for o, g in zip(outputs, grads, strict=True)
            if isinstance(o, Tensor) and o.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in args))


# -- the other variant ----------------------------------------------------------------------------

_early_stop_override: list[bool] = []


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Inside, checkpoints of the variant without reentry end their second run early, or do not.

    It overrides the argument ``early_stop`` of each.
    """
    _early_stop_override.append(enable)
    try:
        yield
    finally:
        _early_stop_override.pop()


_debug_override: list[bool] = []


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Inside, checkpoints of the variant without reentry note their ops, or do not.

    It overrides the argument ``debug`` of each; None leaves it to them.
    """
    kept = _debug_override[:]
    _debug_override[:] = [] if enabled is None else [enabled]
    try:
        yield
    finally:
        _debug_override[:] = kept


class _Place:
    """Stands on the tape for a tensor that will be computed again."""

    __slots__ = ("frame", "index")

    def __init__(self, frame: _Frame, index: int) -> None:
        self.frame = frame
        self.index = index


class _Inputs(autograd.Function):
    """Keeps the arguments as an op does: checked for changes, and through the hooks outside."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return anchor.detach()


class _Frame:
    """One call of a checkpointed function."""

    def __init__(
        self, rerun: Callable[..., Any], args: tuple[Any, ...], early_stop: bool, check: bool,
        log: OpLog | None,
    ) -> None:  # fmt: skip
        self.rerun = rerun
        self.log = log
        tensors = [a for a in args if isinstance(a, Tensor)]
        self.saver = _Inputs.apply(zeros(0, requires_grad=True), *tensors).grad_fn
        self.others = [None if isinstance(a, Tensor) else a for a in args]
        self.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        self.early_stop = early_stop
        self.check = check
        self.metas: list[Any] = []  # of each tensor that the first run saved
        self.current = -1  # the backward pass whose values these are
        self.values: dict[int, Tensor] = {}  # by place; each is handed out once

    def pack(self, t: Tensor) -> _Place:
        self.metas.append(_meta(t))
        return _Place(self, len(self.metas) - 1)

    def unpack(self, place: _Place) -> Tensor:
        now = thread.modes.backward
        which = next_sequence() if now is None else now.id
        if which != self.current:
            try:
                self.compute()
            except CheckpointError as error:
                if self.log is None:
                    raise
                raise CheckpointError(f"{error}{self.log.text()}") from None
            self.current = which
        if place.index not in self.values:
            raise CheckpointError(
                "numbagrad.utils.checkpoint: Unpack is being triggered for a tensor that was "
                "already unpacked once. If you are calling ctx.saved_tensors in backward, make "
                "sure to do so only once."
            )
        return self.values.pop(place.index)

    def compute(self) -> None:
        """Run the function again and keep what it saves."""
        found: list[Tensor] = []
        wanted = len(self.metas)

        def pack(t: Tensor) -> Tensor:
            if len(found) == wanted:
                raise CheckpointError(
                    "numbagrad.utils.checkpoint: trying to save more tensors during "
                    "recomputation than during the original forward pass, which saved "
                    f"{wanted}. The function must do the same in both runs."
                )
            found.append(t.detach())
            if self.early_stop and len(found) == wanted:
                raise _Stop
            return found[-1]

        args = list(self.others)
        for i, t in zip(self.places, self.saver.saved_tensors, strict=True):
            args[i] = t
        try:
            with saved_tensors_hooks(pack, lambda t: t), enable_grad():
                self.rerun(*args)
        except _Stop:
            pass
        if len(found) != wanted:
            raise CheckpointError(
                "numbagrad.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\n"
                f"Number of tensors saved during forward: {wanted}\n"
                f"Number of tensors saved during recomputation: {len(found)}."
            )
        if self.check:
            self._compare([_meta(t) for t in found])
        self.values = dict(enumerate(found))

    def _compare(self, found: list[Any]) -> None:
        different = [
            f"tensor at position {i}:\nsaved metadata: {a}\nrecomputed metadata: {b}\n"
            for i, (a, b) in enumerate(zip(self.metas, found, strict=True))
            if a != b
        ]
        if different:
            raise CheckpointError(
                "numbagrad.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass.\n" + "".join(different)
            )


def _meta(t: Tensor) -> dict[str, Any]:
    return {"shape": t.shape, "dtype": t.dtype}


def _without_reentry(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], preserve: bool,
    context_fn: Callable[[], tuple[Any, Any]], determinism_check: str, early_stop: bool,
    log: OpLog | None,
) -> Any:  # fmt: skip
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    if _early_stop_override:
        early_stop = _early_stop_override[-1]
    first, second = context_fn()
    state = get_rng_state() if preserve else None
    names = list(kwargs)

    def rerun(*inputs: Any) -> None:
        own = inputs[: len(args)]
        named = dict(zip(names, inputs[len(args) :], strict=True))
        with _replay_rng(state), second:
            function(*own, **named)

    if not thread.modes.grad:
        return function(*args, **kwargs)
    frame = _Frame(
        rerun, (*args, *kwargs.values()), early_stop, determinism_check == "default", log
    )
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


# -- a sequence of modules ------------------------------------------------------------------------


def checkpoint_sequential(
    functions: Iterable[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Run modules one after the other, in checkpointed segments; the last one is not.

    Args:
        functions: an ``nn.Sequential`` or a list of modules or functions.
        segments: how many parts to divide them into.
        input: what the first one gets.
        use_reentrant: as in :func:`checkpoint`.
        kwargs: ``preserve_rng_state``.

    Returns:
        What the last one returns.

    Raises:
        ValueError: an unknown keyword argument.

    >>> import numbagrad as ng
    >>> x = ng.ones(2, requires_grad=True)
    >>> steps = [ng.exp, ng.sin, ng.cos]
    >>> ng.utils.checkpoint.checkpoint_sequential(steps, 2, x, use_reentrant=False)
    tensor([0.9168, 0.9168], grad_fn=<CosBackward0>)
    """
    if use_reentrant is None:
        warnings.warn(_UNSET, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = list(functions)

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for step in steps[start:end]:
                x = step(x)
            return x

        return run

    size = len(steps) // segments
    for start in range(0, size * (segments - 1), size or 1):
        input = checkpoint(
            part(start, start + size), input, use_reentrant=use_reentrant,
            preserve_rng_state=preserve,
        )  # fmt: skip
    return part(size * (segments - 1), len(steps))(input)
