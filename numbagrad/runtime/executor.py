"""Programs: tables of native steps that one call from Python runs.

`Program.run` is a C function object that Python calls as directly as `len`: its body is native
code (native.py) that reads the data pointers out of the ndarrays itself.
"""

import ctypes
import functools
import sys
import sysconfig
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from numbagrad.errors import NumbagradError
from numbagrad.runtime import compiler, layout as at, threads
from numbagrad.runtime.vectorize import Hint

Args = tuple[np.ndarray, ...]


class Step(NamedTuple):
    """One kernel call: it works on [0, extent), in parallel chunks if extent > grain."""

    kernel: int  # address of a native void(int64* words, int64 lo, int64 hi)
    offset: int  # index of the table word that the kernel sees as its word 0
    extent: int
    grain: int


class Binding(NamedTuple):
    """Table word that receives the data address of an argument plus an offset."""

    word: int
    argument: int
    byte_offset: int = 0


class Guard(NamedTuple):
    """What `Program.try_run` expects of an argument; `strides` are in bytes."""

    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    writable: bool = False

    @classmethod
    def of(cls, array: np.ndarray, *, writable: bool = False) -> "Guard":
        """Expect arrays of the dtype, shape and strides of `array`."""
        return cls(array.dtype, array.shape, array.strides, writable)

    def holds(self, array: np.ndarray) -> bool:
        """Return whether `array` is as expected (aligned, too): what the native runner checks."""
        return (
            array.dtype is self.dtype
            and array.shape == self.shape
            and array.strides == self.strides
            and array.flags.aligned
            and (array.flags.writeable or not self.writable)
        )


class Program:
    """An immutable table of steps; any number of threads may run it at once.

    Args:
        steps: kernels in the order in which they run.
        table: int64 words of all steps; each call works on a copy of its own.
        bindings: words to be filled with addresses of arguments at each call.
        nargs: number of arrays a call passes.
        guards: what `try_run` expects of each argument (None: any array).
        release_gil: whether other Python threads may run meanwhile; by default so if the steps
            add up to more work than one grain. A small program would lose more time by waiting
            for the GIL again than it takes.

    Raises:
        ValueError: a step, binding or guard does not fit the table or the arguments.
    """

    __slots__ = (
        "__weakref__", "_parts", "_plain", "_try_run", "guards", "nargs", "releases_gil", "run",
    )  # fmt: skip

    run: Callable[[Args], None]
    """Run all steps on a tuple of `nargs` arrays of type `numpy.ndarray` itself.

    Raises TypeError for anything else, and MemoryError."""

    def __init__(
        self,
        steps: Sequence[Step | tuple[int, int, int, int]],
        table: Sequence[int] | np.ndarray,
        bindings: Sequence[Binding | tuple[int, int, int]],
        nargs: int,
        *,
        guards: Sequence[Guard | None] | None = None,
        release_gil: bool | None = None,
    ) -> None:
        checked = [s if isinstance(s, Step) else Step(*s) for s in steps]
        bound = [b if isinstance(b, Binding) else Binding(*b) for b in bindings]
        words = list(table)
        _check(checked, len(words), bound, nargs, guards)
        if release_gil is None:
            release_gil = sum(step.extent / max(step.grain, 1) for step in checked) > 1
        #: Whether other Python threads may run while this program does.
        self.releases_gil = release_gil or LAYOUT is None  # as ctypes does
        self.nargs = nargs
        self.guards = None if guards is None else tuple(guards)
        self._parts = (checked, words, bound, release_gil)
        self._try_run: Callable[[Args], bool] | None = None
        self._plain = _block(*self._parts, nargs, None)
        self.run = self._run_checked if LAYOUT is None else _native_function(self._plain)

    @property
    def try_run(self) -> Callable[[Args], bool]:
        """Run the steps if every argument fits its guard, else do nothing and return False.

        Raises like `run` if the arguments are no tuple of `nargs` arrays.
        """
        if self._try_run is None:  # most programs are made for one call of one size
            if LAYOUT is None:
                return self._try_run_checked
            if self.guards is None:
                return _without_guards
            self._try_run = _native_function(_block(*self._parts, self.nargs, self.guards))
        return self._try_run

    def __call__(self, args: Args) -> None:
        """Run the program; `run` does the same with one Python step less."""
        self.run(args)

    # The rest serves Pythons whose object layout is not the known one.

    def _run_checked(self, args: Args) -> None:
        self._check_arguments(args)
        pointers = np.array([array.ctypes.data for array in args], dtype=np.int64)
        if _raw_runner()(self._plain.ctypes.data, pointers.ctypes.data):
            raise MemoryError

    def _try_run_checked(self, args: Args) -> bool:
        if self.guards is None:
            return _without_guards(args)
        self._check_arguments(args)
        for array, guard in zip(args, self.guards):
            if guard is not None and not guard.holds(array):
                return False
        self._run_checked(args)
        return True

    def _check_arguments(self, args: Args) -> None:
        if type(args) is not tuple or len(args) != self.nargs:
            raise TypeError(threads.TUPLE_MESSAGE)
        if any(type(array) is not np.ndarray for array in args):
            raise TypeError(threads.ARRAY_MESSAGE)


