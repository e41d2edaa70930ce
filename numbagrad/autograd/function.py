"""`Function`: an operation whose forward and backward the user writes.

Its `forward` runs without recording; what it returns gets one node on the tape, whose `apply`
calls the user's `backward`. Inside a compiled function both are traced through.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..inplace import check_view_creation, follow
from ..modes import thread
from ..ops.view import alias
from ..tape import Node
from ..tensor import Tensor, count_change, wrap
from ..views import refresh
from .function_levels import Custom, highest_level
from .function_node import FunctionCtx, FunctionNode
from .recorder import FUNCTION

__all__ = ["Function", "FunctionCtx", "apply_function", "once_differentiable"]


Names = tuple[str, ...]
_ndarray = np.ndarray


class _FunctionMeta(type):
    """Gives each Function its class of nodes, named after it."""

    def __init__(cls, name: str, bases: Any, namespace: Any) -> None:
        super().__init__(name, bases, namespace)
        members = {"__slots__": (), "function": cls}
        cls._node_class = type(f"{name}Backward", (FunctionNode,), members)


class Function(metaclass=_FunctionMeta):
    """An operation with a gradient of its own: subclass it, then call ``YourFunction.apply(...)``.

    `forward` computes with tensors, without recording. Either it takes `ctx` first, or it takes
    the arguments alone and `setup_context` is defined as well. `backward` gets the gradient of
    each output and returns one for each argument: a tensor of the argument's shape (or one that
    broadcasting made larger), or None. It is recorded if a graph is wanted, so it can be
    differentiated if it is made of differentiable ops.

    >>> import numbagrad as ng
    >>> class Cube(ng.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * g
    >>> x = ng.tensor([2.0], requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor([12.])
    """

    #: What `compile` follows to what the user's rules close over.
    _user_functions = ("forward", "setup_context", "backward", "vjp", "jvp", "vmap")
    _node_class: type[FunctionNode]
    _signature: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            f"new-style autograd function with static forward method: {type(self).__name__}.apply"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The computation: ``forward(ctx, *args)``, or ``forward(*args)`` with `setup_context`."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(*args: Any, **kwargs: Any) -> Any:
        """``setup_context(ctx, inputs, output)``: save on `ctx` what `backward` needs.

        `inputs` are all arguments, `output` is what `forward` returned.
        """
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(*args: Any, **kwargs: Any) -> Any:
        """``backward(ctx, *grad_outputs)``: the gradients of the arguments."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    #: Another name for `backward`; define one of them.
    vjp = backward

    @staticmethod
    def jvp(*args: Any, **kwargs: Any) -> Any:
        """``jvp(ctx, *tangents)``: the tangent of each output, for forward mode.

        A tangent for each argument; zeros for a tensor that has none (None without
        :meth:`FunctionCtx.set_materialize_grads`), None for what is not a tensor. The tensors
        that `save_for_forward` kept are in ``ctx.saved_tensors``.
        """
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(*args: Any, **kwargs: Any) -> Any:
        """``vmap(info, in_dims, *args)``: the function on a whole batch, for :func:`ng.func.vmap`.

        `info` has `batch_size` and `randomness`; `in_dims` says which dimension of each argument
        is the batch, None for none. Returns (output, out_dims). Unless `generate_vmap_rule`.
        """
        raise NotImplementedError("vmap is not implemented.")

    #: Let `vmap` map forward, setup_context, backward and jvp, which then must be made of ops.
    generate_vmap_rule = False

    @classmethod
    def _signature_of_forward(cls) -> tuple[inspect.Signature, int]:
        """The signature, and how many arguments fill it; -1 if there is no such number."""
        kept = cls.__dict__.get("_signature")
        if kept is None or kept[0] is not cls.forward:
            signature = inspect.signature(cls.forward)
            kinds = {p.kind for p in signature.parameters.values()}
            plain = kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
            kept = cls.forward, signature, len(signature.parameters) if plain else -1
            cls._signature = kept
        return kept[1:]

    @classmethod
    def gradient_rule(cls) -> Callable[..., Any]:
        """`backward`, or `vjp` if that is defined.

        Raises:
            RuntimeError: both are.
        """
        if cls.vjp is Function.vjp:
            return cls.backward
        if cls.backward is not Function.backward:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                "You should only implement one of them."
            )
        return cls.vjp

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the function.

        Args:
            args: anything; tensors among them (not inside lists) may get gradients.
            kwargs: for `forward`; `backward` returns gradients for them after those of `args`.

        Returns:
            What `forward` returned; tensors in it (or in the tuple) have this Function as
            ``grad_fn``.

        Raises:
            RuntimeError: a tensor marked as dirty was not returned or cannot be changed in place;
                inside a transform, what it needs (`setup_context`, `vmap`) is missing.
            NotImplementedError: in forward mode, without `jvp`.
        """
        if cls.setup_context is not Function.setup_context:
            signature, arity = cls._signature_of_forward()
            if kwargs or len(args) != arity:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                args, kwargs = bound.args, bound.kwargs
        inputs, names = (*args, *kwargs.values()), tuple(kwargs)
        profiler = thread.modes.profiler
        if profiler is None:
            return _applied(cls, inputs, names)[0]
        with profiler.span(cls.__name__, FUNCTION, inputs):
            return _applied(cls, inputs, names)[0]


def _applied(
    cls: type[Function], inputs: tuple[Any, ...], names: Names, below: bool = False
) -> tuple[Any, FunctionCtx]:
    """The result of one call, and its ctx.

    Args:
        names: of the last inputs, which were passed by keyword.
        below: a level above asked; it wants to know what forward has left on the ctx.
    """
    modes = thread.modes
    needs: list[bool] = []
    plain = True  # no argument can belong to a level
    for a in inputs:
        if isinstance(a, Tensor):
            if a._view is not None:
                refresh(a)
            needs.append(a._requires_grad)
            if a._data.__class__ is not _ndarray:
                plain = False
        else:
            needs.append(False)
            if isinstance(a, tuple | list | dict):
                plain = False
    ctx = FunctionCtx(tuple(needs))
    node = None
    if True in needs and modes.grad and not modes.inference:
        node = cls._node_class(ctx, inputs)
    separate = cls.setup_context is not Function.setup_context
    args: tuple[Any, ...] = inputs
    kwargs: dict[str, Any] = {}
    if names:
        args, last = inputs[: -len(names)], inputs[-len(names) :]
        kwargs = dict(zip(names, last, strict=True))
    level = None if plain else highest_level(inputs)
    raw: Any = None
    if level is not None:
        call = Custom(cls, Function, inputs, lambda xs: _applied(cls, xs, names, below=True))
        raw = call.at(level)
        if not separate:
            call.lift(ctx, level, raw)
        call.forget()
    grad, modes.grad = modes.grad, False
    try:
        if separate:
            if level is None:
                raw = cls.forward(*args, **kwargs)
            cls.setup_context(ctx, args, raw)
        elif level is None:
            raw = cls.forward(ctx, *args, **kwargs)
    finally:
        modes.grad = grad
    outs = raw if isinstance(raw, tuple) else (raw,)
    if ctx.non_differentiable:
        fixed = {id(t) for t in ctx.non_differentiable}
        ctx._constant_outputs = frozenset(i for i, o in enumerate(outs) if id(o) in fixed)
    results = _with_history(node, ctx, inputs, outs, separate)
    if node is not None:
        if modes.on_record is not None:
            modes.on_record(node, inputs, raw)
        ctx._save(node)
    if not below:
        ctx._forget()
    return tuple(results) if isinstance(raw, tuple) else results[0], ctx


def _with_history(
    node: FunctionNode | None, ctx: FunctionCtx, args: tuple[Any, ...], outs: tuple[Any, ...],
    separate: bool,
) -> list[Any]:  # fmt: skip
    """The outputs as the caller gets them, on the tape where they are differentiable."""
    inputs = {id(a) for a in args if isinstance(a, Tensor)}
    dirty = _dirty_ids(ctx, outs) if ctx.dirty_tensors else ()
    saved = {id(t) for t in ctx.to_save} if separate else ()
    if node is not None:
        node.n_outputs = len(outs)
        node.out_metas = [
            (o._data.shape, o._data.dtype) if isinstance(o, Tensor) else None for o in outs
        ]
    results: list[Any] = []
    differentiable = 0
    for nr, out in enumerate(outs):
        if not isinstance(out, Tensor):
            results.append(out)
            continue
        is_input, modified = id(out) in inputs, id(out) in dirty
        if modified:
            count_change(out, node.function.__name__ if node is not None else "a Function")
        if node is None or nr in ctx._constant_outputs or out._data.dtype.kind not in "fc":
            out = _without_history(out, is_input, modified)
        elif modified:
            differentiable += 1
            _rewrite(node, nr, out, is_input, len(outs))
        else:
            differentiable += 1
            if is_input:
                if id(out) in saved:
                    raise RuntimeError(
                        "A input that has been returned as-is as output is being saved for "
                        "backward. This is not supported if you override setup_context. You "
                        "should return and save a view of the input instead, e.g. with "
                        "x.view_as(x) or setup ctx inside the forward function itself."
                    )
                out = _alias(out)
            out._node, out._nr, out._requires_grad = node, nr, True
        if out._view is not None and not (is_input and modified):
            out._view.creation = "function"
        results.append(out)
    if differentiable > 1:
        for out in results:
            if isinstance(out, Tensor) and out._view is not None and out._node is node:
                out._view.creation = "multi"
    return results


def _dirty_ids(ctx: FunctionCtx, outs: tuple[Any, ...]) -> set[int]:
    for i, t in enumerate(ctx.dirty_tensors):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"mark_dirty can only accept variables, but argument {i} is of type "
                f"{type(t).__name__}"
            )
        if not any(t is o for o in outs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as "
                "output. The inputs that are modified inplace must all be outputs of the Function."
            )
    return {id(t) for t in ctx.dirty_tensors}


def _alias(t: Tensor) -> Tensor:
    """A view of an input that is returned as it is: the input keeps its own history."""
    grad, thread.modes.grad = thread.modes.grad, False
    try:
        return alias(t)
    finally:
        thread.modes.grad = grad


def _without_history(out: Tensor, is_input: bool, modified: bool) -> Tensor:
    if not out._requires_grad:
        return _alias(out) if is_input and not modified else out
    if is_input:
        return out.detach()
    if out._view is None:
        out._node, out._nr, out._requires_grad = None, 0, False
    return out  # a view of an input: as one made under no_grad


def _rewrite(node: FunctionNode, nr: int, out: Tensor, is_input: bool, n_outputs: int) -> None:
    """Let a tensor that was changed in place have its history from the node."""
    if out._node is None and out._requires_grad:
        raise RuntimeError(
            "a leaf Variable that requires grad has been used in an in-place operation "
            f"({node.function.__name__}, which marked it as dirty); clone() it first"
        )
    if not is_input:
        warnings.warn(
            "Only input Tensors should be given to ctx.mark_dirty(). If a Tensor is not an input, "
            "there is no need to pass it to mark_dirty().",
            UserWarning,
            stacklevel=4,
        )
    if out._view is not None:
        check_view_creation(out, node.function.__name__)
        if n_outputs > 1:
            raise RuntimeError(
                "If your Function modifies inplace an input that is a view of another Tensor, "
                "your Function cannot return more than one Tensor. This is not supported by the "
                "current autograd engine. Change a clone() of the input instead."
            )
    value = wrap(out._data, True)
    value._node, value._nr = node, nr
    follow(out, value)


class _NotTwice(Node):
    """Stands for the history that a :func:`once_differentiable` gradient does not have."""

    __slots__ = ()

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that cannot be differentiated: doing so raises, and gives no nonsense.

    >>> import numbagrad as ng
    >>> class Double(ng.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     @ng.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return g * 2
    """

    @functools.wraps(fn)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        modes = thread.modes
        recording, modes.grad = modes.grad, False
        try:
            results = fn(ctx, *grads)
        finally:
            modes.grad = recording
        if not recording or not any(isinstance(g, Tensor) and g._requires_grad for g in grads):
            return results
        results = results if isinstance(results, tuple) else (results,)
        node = _NotTwice(())
        node.n_outputs = len(results)
        marked = []
        for nr, r in enumerate(results):
            if r is not None:
                r = r.detach()
                r._node, r._nr, r._requires_grad = node, nr, True
            marked.append(r)
        return tuple(marked)

    return wrapper


def apply_function(fn_class: type[Function], inputs: Sequence[Any]) -> Any:
    """``fn_class.apply(*inputs)``, for those who have the inputs as a list."""
    return fn_class.apply(*inputs)
