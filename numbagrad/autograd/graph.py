"""The recorded graph from the user's side: nodes, edges, and hooks on what is saved."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..modes import thread
from ..ops.view import clone
from ..tape import AccumulateGrad, Node, RemovableHandle, gradient_edge, observe
from ..tensor import Tensor, count_change
from ..views import refresh

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class GradientEdge(NamedTuple):
    """Where a gradient goes: an output of a node. Stands for its tensor in `grad` and `backward`.

    It keeps the graph alive, but not the tensor's values.
    """

    node: Node
    output_nr: int
    #: The shape and dtype of the tensor, from which a missing gradient can be made.
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of `tensor` is computed.

    ``grad(loss, get_gradient_edge(x))`` is ``grad(loss, x)``.

    Raises:
        RuntimeError: the tensor does not require grad.

    >>> import numbagrad as ng
    >>> x = ng.tensor(3.0, requires_grad=True)
    >>> edge = ng.autograd.graph.get_gradient_edge(x)
    >>> ng.autograd.grad(x * x, edge)
    (tensor(6.),)
    """
    refresh(tensor)
    if not tensor._requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    node, nr = gradient_edge(tensor)
    return GradientEdge(node, nr, (tensor._data.shape, tensor._data.dtype))


def edge_meta(edge: GradientEdge) -> Any:
    """(shape, dtype) of the tensor behind an edge, None if nobody knows them."""
    if isinstance(edge.node, AccumulateGrad):
        data = edge.node.variable._data
        return data.shape, data.dtype
    return edge.ownership_token


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Declare that a tensor's memory was changed behind the back of autograd.

    Then a backward pass that has saved the tensor reports it. In-place ops do this themselves;
    inference tensors count nothing.

    Raises:
        RuntimeError: something else than a tensor; nothing has changed then.

    >>> import numbagrad as ng
    >>> x = ng.ones(2)
    >>> x.numpy()[0] = 5
    >>> ng.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    tensors = [tensor] if isinstance(tensor, Tensor) else list(tensor)
    for t in tensors:
        if not isinstance(t, Tensor):
            raise RuntimeError(f"increment_version takes tensors, got {type(t).__name__}")
    for t in tensors:
        count_change(t, "increment_version")


# -- what is saved --------------------------------------------------------------------------------


class saved_tensors_hooks:
    """Inside, each tensor saved for the backward pass is replaced by ``pack_hook(tensor)``.

    ``unpack_hook`` gets that object in the backward pass and returns a tensor of the same content.
    Blocks nest: the innermost one's hooks are called. A pack hook that returns its argument makes
    a cycle if that is the op's own output; return ``x.detach()``.

    Raises:
        RuntimeError: on entering, if hooks are disabled; in an op, if the pack hook changed its
            argument in place.
        TypeError: in the backward pass, if the unpack hook returns no tensor.

    >>> import numbagrad as ng
    >>> x = ng.tensor([1.0, 2.0], requires_grad=True)
    >>> with ng.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True), ng.tensor):
    ...     y = x.exp()
    >>> y.sum().backward()
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        modes = thread.modes
        if modes.hooks_disabled is not None:
            raise RuntimeError(modes.hooks_disabled)
        modes.saved_hooks.append((self.pack_hook, self.unpack_hook))
        observe(modes)

    def __exit__(self, *exc: object) -> None:
        thread.modes.saved_hooks.pop()
        observe(thread.modes)


class save_on_cpu(saved_tensors_hooks):
    """For compatibility: tensors are on the CPU always, so this changes nothing.

    Args:
        pin_memory, device_type: accepted and not used.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: t.detach(), lambda t: t)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, :class:`saved_tensors_hooks` raises a RuntimeError with this message.

    Raises:
        RuntimeError: with the same message, if some are in force already.
    """
    modes = thread.modes
    if modes.saved_hooks:
        raise RuntimeError(error_message)
    previous, modes.hooks_disabled = modes.hooks_disabled, error_message
    try:
        yield
    finally:
        modes.hooks_disabled = previous


class _Clones:
    """What :func:`allow_mutation_on_saved_tensors` keeps; `clear` drops it."""

    def __init__(self) -> None:
        self.open = True
        self.cleared = 0

    def clear(self) -> None:
        """Forget all saved tensors: graphs recorded so far cannot be differentiated."""
        self.cleared += 1


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_Clones]:
    """Inside, tensors may be changed in place after they were saved for the backward pass.

    Each saved tensor is copied, so that the gradient is that of the values at the time. The
    backward pass has to run inside too.

    Raises:
        RuntimeError: nested use; a backward pass outside.

    >>> import numbagrad as ng
    >>> x = ng.ones(2, requires_grad=True)
    >>> with ng.autograd.graph.allow_mutation_on_saved_tensors():
    ...     a = x * 3
    ...     y = (a * a).sum()
    ...     _ = a.zero_()
    ...     y.backward()
    >>> x.grad
    tensor([18., 18.])
    """
    kept = _Clones()

    def unpack(packed: tuple[Tensor, int]) -> Tensor:
        if not kept.open or packed[1] != kept.cleared:
            raise RuntimeError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in "
                "which the graph was originally recorded."
            )
        return packed[0]

    def pack(t: Tensor) -> tuple[Tensor, int]:
        return clone(t.detach()), kept.cleared

    if any(getattr(hooks[0], "copies", False) for hooks in thread.modes.saved_hooks):
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    pack.copies = True  # type: ignore[attr-defined]
    try:
        with saved_tensors_hooks(pack, unpack):
            yield kept
    finally:
        kept.open = False


# -- hooks on several tensors ---------------------------------------------------------------------


class _Handles:
    """Removes several hooks at once."""

    def __init__(self, handles: Iterable[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all"
) -> _Handles:
    """Call `fn` when the gradients of several tensors are known.

    Args:
        tensors: all of them require grad.
        fn: with ``mode="all"`` called as ``fn(grads)`` once in each backward pass, when the
            gradients of all tensors that this pass reaches are there; None for the others. With
            ``mode="any"`` called as ``fn(grad)`` with the first one.

    Returns:
        A handle whose ``remove()`` takes the hook away.

    Raises:
        ValueError: an unknown mode.
        RuntimeError: a tensor does not require grad.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    if mode == "any":
        ran: weakref.WeakSet[Any] = weakref.WeakSet()  # the passes that have called it

        @functools.wraps(fn)
        def first(grad: Tensor) -> None:
            current = thread.modes.backward
            with lock:
                if current in ran:
                    return
                ran.add(current)
            fn(grad)

        return _Handles(t.register_hook(first) for t in tensors if t.requires_grad)

    # By pass; one that ends with an error takes its entry along.
    waiting: weakref.WeakKeyDictionary[Any, tuple[list[Any], list[int]]]
    waiting = weakref.WeakKeyDictionary()
    nodes = [gradient_edge(t)[0] if t.requires_grad else None for t in tensors]

    def hook_of(i: int) -> Callable[[Tensor], None]:
        def hook(grad: Tensor) -> None:
            current = thread.modes.backward
            with lock:
                if current not in waiting:
                    left = sum(node in current.nodes for node in nodes)
                    waiting[current] = [None] * len(nodes), [left]
                grads, count = waiting[current]
                grads[i] = grad
                count[0] -= 1
                last = count[0] == 0
                if last:
                    del waiting[current]
            if last:
                fn(grads)

        return hook

    return _Handles([t.register_hook(hook_of(i)) for i, t in enumerate(tensors)])
