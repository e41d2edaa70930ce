"""The node of a custom Function on the tape, and the `ctx` that its forward leaves for it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import dtypes
from ..modes import thread
from ..ops.elementwise import to_dtype
from ..ops.reduction import sum_to
from ..tape import Edge, Meta, Node, Packed, freed_error, gradient_edge, modified_error
from ..tensor import INFERENCE, Tensor, version_counter, wrap


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
            raise modified_error(node, self.data, edge, self.counter, self.version)
        if self.original is not None:
            return self.original
        t = wrap(self.data, node is not None)
        t._counter = self.counter
        t._node, t._nr = node, self.own or 0
        return t


#: What `forward` hands over: needed until the outputs have their history.
_HANDED_OVER = {"to_save", "saved_for_forward", "dirty_tensors", "non_differentiable"}


class FunctionCtx:
    """What a Function's `forward` leaves for its `backward`.

    Any attribute may be set on it; tensors that are inputs or outputs belong in
    :meth:`save_for_backward`, which detects later changes and makes no cycles.
    """

    # Defaults lie on the class: most calls change one of them.
    #: For each argument, whether it is a tensor that requires grad.
    needs_input_grad: tuple[bool, ...]
    to_save: tuple[Any, ...] = ()
    saved_for_forward: tuple[Any, ...] = ()
    dirty_tensors: tuple[Any, ...] = ()
    non_differentiable: tuple[Any, ...] = ()
    materialize_grads = True
    _saved_values: Sequence[_Saved | Packed | None] | None = ()
    _constant_outputs: frozenset[int] = frozenset()
    _tape_node: Callable[[], Node | None] = staticmethod(lambda: None)
    _given_values: tuple[Any, ...] | None = None

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad

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
        if self._given_values is not None:
            return self._given_values
        node = self._tape_node()
        if self._saved_values is None:
            raise freed_error("a custom Function" if node is None else node.name())
        return tuple(None if s is None else s.tensor(node) for s in self._saved_values)

    @contextmanager
    def _saving(self, tensors: tuple[Any, ...] | None) -> Iterator[None]:
        """Inside, these are the :attr:`saved_tensors`."""
        self._given_values = tensors
        try:
            yield
        finally:
            self._given_values = None

    def _forget(self) -> None:
        """Drop what `forward` has handed over: only what is saved stays."""
        for name in _HANDED_OVER & self.__dict__.keys():
            del self.__dict__[name]

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
        self._saved_values = saved


class FunctionNode(Node):
    """The tape's node for one call of a Function; reads attributes from its ctx."""

    __slots__ = ("_metadata", "ctx", "in_metas", "out_metas")

    runs_anyway = True
    function: Any  # of the class: the Function

    ctx: FunctionCtx
    in_metas: list[Meta | None]  # of each argument that is a tensor
    out_metas: list[Meta | None]

    def __init__(self, ctx: FunctionCtx, args: tuple[Any, ...]) -> None:
        edges: list[Edge | None] = []
        metas: list[Meta | None] = []
        for a in args:
            if isinstance(a, Tensor):
                edges.append(gradient_edge(a) if a._requires_grad else None)
                metas.append((a._data.shape, a._data.dtype))
            else:
                metas.append(None)
        super().__init__(edges)
        self.ctx = ctx
        self.in_metas = metas
        self.out_metas = []
        self._metadata: dict[Any, Any] = {}
        ctx._tape_node = weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        if name == "ctx":  # not set yet
            raise AttributeError(name)
        return getattr(self.ctx, name)

    @property
    def metadata(self) -> dict[Any, Any]:
        return self._metadata

    def release(self) -> None:
        self.ctx._saved_values = None

    def apply(self, grads: list[Tensor | None], mask: int) -> tuple[Tensor | None, ...]:
        function = self.function
        if self.ctx.materialize_grads:
            grads = [
                wrap(np.zeros(*meta)) if g is None and meta is not None else g
                for g, meta in zip(grads, self.out_metas, strict=True)
            ]
        result = function.gradient_rule()(self.ctx, *grads)
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
