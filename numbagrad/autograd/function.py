"""`Function`: an operation whose forward and backward the user writes.

Its `forward` runs without recording; what it returns gets one node on the tape, whose `apply`
calls the user's `backward`. Inside a compiled function both are traced through.
"""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..inplace import check_view_creation, follow
from ..modes import thread
from ..ops.elementwise import to_dtype
from ..ops.reduction import sum_to
from ..ops.view import alias
from ..tape import (
    Edge,
    Meta,
    Node,
    Packed,
    freed_error,
    gradient_edge,
    modified_error,
    refresh,
)
from ..tensor import INFERENCE, Tensor, version_counter, wrap

__all__ = ["Function", "FunctionCtx", "apply_function", "once_differentiable"]


class _Saved:
    """A tensor as `save_for_backward` keeps it.

    An input is kept as it is; of an output only the data, since the output refers to the node and
    the node to this.
    """

    __slots__ = ("counter", "data", "original", "own", "version")

    def __init__(self, t: Tensor, node: Node) -> None:
        if t._counter is INFERENCE:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. To work around you can "
                "make a clone to get a normal tensor and use it in autograd."
            )
        self.own = t._nr if t._node is node else None
        self.original = t if self.own is None else None
        self.data = t._data
        self.counter = version_counter(t)
        self.version = self.counter[0]

    def tensor(self, node: Node | None) -> Tensor:
        if self.counter[0] != self.version and node is not None:
            edge: Edge | None = None
            if self.original is None:
                edge = (node, self.own or 0)
            elif self.original._node is not None:
                edge = (self.original._node, self.original._nr)
            raise modified_error(node, self.data, edge, self.counter[0], self.version)
        if self.original is not None:
            return self.original
        t = wrap(self.data, node is not None)
        t._counter = self.counter
        t._node, t._nr = node, self.own or 0
        return t


class FunctionCtx:
    """What a Function's `forward` leaves for its `backward`.

    Any attribute may be set on it; tensors that are inputs or outputs belong in
    :meth:`save_for_backward`, which detects later changes and makes no cycles.
    """

    #: For each argument, whether it is a tensor that requires grad.
    needs_input_grad: tuple[bool, ...]

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.to_save: tuple[Any, ...] = ()
        self.saved_for_forward: tuple[Any, ...] = ()
        self.dirty_tensors: tuple[Any, ...] = ()
        self.non_differentiable: tuple[Any, ...] = ()
        self.materialize_grads = True
        self._saved: list[_Saved | Packed | None] | None = []
        self._node: Callable[[], Node | None] = lambda: None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (or None) for the backward pass: :attr:`saved_tensors`.

        Raises:
            TypeError: an argument is neither; raised when `forward` has returned.
        """
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (or None) for `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Declare inputs that `forward` changed in place; each must be among the outputs."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Declare outputs that get no gradient, such as indices."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros (the default) or None for outputs without a gradient."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors saved by :meth:`save_for_backward`.

        Raises:
            GraphFreedError: the backward pass has freed them.
            RuntimeError: one was changed in place since.
        """
        node = self._node()
        if self._saved is None:
            raise freed_error("a custom Function" if node is None else node.name())
        return tuple(None if s is None else s.tensor(node) for s in self._saved)

    def _save(self, node: Node) -> None:
        """Take what the user wants saved off the tensors, now that the outputs have their node."""
        modes = thread.modes
        saved: list[_Saved | Packed | None] = []
        for i, t in enumerate(self.to_save):
            if t is None:
                saved.append(None)
            elif not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type "
                    f"{type(t).__name__}; set it as an attribute of ctx"
                )
            elif modes.saved_hooks:
                own = t._nr if t._node is node else None
                edge = gradient_edge(t) if own is None and t._requires_grad else None
                saved.append(Packed(modes.saved_hooks[-1], t, edge, own))
            else:
                saved.append(_Saved(t, node))
        self._saved = saved


