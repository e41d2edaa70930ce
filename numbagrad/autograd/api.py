"""`backward` and `grad`: the public ways into the engine, and the gradient state of a tensor."""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..modes import thread
from ..ops.elementwise import fill
from ..ops.export import public
from ..ops.view import alias
from ..stack import at_user_line
from ..tape import Edge, RemovableHandle, gradient_edge, node_hooks
from ..tensor import INFERENCE, Tensor, creating, extras, method, wrap
from ..transforms.levels import LevelTracer
from ..views import refresh
from .engine import run_backward
from .graph import GradientEdge, edge_meta

Root = Tensor | GradientEdge
Tensors = Root | Sequence[Root]


def _tuple(x: Any) -> tuple[Any, ...]:
    return (x,) if x is None or isinstance(x, Tensor | GradientEdge) else tuple(x)


def _root_gradients(outputs: tuple[Root, ...], grads: Sequence[Any]) -> list[Tensor]:
    """The cotangents to start from: those given, checked, or 1 for scalars."""
    for g in grads:
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if len(grads) != len(outputs):
        raise RuntimeError(
            f"got {len(outputs)} tensors and {len(grads)} gradients; give one gradient (or None) "
            "for each tensor"
        )
    result = [
        _implicit_gradient(i, t) if g is None else _checked_gradient(i, t, g)
        for i, (t, g) in enumerate(zip(outputs, grads, strict=True))
    ]
    if thread.modes.trace is not None:
        # All of the backward pass belongs to the trace.
        result = [alias(g) if g._data.__class__ is np.ndarray else g for g in result]
    return result


def _meta(t: Root) -> Any:
    if isinstance(t, GradientEdge):
        return edge_meta(t)
    return t._data.shape, t._data.dtype


def _implicit_gradient(i: int, t: Root) -> Tensor:
    meta = _meta(t)
    if meta is None:
        raise RuntimeError(
            f"output {i} is a GradientEdge that was not made by get_gradient_edge: its shape is "
            "not known, so pass a gradient"
        )
    shape, dtype = meta
    if math.prod(shape) != 1:
        raise RuntimeError(
            "grad can be implicitly created only for scalar outputs: output "
            f"{i} has shape {tuple(shape)}; reduce it, for instance with .sum(), or pass "
            "a gradient of that shape"
        )
    if dtype.kind != "f":
        raise RuntimeError(
            "grad can be implicitly created only for real scalar outputs but got "
            f"{dtypes.of(dtype)}"
        )
    if isinstance(t, Tensor) and t._data.__class__ is not np.ndarray:
        return fill(t.detach(), 1)
    return wrap(np.ones(shape, dtype))


def _checked_gradient(i: int, t: Root, g: Tensor) -> Tensor:
    meta = _meta(t)
    if meta is None:
        return g
    shape, dtype = meta
    if g._data.shape != shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {tuple(g.shape)} and "
            f"output[{i}] has a shape of {tuple(shape)}."
        )
    if (g._data.dtype.kind == "c") != (dtype.kind == "c"):
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same "
            f"dtype. Mismatch in dtype: grad_output[{i}] has a dtype of {g.dtype} and "
            f"output[{i}] has a dtype of {dtypes.of(dtype)}."
        )
    return g if g._data.dtype is dtype else g.to(dtypes.of(dtype))


def _root_edges(outputs: tuple[Root, ...]) -> list[Edge]:
    edges: list[Edge] = []
    for i, t in enumerate(outputs):
        if isinstance(t, GradientEdge):
            edges.append((t.node, t.output_nr))
            continue
        if not isinstance(t, Tensor):
            raise TypeError(f"expected a Tensor to differentiate, got {type(t).__name__}")
        refresh(t)
        if not t._requires_grad:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn; "
                "create its inputs with requires_grad=True, outside of no_grad"
            )
        edges.append(gradient_edge(t))
    return edges


def _edge(t: Root) -> Edge:
    return (t.node, t.output_nr) if isinstance(t, GradientEdge) else gradient_edge(t)


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of the sum of `tensors` to the ``grad`` of the leaves.

    Args:
        tensors: what to differentiate, tensors or their `GradientEdge`; those that are not
            scalars need a gradient.
        grad_tensors: the cotangent of each tensor, of the tensor's shape.
        retain_graph: keep the saved values for another backward; default: `create_graph`.
        create_graph: record the gradient computation, for derivatives of higher order.
        inputs: accumulate in these only; default: in all leaves.

    Raises:
        RuntimeError: nothing requires grad, a gradient is missing or has the wrong shape, the
            graph was freed, or a saved tensor was changed in place.

    >>> import numbagrad as ng
    >>> x = ng.tensor([1.0, 2.0], requires_grad=True)
    >>> ng.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    outputs = _tuple(tensors)
    grads = [None] * len(outputs) if grad_tensors is None else list(_tuple(grad_tensors))
    edges = _root_edges(outputs)
    starts = _root_gradients(outputs, grads)
    keep = create_graph if retain_graph is None else retain_graph
    wanted = None
    if inputs is not None:
        tensors_in = _tuple(inputs)
        if not tensors_in:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for t in tensors_in:
            if isinstance(t, Tensor) and not t._requires_grad:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
        wanted = [_edge(t) for t in tensors_in]
        inner = [t for t in tensors_in if isinstance(t, Tensor) and t._node is not None]
        handles = [_retain(t) for t in inner if not t.retains_grad]
        try:
            run_backward(edges, starts, keep_graph=keep, create_graph=create_graph, inputs=wanted)
        finally:
            for nodes, nr in handles:
                nodes.pop(nr, None)
        return
    run_backward(edges, starts, keep_graph=keep, create_graph=create_graph)


