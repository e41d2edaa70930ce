"""What the user sees of an op: the public function, the method, the in-place form, ``out=``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np

from .. import dtypes
from ..dispatch import bind
from ..eager import refused
from ..inplace import assign_out, check_out, check_overlap, in_place_form
from ..tensor import Tensor, wrap
from .registry import REGISTRY, Op

F = TypeVar("F", bound=Callable[..., Any])

#: The public functions of the package by name.
EXPORTS: dict[str, Any] = {}
#: Those of its modules, such as ``ng.linalg``, by module and name.
NAMESPACES: dict[str, dict[str, Any]] = {"linalg": {}, "fft": {}, "special": {}}
#: What counts as a number next to tensors.
NUMBERS = (bool, int, float, complex)


def operand(name: str, x: Any) -> Any:
    """A tensor or Python number as it is; a NumPy scalar as the number it stands for.

    Raises:
        TypeError: anything else.
    """
    if isinstance(x, Tensor) or x.__class__ in NUMBERS:
        return x
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, NUMBERS):
        return x
    raise TypeError(
        f"{name}(): argument must be Tensor or Number, not {type(x).__name__}; "
        "convert arrays and lists with ng.tensor(...) first"
    )


def operands(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands, at least one of them a tensor."""
    if not isinstance(y, Tensor):
        check_tensor(name, x)
    return operand(name, x), operand(name, y)


def check_kinds(op: Op, x: Tensor) -> None:
    """Raise unless the op takes the dtype of `x`."""
    if x._data.dtype.kind not in op.kinds:
        raise op.refusal(refused(op.name, x._data.dtype, op.kinds))


def check_promoted(
    name: str, kinds: str, *operands: Any, refusal: type[RuntimeError] = NotImplementedError
) -> None:
    """Raise unless what tensors and numbers promote to is of a dtype kind among `kinds`."""
    if all(isinstance(x, Tensor) and x._data.dtype.kind in kinds for x in operands):
        return  # no promotion leads out of the kinds
    d = dtypes.result_dtype([x._data if isinstance(x, Tensor) else x for x in operands])
    if d.kind not in kinds:
        raise refusal(refused(name, d, kinds))


def check_tensor(
    name: str, x: Any, argument: str = "input", position: int = 1, *, kinds: str = "biufc",
    refusal: type[Exception] = NotImplementedError,
) -> Tensor:  # fmt: skip
    """`x` if it is a tensor of a dtype kind among `kinds`.

    Raises:
        TypeError: it is no tensor; the message is PyTorch's and says what to do.
        NotImplementedError, or the class given as `refusal`: its dtype is of another kind.
    """
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
            f"{type(x).__name__}; convert it with ng.tensor(...)"
        )
    if x._data.dtype.kind not in kinds:
        raise refusal(refused(name, x._data.dtype, kinds))
    return x


def publish_registry() -> None:
    """Publish every op whose record says that it is public."""
    for op in REGISTRY.values():
        if op.public or op.operators:
            publish_op(op)


def publish(name: str, fn: Callable[..., Any], *, methods: tuple[str, ...] = ()) -> None:
    """Make `fn` available as ``ng.<name>`` and as methods of Tensor."""
    EXPORTS[name] = fn
    for m in methods:
        setattr(Tensor, m, fn)


def publish_inplace(name: str, fn: Callable[..., Any]) -> None:
    """``x.name_(...)`` and ``ng.name_(x, ...)``."""
    form = in_place_form(f"{name}_", fn)
    publish(f"{name}_", form, methods=(f"{name}_",))


def public(
    name: str | None = None,
    *,
    method: bool = True,
    inplace: bool = False,
    out: bool = False,
    typed: bool = True,
    aliases: tuple[str, ...] = (),
    namespace: str | None = None,
) -> Callable[[F], F]:
    """Decorator: publish a function of tensors as ``ng.<name>`` and as a method.

    With a `namespace` it is published as ``ng.<namespace>.<name>``, and has no method. `typed`: the
    dtype of `out` is that of the computation, where the function takes one.

    The decorated function itself stays as it is, for use by other ops.
    """

    def decorate(fn: F) -> F:
        own = name or fn.__name__
        visible = accepts_out(fn, own, typed=typed) if out else fn
        if namespace is not None:
            NAMESPACES[namespace].update(dict.fromkeys((own, *aliases), visible))
            return fn
        for n in (own, *aliases):
            publish(n, visible)
            if method:
                setattr(Tensor, n, fn)
            if inplace:
                publish_inplace(n, fn)
        return fn

    return decorate


