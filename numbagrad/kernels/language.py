"""What the kernel language has beside Python's statements and arithmetic: kinds and intrinsics.

Kernels are Python functions over numbers and pointers, the part of Numba's language without
objects. An intrinsic is a function of that language which is written in LLVM instructions;
`runtime.translate` and `runtime.numba_front` both understand it, and importing it needs no Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir


class Kind(NamedTuple):
    """The type of a value: a number, or a pointer to numbers."""

    name: str  # NumPy's name; with a star behind for a pointer
    family: str  # NumPy's letter: b, i, u, f; p for a pointer
    bits: int
    llvm: Any
    item: Any = None  # what a pointer points to

    def __repr__(self) -> str:
        return self.name


def _integer(name: str, family: str, bits: int) -> Kind:
    return Kind(name, family, bits, ir.IntType(bits))


KINDS = {
    kind.name: kind
    for kind in (
        _integer("bool", "b", 1),
        _integer("int8", "i", 8),
        _integer("int16", "i", 16),
        _integer("int32", "i", 32),
        _integer("int64", "i", 64),
        _integer("uint8", "u", 8),
        Kind("float32", "f", 32, ir.FloatType()),
        Kind("float64", "f", 64, ir.DoubleType()),
    )
}
WORD = KINDS["int64"]


def pointer(item: Kind) -> Kind:
    """The kind of a pointer to numbers of the kind `item`."""
    return Kind(f"{item.name}*", "p", 64, item.llvm.as_pointer(), item)


class Intrinsic(NamedTuple):
    """A function of the kernel language that emits LLVM instructions."""

    name: str
    arity: int
    #: Kinds of the arguments -> (kinds they are to have, kind of the result or None), or a
    #: TypeError.
    resolve: Callable[[tuple[Kind, ...]], tuple[tuple[Kind, ...], Kind | None]]
    #: ``emit(builder, *values)``: the LLVM value of the result, or None.
    emit: Callable[..., Any]
    doc: str | None = None

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.name} can be called only inside a kernel")


def intrinsic(*kinds: Kind, returns: Kind | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Declare an intrinsic with arguments of these kinds; the function emits its code."""

    def declare(emit: Callable[..., Any]) -> Any:
        def resolve(given: tuple[Kind, ...]) -> tuple[tuple[Kind, ...], Kind | None]:
            if len(given) != len(kinds):
                raise TypeError(f"{emit.__name__} takes {len(kinds)} arguments, not {len(given)}")
            return kinds, returns

        return Intrinsic(emit.__name__, len(kinds), resolve, emit, emit.__doc__)

    return declare


def same_kind(emit: Callable[..., Any]) -> Any:
    """Declare an intrinsic whose arguments and result are of one kind, whichever it is."""

    def resolve(given: tuple[Kind, ...]) -> tuple[tuple[Kind, ...], Kind]:
        if any(kind != given[0] for kind in given):
            raise TypeError(f"{emit.__name__} takes arguments of one kind, not {given}")
        return given, given[0]

    arity = emit.__code__.co_argcount - 1
    return Intrinsic(emit.__name__, arity, resolve, emit, emit.__doc__)