class FunctionNode(Node):
    """The tape's node for one call of a Function; reads attributes from its ctx."""

    __slots__ = ("_metadata", "ctx", "in_metas", "out_metas")

    runs_anyway = True
    function: type[Function]  # of the class

    ctx: FunctionCtx
    in_metas: list[Meta | None]  # of each argument that is a tensor
    out_metas: list[Meta | None]

    def __init__(self, ctx: FunctionCtx, args: tuple[Any, ...]) -> None:
        tensors = [a for a in args if isinstance(a, Tensor)]
        super().__init__([gradient_edge(t) if t._requires_grad else None for t in tensors])
        self.ctx = ctx
        self.in_metas = [
            (a._data.shape, a._data.dtype) if isinstance(a, Tensor) else None for a in args
        ]
        self.out_metas = []
        self._metadata: dict[Any, Any] = {}
        ctx._node = weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        if name == "ctx":  # not set yet
            raise AttributeError(name)
        return getattr(self.ctx, name)

    @property
    def metadata(self) -> dict[Any, Any]:
        return self._metadata

    def release(self) -> None:
        self.ctx._saved = None

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        function = self.function
        if self.ctx.materialize_grads:
            grads = [
                wrap(np.zeros(*meta)) if g is None and meta is not None else g
                for g, meta in zip(grads, self.out_metas, strict=True)
            ]
        has_vjp = function.vjp is not Function.vjp
        if has_vjp and function.backward is not Function.backward:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                "You should only implement one of them."
            )
        result = (function.vjp if has_vjp else function.backward)(self.ctx, *grads)
        return self._checked(result if isinstance(result, tuple) else (result,), mask)

    def _checked(self, results: tuple[Any, ...], mask: int) -> tuple[Tensor | None, ...]:
        """The gradients for the edges, of the shapes and dtypes of the inputs."""
        expected = len(self.in_metas)
        if len(results) > expected and all(r is None for r in results[expected:]):
            results = results[:expected]
        if len(results) != expected:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{expected}, got {len(results)})"
            )
        grads: list[Tensor | None] = []
        for i, (g, meta) in enumerate(zip(results, self.in_metas, strict=True)):
            if meta is None:
                if g is not None:
                    raise RuntimeError(
                        f"function {self.name()} returned a gradient different than None at "
                        f"position {i + 1}, but the corresponding forward input was not a Variable"
                    )
                continue
            if g is not None and not isinstance(g, Tensor):
                raise RuntimeError(
                    f"expected Variable or None (got {type(g).__name__}) from {self.name()} as "
                    f"gradient {i}"
                )
            k = len(grads)
            wanted = self.edges[k] is not None and mask >> k & 1
            grads.append(self._fit(i, g, meta) if g is not None and wanted else None)
        return tuple(grads)

    def _fit(self, i: int, g: Tensor, meta: Meta) -> Tensor:
        shape, dtype = meta
        found = g._data.shape
        if found != shape:
            tail = found[len(found) - len(shape) :]
            if len(found) < len(shape) or any(a not in (1, b) for a, b in zip(shape, tail)):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got "
                    f"{list(found)} but expected shape compatible with {list(shape)}"
                )
            g = sum_to(g, shape)
        if g._data.dtype is not dtype:
            kind = g._data.dtype.kind
            if kind != "f" and (kind == "c") != (dtype.kind == "c"):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got "
                    f"{g.dtype} for an input of {dtypes.of(dtype)}"
                )
            g = to_dtype(g, dtype)
        return g


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

    _node_class: type[FunctionNode]

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
            RuntimeError: a tensor marked as dirty was not returned or cannot be changed in place.
        """
        separate = cls.setup_context is not Function.setup_context
        if separate:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        modes = thread.modes
        inputs = (*args, *kwargs.values())
        for a in inputs:
            if isinstance(a, Tensor) and a._view is not None:
                refresh(a)
        ctx = FunctionCtx(tuple(isinstance(a, Tensor) and a._requires_grad for a in inputs))
        node = None
        if modes.grad and not modes.inference and any(ctx.needs_input_grad):
            node = cls._node_class(ctx, inputs)
        grad, modes.grad = modes.grad, False
        try:
            if separate:
                raw = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, raw)
            else:
                raw = cls.forward(ctx, *args, **kwargs)
        finally:
            modes.grad = grad
        outs = raw if isinstance(raw, tuple) else (raw,)
        results = _with_history(node, ctx, inputs, outs, separate)
        if node is not None:
            if modes.on_record is not None:
                modes.on_record(node, inputs, raw)
            ctx._save(node)
        ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ()
        return tuple(results) if isinstance(raw, tuple) else results[0]


def _with_history(
    node: FunctionNode | None, ctx: FunctionCtx, args: tuple[Any, ...], outs: tuple[Any, ...],
    separate: bool,
) -> list[Any]:  # fmt: skip
    """The outputs as the caller gets them, on the tape where they are differentiable."""
    inputs = {id(a) for a in args if isinstance(a, Tensor)}
    dirty = _dirty_ids(ctx, outs)
    fixed = {id(t) for t in ctx.non_differentiable}
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
        if modified and out._counter is not INFERENCE:
            version_counter(out)[0] += 1
        if node is None or id(out) in fixed or out._data.dtype.kind not in "fc":
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