def _without_guards(args: Args) -> bool:
    raise NumbagradError("this program was made without guards: call run()")


def _check(
    steps: list[Step],
    words: int,
    bindings: list[Binding],
    nargs: int,
    guards: Sequence[Guard | None] | None,
) -> None:
    for step in steps:
        if not step.kernel:
            raise ValueError(f"the kernel address of {step} is null")
        if not 0 <= step.offset <= words or step.extent < 0 or step.grain < 0:
            raise ValueError(f"{step} does not fit a table of {words} words")
    for binding in bindings:
        if not 0 <= binding.word < words or not 0 <= binding.argument < nargs:
            raise ValueError(f"{binding} does not fit {words} table words and {nargs} arguments")
    if guards is not None and len(guards) != nargs:
        raise ValueError(f"there are {len(guards)} guards for {nargs} arguments")


def _block(
    steps: list[Step],
    words: list[int],
    bindings: list[Binding],
    release_gil: bool,
    nargs: int,
    guards: Sequence[Guard | None] | None,
) -> np.ndarray:
    """Lay the program out in one array, which the function object then owns."""
    content = [0] * at.PROGRAM_HEADER
    for s in steps:
        content += (s.kernel, 8 * s.offset, s.extent, s.grain)
    first_word = len(content)
    content += words
    first_binding = len(content)
    for b in bindings:
        content += b
    first_guard = len(content)
    for g in guards or ():
        content += _guard_words(g)
    block = np.array(content, dtype=np.int64)
    base = block.__array_interface__["data"][0]
    block[at.P_STATE] = threads.state().ctypes.data
    block[at.P_NARGS] = nargs
    block[at.P_STEPS], block[at.P_NSTEPS] = base + 8 * at.PROGRAM_HEADER, len(steps)
    block[at.P_WORDS], block[at.P_NWORDS] = base + 8 * first_word, len(words)
    block[at.P_BINDINGS], block[at.P_NBINDINGS] = base + 8 * first_binding, len(bindings)
    block[at.P_GUARDS] = 0 if guards is None else base + 8 * first_guard
    block[at.P_RELEASE] = release_gil
    block.flags.writeable = False
    return block


_ALIGNED, _WRITEABLE = 0x100, 0x400  # NumPy's array flags


def _guard_words(guard: Guard | None) -> list[int]:
    if guard is None:
        return [0]
    flags = _ALIGNED | (_WRITEABLE if guard.writable else 0)
    return [id(guard.dtype), len(guard.shape), flags, *guard.shape, *guard.strides]


def _object_layout() -> tuple[int, int] | None:
    """Return (size of an object's header, offset of a tuple's items) in words if as expected.

    The check reads an ndarray and a tuple the way the native runner will. None (another Python
    than CPython, a free-threaded build, a changed NumPy) selects the slower path in Python.
    """
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None
    header, items = object.__basicsize__, tuple.__basicsize__  # bytes
    array = np.zeros((3, 5), dtype=np.float32)[::2, 1:]
    read = ctypes.c_int64.from_address
    base = id(array) + header
    pair = (array, None)
    expected = [
        (read(id(array) + header - 8), id(np.ndarray)),
        (read(base), array.__array_interface__["data"][0]),
        (ctypes.c_int32.from_address(base + 8).value, 2),
        (read(base + 40), id(array.dtype)),
        (ctypes.c_int32.from_address(base + 48).value, array.flags.num),
        (read(id(pair) + header - 8), id(tuple)),
        (read(id(pair) + header), 2),
        (read(id(pair) + items), id(array)),
        (read(id(pair) + items + 8), id(None)),
    ]
    values = [(getattr(found, "value", found), wanted) for found, wanted in expected]
    if any(found != wanted for found, wanted in values):
        return None
    for offset, wanted in ((16, array.shape), (24, array.strides)):
        pointer = read(base + offset).value
        if tuple((ctypes.c_int64 * 2).from_address(pointer)) != wanted:
            return None
    return header // 8, items // 8


LAYOUT = _object_layout()
"""Layout of Python's objects that the native runner relies on, or None."""


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef (part of its stable ABI)."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_METH_O = 8
_method: _MethodDef | None = None  # shared by all programs, needed as long as one of them lives
_new_function: Any = None


def _native_function(block: np.ndarray) -> Callable[[Args], Any]:
    """Wrap the native runner as a Python function bound to a program's block."""
    global _method, _new_function
    if _method is None:
        assert LAYOUT is not None
        source = (
            "from numbagrad.runtime.native import run_program\n\n"
            f"def kernel(block, args):\n    return run_program(block, args, {LAYOUT[0]}, "
            f"{LAYOUT[1]})\n"
        )
        address = compiler.compile_source(source, signature="binary", hint=Hint())
        prototype = ctypes.PYFUNCTYPE(
            ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p
        )
        _new_function = prototype(("PyCFunction_NewEx", ctypes.pythonapi))
        method = _MethodDef(b"run_program", address, _METH_O, None)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(method))
        _method = method
    return _new_function(ctypes.addressof(_method), block, None)


@functools.cache
def _raw_runner() -> Any:
    source = "from numbagrad.runtime.native import run_raw as kernel\n"
    address = compiler.compile_source(source, signature="binary", hint=Hint())
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(address)
