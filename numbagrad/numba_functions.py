"""`numba_function`: an op made of the user's own Numba code.

The functions are called with arrays, as one step: eagerly at once, in a compiled function as a call
between its programs. Nothing here imports Numba: who decorates with ``@njit`` has done so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import dtypes
from .ops.registry import Op
from .tensor import Tensor

__all__ = ["Aval", "NumbaFunction", "numba_function"]

Array = np.ndarray[Any, Any]
_ndarray = np.ndarray
_NUMBERS = (bool, int, float, complex)
_UNWANTED: Any = ((), np.dtype(np.float32))  # stands for the gradient of a number


class Aval(NamedTuple):
    """What a `shape` rule sees of a tensor, and returns for each output."""

    shape: tuple[int, ...]
    dtype: dtypes.dtype


def numba_function(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | NumbaFunction | None = None,
    *,
    outputs: int = 1,
    shape: Callable[..., Any] | None = None,
) -> NumbaFunction:
    """An op that runs Numba functions of yours: eager, compiled, mapped and differentiated.

    Args:
        forward: ``forward(x, y, ...)`` takes arrays (contiguous, and not to be changed) and numbers
            and returns an array, or a tuple of them; a number becomes a 0-d tensor. It must
            compute the same from the same arguments. Numba's rules of promotion hold inside: a
            float that is passed has the dtype of the tensors, but ``x * 2.0`` of float32 is
            float64.
        backward: ``backward(g, ..., x, y, ..., out, ...)`` takes the gradients of the outputs, the
            arguments and the outputs (which it may leave out), and returns the gradients of all
            arguments: an array of the argument's shape (or one that it broadcasts to, which is
            summed), or a tuple with one for each, in which None stands for zeros. To differentiate
            twice, or in forward mode, make it a `numba_function` with a backward of its own.
        outputs: how many arrays `forward` returns.
        shape: ``shape(x, y, ...)`` gives (shape, dtype) of the output, or a list of such pairs, for
            arguments that have `shape` and `dtype`, when the function is traced by
            :func:`compile`. Without it `forward` runs once on arrays of ones to find out.

    Returns:
        The function of tensors and numbers.

    Raises:
        TypeError: `forward` or `backward` is not callable; in a call, an argument is neither a
            tensor nor a number, or Numba cannot compile the function for the dtypes.
        RuntimeError: in a call, the functions return what does not fit; in a backward pass, the
            gradient rule is missing.

    >>> import numba, numpy as np
    >>> import numbagrad as ng
    >>> @numba.njit
    ... def running_max(x):
    ...     out = x.copy()
    ...     for i in range(1, len(x)):
    ...         out[i] = max(x[i], out[i - 1])
    ...     return out
    >>> @numba.njit
    ... def its_gradient(g, x, out):
    ...     gx, best = np.zeros_like(x), 0
    ...     for i in range(len(x)):
    ...         if i == 0 or out[i] > out[i - 1]:
    ...             best = i
    ...         gx[best] += g[i]
    ...     return gx
    >>> peak = ng.numba_function(running_max, its_gradient)
    >>> x = ng.tensor([1.0, 3.0, 2.0, 5.0], requires_grad=True)
    >>> peak(x)
    tensor([1., 3., 3., 5.], grad_fn=<RunningMaxBackward0>)
    >>> ng.func.grad(ng.compile(lambda x: (peak(x) ** 2).sum()))(x.detach())
    tensor([ 2., 12.,  0., 10.])
    """
    for what, fn in (("forward", forward), ("backward", backward)):
        if not (callable(fn) or (fn is None and what == "backward")):
            raise TypeError(f"numba_function: {what} must be a function, got {type(fn).__name__}")
    if not isinstance(outputs, int) or outputs < 1:
        raise ValueError(f"numba_function: outputs must be a positive number, got {outputs!r}")
    return NumbaFunction(forward, backward, outputs, shape)


class NumbaFunction:
    """What :func:`numba_function` returns; call it with tensors and numbers."""

    def __init__(
        self, forward: Callable[..., Any], backward: Any, outputs: int, shape: Any,
        gradient_of: str | None = None,
    ) -> None:  # fmt: skip
        self.forward = forward
        self.backward = backward
        self.outputs = outputs
        self.shape = shape
        self.gradient_of = gradient_of
        self.__name__: str = getattr(forward, "__name__", type(forward).__name__)
        self.__doc__ = forward.__doc__
        self._signature = inspect.signature(forward)
        self._avals: dict[Any, list[tuple[tuple[int, ...], np.dtype[Any]]]] = {}
        self._ops: dict[int, Op] = {}  # by number of arguments

    def __repr__(self) -> str:
        return f"<numba_function {self.__name__}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != len(self._signature.parameters):
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        tensors = 0
        for i, a in enumerate(args):
            if isinstance(a, Tensor):
                tensors += 1
            elif type(a) not in _NUMBERS:
                raise TypeError(
                    f"{self.__name__}: argument {i} must be a tensor or a number, got "
                    f"{type(a).__name__}; convert arrays with ng.from_numpy()"
                )
        if not tensors:
            raise TypeError(f"{self.__name__} takes tensors; one argument at least must be one")
        op = self._ops.get(len(args))
        if op is None:
            op = self._ops[len(args)] = self._op(len(args))
        return op(*args)

    # -- the op -----------------------------------------------------------------------------

    def _op(self, arity: int) -> Op:
        inputs = tuple(f"x{i}" for i in range(arity))
        outs = tuple(f"out{i}" for i in range(self.outputs))
        return Op(
            name=self.__name__.strip("<>"),
            inputs=inputs,
            outputs=outs,
            evaluate=self._evaluate,
            abstract=self._abstract,
            rules=self._rule(inputs, outs),
            doc=self.__doc__ or "A function of the user.",
        )

    def _rule(self, inputs: tuple[str, ...], outs: tuple[str, ...]) -> Callable[..., Any]:
        """The gradient; it names what it reads in its signature, as the rules of all ops do."""
        n = len(inputs)
        names: tuple[str, ...] = ()
        gradient = None
        if self.backward is not None:
            fn, its_own = self.backward, None
            if isinstance(fn, NumbaFunction):
                fn, its_own = fn.forward, fn.backward
            first = self.outputs
            gradient = NumbaFunction(
                fn, its_own, n, lambda *avals: avals[first : first + n], self.__name__
            )
            names = (*inputs, *outs)
            takes = len(gradient._signature.parameters) - self.outputs
            if takes == n:
                names = inputs
            elif takes != len(names):
                raise TypeError(
                    f"{gradient.__name__}, the gradient of {self.__name__}, must take "
                    f"{self.outputs} gradients, the {n} arguments and then the {self.outputs} "
                    f"outputs or none of them; it takes {takes + self.outputs} in all"
                )

        def rule(g: Any, *values: Any) -> tuple[Any, ...]:
            if gradient is None:
                raise RuntimeError(self._no_gradient())
            found = gradient(*(g if isinstance(g, tuple) else (g,)), *values)
            found = found if isinstance(found, tuple) else (found,)
            return tuple(
                g if isinstance(x, Tensor) else None for g, x in zip(found, values, strict=False)
            )

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        rule.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, kind) for name in ("g", *names)]
        )
        return rule

    def _no_gradient(self) -> str:
        if self.gradient_of is None:
            return (
                f"{self.__name__} has no gradient: give its numba_function a backward, or detach() "
                "the result"
            )
        return (
            f"the gradient of {self.gradient_of} cannot be differentiated, as second derivatives "
            f"and forward mode want it: make its backward a numba_function with a backward of its "
            f"own, ng.numba_function({self.__name__}, ...)"
        )

    # -- evaluation -------------------------------------------------------------------------

    def _evaluate(self, *args: Any) -> Any:
        results = self._results(_passed(args))
        if self.gradient_of is not None:
            self._check(results, self._given(args))
        elif self._avals:  # a compiled function relies on the shapes
            self._check(results, self._avals.get(_key(args)))
        return results[0] if len(results) == 1 else tuple(results)

    def _results(self, args: Sequence[Any]) -> list[Array]:
        try:
            result = self.forward(*args)
        except Exception as error:
            half = any(getattr(a, "dtype", None) == np.float16 for a in args)
            if isinstance(error, NotImplementedError) and half:
                raise TypeError(
                    f"{self.__name__}: Numba does not compute with float16; pass x.float()"
                ) from None
            if not type(error).__module__.startswith("numba."):
                raise
            kinds = ", ".join(map(_kind, args))
            raise TypeError(
                f"Numba cannot compile {self.__name__} for ({kinds}): {_summary(str(error))}"
            ) from None
        results = result if isinstance(result, tuple) else (result,)
        if len(results) != self.outputs:
            wanted = f"{self.outputs} array" + "s" * (self.outputs > 1)
            if self.gradient_of is not None:
                wanted = f"a gradient for each of the {self.outputs} arguments of "
                wanted += self.gradient_of
            raise RuntimeError(f"{self.__name__} must return {wanted}, got {len(results)}")
        return [self._array(r, i, args) for i, r in enumerate(results)]

    def _array(self, r: Any, i: int, args: Sequence[Any]) -> Array:
        if isinstance(r, _ndarray):
            if any(a.__class__ is _ndarray and np.may_share_memory(a, r) for a in args):
                return r.copy()
            return r
        if r is None and self.gradient_of is not None:
            return np.zeros(*self._given(args)[i])
        if isinstance(r, np.generic):
            return np.asarray(r)
        if type(r) not in _NUMBERS:
            raise RuntimeError(
                f"{self.__name__} must return arrays or numbers, got {type(r).__name__} as "
                f"output {i}"
            )
        exact = isinstance(r, int)  # an index or a truth value: its dtype says nothing of x
        return np.array(r, dtypes.number_dtype(r) if exact else dtypes.result_dtype([*args, r]))

    # -- shapes -----------------------------------------------------------------------------

    def _abstract(self, *avals: Any) -> Any:
        key = _key(avals)
        found = self._avals.get(key)
        if found is None:
            if self.shape is not None:
                found = self._given(avals)
            else:
                ones = [np.ones(a.shape, a.dtype) if hasattr(a, "shape") else a for a in avals]
                found = [(r.shape, r.dtype) for r in self._results(_passed(ones))]
            self._avals[key] = found
        return found[0] if len(found) == 1 else list(found)

    def _given(self, args: Sequence[Any]) -> list[Any]:
        """What the shape rule says."""
        result = self.shape(
            *[Aval(tuple(a.shape), dtypes.of(a.dtype)) if hasattr(a, "shape") else a for a in args]
        )
        single = self.outputs == 1 and len(result) == 2
        pairs: Any = [result] if single else list(result)
        if len(pairs) != self.outputs:
            raise RuntimeError(
                f"{self.__name__}: the shape rule must give (shape, dtype) for {self.outputs} "
                f"outputs, got {result!r}"
            )
        return [
            (tuple(p[0]), dtypes.of(p[1]).np) if isinstance(p, tuple | list) else _UNWANTED
            for p in pairs
        ]

    def _check(self, results: list[Array], expected: Any) -> None:
        """Raise unless results are what was promised; cast gradients as the arguments are."""
        for i, (r, aval) in enumerate(zip(results, expected or (), strict=False)):
            if (r.shape, r.dtype) == aval:
                continue
            if aval is _UNWANTED:
                results[i] = np.zeros(*_UNWANTED)
                continue
            if self.gradient_of is None:
                said = "the shape rule says" if self.shape else "for ones it was"
                raise RuntimeError(
                    f"{self.__name__} returned an array of shape {r.shape} and dtype {r.dtype} as "
                    f"output {i}, where {said} {aval[0]} and {aval[1]}"
                    + ("" if self.shape else "; give a rule: numba_function(..., shape=...)")
                )
            if not _broadcasts(aval[0], r.shape):
                raise RuntimeError(
                    f"{self.__name__} returned an invalid gradient at index {i} - got "
                    f"{list(r.shape)} but expected the shape {list(aval[0])} of the argument of "
                    f"{self.gradient_of}, or one that it broadcasts to"
                )
            results[i] = _summed(r, aval[0]).astype(aval[1])


def _broadcasts(shape: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    tail = larger[len(larger) - len(shape) :]
    return len(larger) >= len(shape) and all(a in (1, b) for a, b in zip(shape, tail, strict=True))


def _summed(r: Array, shape: tuple[int, ...]) -> Array:
    """What broadcasting `shape` to that of `r` makes of a gradient: the sum over the copies."""
    more = r.ndim - len(shape)
    copies = [i + more for i, n in enumerate(shape) if n == 1 and r.shape[i + more] != 1]
    return r.sum(axis=(*range(more), *copies), keepdims=True).reshape(shape)


def _passed(args: Sequence[Any]) -> list[Any]:
    """What the function gets: contiguous arrays, and floats that do not promote them."""
    passed = [
        a if a.__class__ is not _ndarray or a.flags.c_contiguous else np.asarray(a, order="C")
        for a in args
    ]
    if float in map(type, args):
        dtype = dtypes.result_dtype([a for a in args if a.__class__ is _ndarray])
        if dtype.kind == "f":
            passed = [dtype.type(a) if a.__class__ is float else a for a in passed]
    return passed


def _key(args: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([(a.shape, a.dtype) if hasattr(a, "shape") else (type(a), repr(a)) for a in args])


def _kind(a: Any) -> str:
    if not isinstance(a, _ndarray):
        return type(a).__name__
    return f"{a.dtype}[{', '.join(map(str, a.shape))}]"


def _summary(text: str) -> str:
    """What Numba says, without the trail through its own passes."""
    lines = [line.strip() for line in text.splitlines()]
    said = [x for x in lines if x and not x.startswith(("Failed in", "During:", "File", "<source"))]
    where = [f"({x.rstrip(':')})" for x in lines if x.startswith("File")]
    return " ".join([*(said[:1] or lines[:1]), *where[:1]])