def accepts_out(fn: F, name: str | None = None, *, typed: bool = True) -> F:
    """`fn` with the argument ``out=``, a tensor (or several) to store the result in.

    Where the function takes a dtype, that of `out` is the default if `typed`.
    """
    own = name or fn.__name__
    signature = inspect.signature(fn)
    typed = typed and "dtype" in signature.parameters

    @functools.wraps(fn)
    def with_out(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None:
            return fn(*args, **kwargs)
        check_out(out, own)
        if isinstance(out, Tensor):
            # One of another shape is complete before it is stored.
            alike = [a for a in args if getattr(a, "shape", None) == out.shape]
            _check_memory(out, alike, own)
        if typed and isinstance(out, Tensor):
            dtype = kwargs.setdefault("dtype", out.dtype) or out.dtype
            if dtype != out.dtype:
                raise RuntimeError(f"{own}(): Expected out tensor to have dtype {dtype}, but got "
                                   f"{out.dtype} instead")  # fmt: skip
        return assign_out(out, fn(*args, **kwargs), own)

    extra = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    with_out.__signature__ = signature.replace(parameters=[*parameters, extra])  # type: ignore[attr-defined]
    return cast(F, with_out)


def publish_op(op: Op) -> None:
    """Publish a primitive under the names and operators in its record."""
    name = op.public[0] if op.public else op.name
    method, function = (_unary if len(op.inputs) == 1 else _binary)(op, name)
    for fn in (method, function):
        fn.__name__ = fn.__qualname__ = name
        fn.__doc__ = op.doc
        fn.__module__ = "numbagrad"
    for n in op.public:
        publish(n, function)
        setattr(Tensor, n, method)
        publish_inplace(n, method)
    if op.operators:
        publish_operators(op, *op.operators)


def _unary(op: Op, name: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    def method(input: Any) -> Tensor:
        if not isinstance(input, Tensor):
            check_tensor(name, input)
        return bind(op, (input,))

    def function(input: Any, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Tensor):
            check_tensor(name, input)
        return bind(op, (input,)) if out is None else _elementwise_out(op, name, out, input)

    return method, function


def _binary(op: Op, name: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    def method(input: Any, other: Any) -> Tensor:
        if not isinstance(other, Tensor):
            other = operand(name, other)
            if not isinstance(input, Tensor):
                check_tensor(name, input)
        elif not isinstance(input, Tensor):
            input = operand(name, input)
        return bind(op, (input, other))

    def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        if out is None:
            return method(input, other)
        return _elementwise_out(op, name, out, *operands(name, input, other))

    return method, function


def _elementwise_out(op: Op, name: str, out: Any, *args: Any) -> Tensor:
    check_out(out, name)
    if isinstance(out, Tensor):
        _check_memory(out, args, name)
    return assign_out(out, bind(op, args), name)


def _check_memory(out: Tensor, args: Iterable[Any], name: str) -> None:
    """Refuse an `out` that lies partly in the memory of an argument."""
    for a in args:
        if isinstance(a, Tensor) and a._counter is out._counter and a is not out:
            check_overlap(out, a, name)


_OPERANDS = frozenset((Tensor, *NUMBERS))  # by exact class: the fast test


def _known(x: Any) -> bool:
    return x.__class__ in _OPERANDS or isinstance(x, (Tensor, *NUMBERS, np.generic))


def publish_operators(
    fn: Op | Callable[..., Any], forward: str, reflected: str, inplace: str
) -> None:
    """Attach Python's operators; an operand of a foreign type gives NotImplemented."""
    if isinstance(fn, Op):
        op = fn

        def operator(self: Tensor, other: Any) -> Any:
            if other.__class__ not in _OPERANDS:
                if isinstance(other, np.ndarray) and forward in ("__eq__", "__ne__"):
                    # Left to Python, arrays and tensors would be compared by identity.
                    other = wrap(np.asarray(other, dtypes.of(other.dtype).np))
                elif not _known(other):
                    return NotImplemented
                else:
                    other = operand(op.name, other)
            return bind(op, (self, other))

    else:

        def operator(self: Tensor, other: Any) -> Any:
            return fn(self, other) if _known(other) else NotImplemented

    setattr(Tensor, forward, operator)
    if reflected:

        def reflected_operator(self: Tensor, other: Any) -> Any:
            return fn(operand(reflected, other), self) if _known(other) else NotImplemented

        setattr(Tensor, reflected, reflected_operator)
    if inplace:
        stored = in_place_form(f"{inplace.strip('_')[1:]}_", operator)

        def inplace_operator(self: Tensor, other: Any) -> Any:
            return stored(self, other) if _known(other) else NotImplemented

        setattr(Tensor, inplace, inplace_operator)
