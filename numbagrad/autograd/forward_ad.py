"""Forward mode with dual tensors: the interface of ``torch.autograd.forward_ad``.

A dual level is the interpreter of `func.jvp` with a beginning and an end of its own. Inside, a dual
tensor carries a tangent along; the tape above it records as usual, so that gradients of dual
tensors have tangents (forward over reverse), and tangents have a history (reverse over forward).
"""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any, NamedTuple

from ..dispatch import bind
from ..modes import set_fwd_grad_enabled, thread
from ..ops.elementwise import to_dtype
from ..tape import accumulator, gradient_edge
from ..tensor import INFERENCE, Tensor, version_counter, wrap
from ..transforms.jvp import Dual, DualTracer
from ..transforms.levels import TransformInput, active_levels, current
from ..views import refresh

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "set_fwd_grad_enabled",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What :func:`unpack_dual` returns."""

    primal: Tensor
    tangent: Tensor | None


class _DualLevel(Dual):
    """After its end, tensors of the level are what they are without their tangents."""

    name = "the dual level"
    combined = True

    def process(self, op: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if self.active:
            return super().process(op, args, params)
        values = tuple(wrap(a._data.primal._data) if self.owns(a) else a for a in args)
        modes = thread.modes
        grad, modes.grad = modes.grad, False  # the caller's tape records the call
        try:
            out = bind(op, values, params)
        finally:
            modes.grad = grad
        return tuple(o._data for o in out) if isinstance(out, tuple) else out._data

    def apply(self, op: Any, args: list[Any], owned: list[bool], params: dict[str, Any]) -> Any:
        if not thread.modes.inference:
            return super().apply(op, args, owned, params)
        with set_fwd_grad_enabled(False):
            return super().apply(op, args, owned, params)

    def constant_of(self, data: DualTracer) -> Tensor:
        return data.primal.detach()

    def differentiate(self, t: Tensor) -> None:
        # Tangents computed from it have a history of the level below, which now leads to `t`.
        data = t._data
        if not isinstance(data, DualTracer) or data.primal._requires_grad:
            return
        primal = wrap(data.primal._data, True)
        primal._node = TransformInput([(accumulator(t), 0)])
        t._data = DualTracer(self, primal, data.tangent)

    def restore(self, target: Tensor, inner: Tensor) -> None:
        """The tape of the level outlives it, so tensors keep their history."""

    def primal(self, x: Tensor) -> Tensor:
        """What a tensor is on the level below."""
        return x._data.primal if self.owns(x) else self.released(x)

    def dual(self, x: Tensor, tangent: Tensor) -> Tensor:
        d = wrap(DualTracer(self, x, tangent), x._requires_grad)
        if x._requires_grad:
            d._node = TransformInput([gradient_edge(x)])
        d._counter = INFERENCE if x._counter is INFERENCE else version_counter(x)
        self.follow(d, x._data)
        return d


def _level() -> _DualLevel | None:
    found = [level for level in active_levels() if isinstance(level, _DualLevel)]
    return found[-1] if found else None


def enter_dual_level() -> int:
    """Begin a level, in which tensors can be dual; better use :class:`dual_level`.

    Returns:
        The number of the level, for :func:`exit_dual_level`.

    Raises:
        RuntimeError: there is one already, as in PyTorch.
    """
    if _level() is not None:
        raise RuntimeError(
            "Nested forward mode AD is not supported at the moment: exit the dual level first, or "
            "nest ng.func.jvp, which can be"
        )
    _DualLevel().__enter__()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level: its tensors lose their tangents.

    Raises:
        RuntimeError: there is none, `level` is another one, or a transform that began later is
            still at work.
    """
    own = _level()
    if own is None:
        raise RuntimeError("Dual level must be a positive number: no dual level was entered.")
    if own is not current() or level not in (None, 0):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This "
            "is not supported."
        )
    own.__exit__()


class dual_level(ContextDecorator):
    """A block (or, as a decorator, a function) in which tensors can be dual.

    >>> import numbagrad as ng
    >>> from numbagrad.autograd import forward_ad
    >>> x, t = ng.tensor([1.0, 2.0]), ng.tensor([1.0, 0.0])
    >>> with forward_ad.dual_level():
    ...     y = forward_ad.make_dual(x, t) ** 2
    ...     print(forward_ad.unpack_dual(y).tangent)
    tensor([2., 0.])
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A dual tensor: an alias of `tensor` that carries `tangent` along.

    Args:
        tensor: of floating-point or complex dtype.
        tangent: of the same shape; converted to the dtype of `tensor`.
        level: for the signature's sake: there is one level.

    Raises:
        RuntimeError: outside of a dual level, shapes differ, or one of the two is dual already.
        ValueError: a dtype without tangents.
        TypeError: something is no tensor.

    >>> import numbagrad as ng
    >>> from numbagrad.autograd import forward_ad
    >>> with forward_ad.dual_level():
    ...     y = forward_ad.make_dual(ng.tensor(0.0), ng.tensor(3.0)).sin()
    ...     print(forward_ad.unpack_dual(y).tangent)
    tensor(3.)
    """
    own = _level()
    if own is None or level not in (None, 0):
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for what, x in (("primal", tensor), ("tangent", tangent)):
        if not isinstance(x, Tensor):
            raise TypeError(f"make_dual: the {what} must be a Tensor, got {type(x).__name__}")
        if x._data.dtype.kind not in "fc":
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {x.dtype}")
        if x._view is not None:
            refresh(x)
    if tensor._data.shape != tangent._data.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    if _tangent(own, tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            "same level is not supported."
        )
    if _tangent(own, tangent) is not None:
        raise RuntimeError(
            "Setting a forward grad that itself has a forward gradient at the same level is not "
            "supported."
        )
    if tangent._data.dtype is not tensor._data.dtype:
        tangent = to_dtype(tangent, tensor._data.dtype)
    return own.dual(own.primal(tensor), own.primal(tangent))


def _tangent(level: _DualLevel, x: Tensor) -> Tensor | None:
    return x._data.tangent if level.owns(x) else None


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """``(primal, tangent)`` of a tensor; the tangent is None if it has none.

    Raises:
        TypeError: `tensor` is no tensor.

    >>> import numbagrad as ng
    >>> ng.autograd.forward_ad.unpack_dual(ng.ones(1))
    UnpackedDualTensor(primal=tensor([1.]), tangent=None)
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"unpack_dual: expected a Tensor, got {type(tensor).__name__}")
    own = _level()
    if own is None:
        return UnpackedDualTensor(tensor, None)
    if tensor._view is not None:
        refresh(tensor)
    return UnpackedDualTensor(own.primal(tensor), _tangent(own, tensor))