def _retain(t: Tensor) -> tuple[dict[int, Any], int]:
    retained = node_hooks(t._node).retain
    retained[t._nr] = weakref.ref(t)
    return retained, t._nr


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`.

    Args:
        outputs, grad_outputs: as in :func:`backward`.
        inputs: tensors, leaves or intermediate, that `outputs` depend on, or their edges.
        retain_graph, create_graph: as in :func:`backward`.
        allow_unused: give None for an input that no output depends on, instead of an error;
            default: `materialize_grads`.
        is_grads_batched: the first dimension of each `grad_outputs` is a batch of cotangents.
        materialize_grads: zeros in place of None.

    Returns:
        One gradient per input, of the input's shape.

    >>> import numbagrad as ng
    >>> x = ng.tensor(2.0, requires_grad=True)
    >>> (dx,) = ng.autograd.grad(x**3, x, create_graph=True)
    >>> ng.autograd.grad(dx, x)
    (tensor(12.),)
    """
    outs, ins = _tuple(outputs), _tuple(inputs)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    allow = materialize_grads if allow_unused is None else allow_unused
    if not ins:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    grads = [None] * len(outs) if grad_outputs is None else list(_tuple(grad_outputs))
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(outs, ins, grads, keep, create_graph, allow, materialize_grads)
    edges = _root_edges(outs)
    starts = _root_gradients(outs, grads)
    for i, t in enumerate(ins):
        if isinstance(t, GradientEdge):
            continue
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensors as inputs, got {type(t).__name__} at {i}")
        if not t._requires_grad:
            raise RuntimeError(
                f"One of the differentiated Tensors does not require grad: input {i} of shape "
                f"{tuple(t.shape)}; set requires_grad=True before computing with it"
            )
        refresh(t)
    results = run_backward(
        edges, starts, keep_graph=keep, create_graph=create_graph,
        inputs=[_edge(t) for t in ins], accumulate=False,
    )  # fmt: skip
    for i, (t, r) in enumerate(zip(ins, results, strict=True)):
        if r is None:
            if not allow:
                name = "an edge" if isinstance(t, GradientEdge) else f"shape {tuple(t.shape)}"
                raise RuntimeError(
                    f"One of the differentiated Tensors (input {i}, {name}) "
                    "appears to not have been used in the graph. Set allow_unused=True if this is "
                    "the desired behavior."
                )
            if materialize_grads:
                if isinstance(t, GradientEdge):
                    raise RuntimeError(
                        "materialize_grads cannot be used when the given input is a GradientEdge"
                    )
                results[i] = wrap(np.zeros(t._data.shape, t._data.dtype), create_graph)
    return tuple(results)  # type: ignore[arg-type]  # None only where the caller allowed it


def _batched(
    outs: tuple[Tensor, ...], ins: tuple[Tensor, ...], grads: list[Any], keep: bool,
    create_graph: bool, allow: bool, materialize: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """One backward pass, mapped over the cotangents of the batch."""
    from ..transforms.vmap import vmap

    used: list[bool] = []

    def one(*rows: Tensor) -> tuple[Tensor, ...]:
        it = iter(rows)
        row = [None if g is None else next(it) for g in grads]
        found: Any = grad(outs, ins, row, keep, create_graph, allow, False, materialize)
        used[:] = [f is not None for f in found]
        return tuple(f for f in found if f is not None)

    stacked = iter(vmap(one)(*[g for g in grads if g is not None]))
    result: Any = tuple(next(stacked) if u else None for u in used)
    return result


# -- the gradient state of a tensor ---------------------------------------------------------------


@method("backward")
def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradient of this tensor to the ``grad`` of the leaves; see `autograd.backward`."""
    backward(self, gradient, retain_graph, create_graph, inputs)


def _get_requires_grad(self: Tensor) -> bool:
    view = self._view
    if view is None or self._requires_grad:
        return self._requires_grad
    return view.base._requires_grad and view.creation != "detached"


def _set_requires_grad(self: Tensor, value: bool) -> None:
    if self._node is not None:
        if value:
            hint = "A result requires grad already if one of its inputs does."
        else:
            hint = (
                "If you want to use a computed variable in a subgraph that doesn't require "
                "differentiation use var_no_grad = var.detach()."
            )
        raise RuntimeError(f"you can only change requires_grad flags of leaf variables. {hint}")
    if value and self._data.dtype.kind not in "fc":
        raise RuntimeError(
            "only Tensors of floating point dtype can require gradients, got "
            f"{self.dtype}; convert it with .float() first"
        )
    if value and self._counter is INFERENCE and not thread.modes.inference:
        raise RuntimeError(
            "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
        )
    self._requires_grad = bool(value)
    if value and self._data.__class__ is not np.ndarray:
        self._data.interpreter.differentiate(self)


def _get_grad_fn(self: Tensor) -> Any:
    """Raises a RuntimeError for a view that cannot know its gradient any more."""
    if self._view is not None:
        modes = thread.modes
        grad, modes.grad = modes.grad, True
        try:
            refresh(self)
        finally:
            modes.grad = grad
    return self._node


def _is_leaf(self: Tensor) -> bool:
    """True for tensors that the user made and for those that need no gradient."""
    return _get_grad_fn(self) is None


def _get_grad(self: Tensor) -> Tensor | None:
    if self._grad is None and self._node is not None and not self.retains_grad:
        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
            ".grad attribute won't be populated during autograd.backward(). If you indeed want "
            "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
            "non-leaf Tensor.",
            UserWarning,
            stacklevel=2,
        )
    if thread.modes.trace is not None:
        thread.modes.trace.change_grad(self)
    return self._grad


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type "
                            f"{type(value).__name__}")  # fmt: skip
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value._data.shape != self._data.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: {tuple(value.shape)} for a tensor "
                f"of shape {tuple(self.shape)}"
            )
        if value._data.dtype is not self._data.dtype:
            raise RuntimeError(
                f"assigned grad has data of a different type: {value.dtype} for a tensor of "
                f"{self.dtype}"
            )
    if thread.modes.trace is not None:
        thread.modes.trace.change_grad(self)
    self._grad = value


def _del_grad(self: Tensor) -> None:
    self._grad = None


def _get_data(self: Tensor) -> Tensor:
    if thread.modes.trace is not None or self._data.__class__ is not np.ndarray:
        return _detach(self)
    return wrap(self._data)


def _set_data(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self._requires_grad and value._data.dtype.kind not in "fc":
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or complex dtype, "
            f"got {value.dtype}; detach() the tensor first"
        )
    if any(isinstance(t._data, LevelTracer) for t in (self, value)):
        raise RuntimeError(
            "mutating directly with `.data` inside functorch transform is not allowed: the "
            "transform would not see it. Use copy_() on the tensor or on its detach()"
            f"{at_user_line()}"
        )
    if thread.modes.trace is not None and self._data.__class__ is np.ndarray:
        thread.modes.trace.change(self)
    self._data = value._data


Tensor.requires_grad = property(_get_requires_grad, _set_requires_grad)  # type: ignore[method-assign]
Tensor.grad_fn = property(_get_grad_fn)  # type: ignore[method-assign]
Tensor.is_leaf = property(_is_leaf)  # type: ignore[method-assign]
Tensor.grad = property(_get_grad, _set_grad, _del_grad)  # type: ignore[method-assign]
Tensor.data = property(_get_data, _set_data)  # type: ignore[method-assign]


@method("requires_grad_")
def _requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Set ``requires_grad`` in place; that of a result can not be taken away."""
    if requires_grad and self._node is not None:
        return self
    self.requires_grad = requires_grad  # type: ignore[method-assign]
    return self


@method("detach")
def _detach(self: Tensor) -> Tensor:
    """The same storage and version counter, without the history."""
    grad, thread.modes.grad = thread.modes.grad, False
    try:
        t = alias(self)
    finally:
        thread.modes.grad = grad
    data = t._data
    if data.__class__ is not np.ndarray:
        t._data = data.interpreter.constant(t)._data
    if thread.modes.trace is None and data.__class__ is np.ndarray:
        t._view = None
    elif t._view is not None:  # values share no memory: a change must find its way back
        t._view.creation = "detached"
    t._requires_grad = False
    return t


@public("detach_")
def _detach_(self: Tensor) -> Tensor:
    """Forget the history, in place."""
    if self._view is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, use the view before."
        )
    data = self._data
    if data.__class__ is not np.ndarray:
        self._data = data.interpreter.constant(self)._data
    self._node, self._nr, self._requires_grad = None, 0, False
    return self


@method("retain_grad")
def _retain_grad(self: Tensor) -> None:
    """Keep the gradient of this intermediate tensor in ``grad``."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self._node is None or self.retains_grad:
        return
    extras(self).retains_grad = True
    _retain(self)


@method("register_hook")
def _register_hook(self: Tensor, hook: Any) -> RemovableHandle:
    """Call ``hook(grad)`` when the gradient of this tensor is complete; it may replace it."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self._node is None:
        e = extras(self)
        with creating:
            if e.hooks is None:
                e.hooks = {}
        return RemovableHandle(e.hooks, hook)
    hooks = node_hooks(self._node).tensor_pre
    return RemovableHandle(hooks.setdefault(self._nr, {}), hook)


@method("register_post_accumulate_grad_hook")
def _register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> RemovableHandle:
    """Call ``hook(tensor)`` after a gradient was added to this leaf's ``grad``."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self._node is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    e = extras(self)
    with creating:
        if e.post_accumulate_hooks is None:
            e.post_accumulate_hooks = {}
    return RemovableHandle(e.post_accumulate_hooks, hook)
