"""`vmap`: every op applied to a whole batch at once.

A batched tensor is a tensor of the level below whose dimension 0 is the batch; the function sees
the others. An op's record says how it is batched; one that does not say is looped over.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from ..inplace import update
from ..ir.pytree import flatten, shown, unflatten
from ..modes import thread
from ..ops.batching import Batched, batch_elementwise, batch_loop
from ..ops.elementwise import add
from ..ops.view import cat, expand, permute, slice_, wrap_dim
from ..stack import at_user_line
from ..tensor import Tensor, wrap
from .levels import HeldTracer, Level, LevelTracer, leave, settled

_RANDOMNESS = ("error", "different", "same")


class BatchTracer(LevelTracer):
    """A batch of arrays: `value` has the batch as dimension 0."""

    __slots__ = ("value",)

    def __init__(self, interpreter: Batch, value: Tensor) -> None:
        self.interpreter = interpreter
        self.value = value
        data = value._data
        self.shape = data.shape[1:]
        self.dtype = data.dtype

    def contents(self) -> tuple[Tensor, ...]:
        return (self.value,)


class Batch(Level):
    """The interpreter of one `vmap`."""

    name = "vmap"

    def __init__(self, size: int, randomness: str) -> None:
        super().__init__()
        self.size = size
        self.randomness = randomness

    def __enter__(self) -> Any:
        super().__enter__()
        thread.modes.batch = self
        return self

    def __exit__(self, *exc: object) -> None:
        thread.modes.batch = self._outer
        super().__exit__(*exc)

    def apply(self, op: Any, args: list[Any], owned: list[bool], params: dict[str, Any]) -> Any:
        xs = [a._data.value if b else a for a, b in zip(args, owned)]
        call = Batched(op, self.size, xs, owned, params)
        if op.batch is not None:
            out = op.batch(call)
        elif op.expr is not None:
            out = batch_elementwise(call)
        else:
            out = batch_loop(call)
        if out.__class__ is tuple or out.__class__ is list:
            return tuple([BatchTracer(self, settled(o)) for o in out])
        return BatchTracer(self, settled(out))

    def apply_rule(self, rule: Any, leaves: list[Any]) -> list[tuple[Any, ...]]:
        flags = list(map(self.owns, leaves))
        values = [x._data.value if f else x for x, f in zip(leaves, flags, strict=True)]
        return [(o,) for o in rule.batched(self, flags)(values)]

    def joined(self, *parts: Any) -> Tensor:
        return wrap(BatchTracer(self, settled(parts[0])))

    def reserve(self, generator: Any, blocks: int) -> tuple[Any, int]:
        if self.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use "
                "the 'same' or 'different' randomness flags on vmap or perform the randomness "
                f"operation out of vmap{at_user_line()}"
            )
        count = blocks if self.randomness == "same" else blocks * self.size
        outer = self._outer or thread.modes.trace
        key, skip = (generator.take(count), 0) if outer is None else outer.reserve(generator, count)
        if self.randomness == "same":
            return key, skip
        # Each element of the batch reads its own blocks.
        steps = np.zeros((self.size, 2), np.int64)
        steps[:, 1] = np.arange(self.size) * blocks
        keys = wrap(steps)
        return wrap(BatchTracer(self, add(slice_(key, index=(None,)), keys))), skip

    def spread(self, t: Tensor) -> Tensor:
        return expand(slice_(t, index=(None,)), shape=(self.size, *t._data.shape))

    def among(self, t: Tensor) -> Tensor:
        return wrap(BatchTracer(self, t), t._requires_grad)

    def constant_of(self, data: BatchTracer) -> Tensor:
        return wrap(BatchTracer(self, data.value.detach()))

    def lift(self, target: Tensor, data: Any) -> None:
        if data.__class__ is HeldTracer:
            super().lift(target, data)
            return
        raise RuntimeError(
            "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a "
            "Tensor `other` in extra_args that has more elements than `self`. This happened due to "
            "`other` being vmapped over but `self` not being vmapped over in a vmap. Use the "
            "out-of-place form, or make `self` from a mapped tensor, for instance with "
            f"ng.zeros_like(x) of a mapped x{at_user_line()}"
        )

    def text(self, t: Tensor) -> str | None:
        if not self.owns(t):
            return None
        value = textwrap.indent(repr(t._data.value), "    ")
        return f"BatchedTensor(lvl={self.level}, bdim=0, value=\n{value}\n)"

    def from_values(
        self, reader: Callable[..., Any], each: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not self.active or not any(map(self.owns, (*args, *kwargs.values()))):
            return super().from_values(reader, each, args, kwargs)
        name = reader.__name__
        if not each:
            raise RuntimeError(
                f"vmap: {name}() of a mapped tensor has a result whose shape depends on the "
                "values, which may differ between the elements of the batch. Use a mask and "
                f"ng.where instead of indices, or call {name}() outside of vmap{at_user_line()}"
            )
        if self.size == 0:
            raise RuntimeError(
                f"vmap: {name}() reads the values of each element of the batch, and there are none"
                f"{at_user_line()}"
            )

        def row(a: Any, i: int) -> Any:
            return slice_(a._data.value, index=(i,)) if self.owns(a) else self._below(a)

        found = [
            flatten(reader(*[row(a, i) for a in args], **{k: row(a, i) for k, a in kwargs.items()}))
            for i in range(self.size)
        ]
        columns = list(zip(*(leaves for leaves, _ in found), strict=True))
        for column in columns:
            shapes = [tuple(t.shape) for t in column]
            if len(set(shapes)) > 1:
                raise RuntimeError(
                    f"vmap: {name}() gives results of different shapes for the elements of the "
                    f"batch, which cannot be stacked: {', '.join(map(str, shapes))}"
                    f"{at_user_line()}"
                )
        return unflatten(found[0][1], [
            wrap(BatchTracer(self, cat(*[slice_(t, index=(None,)) for t in column], dim=0)))
            for column in columns
        ])  # fmt: skip

    def concrete_error(self, t: Tensor, what: str) -> Exception:
        if what == "item()":
            return RuntimeError(
                "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap "
                "over calling .item() on a Tensor, please try to rewrite what you're doing with "
                f"other operations.{at_user_line()}"
            )
        return RuntimeError(
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control "
            f"flow or where its values must be known: {what}. A mapped tensor has a value for each "
            f"element of the batch; use ng.where to choose between values{at_user_line()}"
        )


def to_front(x: Tensor, dim: int) -> Tensor:
    """`x` with dimension `dim` as the first."""
    if dim == 0:
        return x
    return permute(x, dims=(dim, *(d for d in range(x.ndim) if d != dim)))


def from_front(x: Tensor, dim: int) -> Tensor:
    """`x` with its first dimension as number `dim`."""
    if dim == 0:
        return x
    return permute(x, dims=(*range(1, dim + 1), 0, *range(dim + 1, x.ndim)))


def batch_of(level: Batch, x: Tensor, dim: int) -> Tensor:
    """The tensor of the level that stands for one slice of `x` along `dim`."""
    return wrap(BatchTracer(level, to_front(x, dim)))


def unbatch(level: Batch, t: Tensor, dim: int) -> Tensor:
    """What a tensor of the level, or one that is the same for the whole batch, is outside."""
    value = leave(t._data.value) if level.owns(t) else level.spread(leave(level.released(t)))
    if not -value.ndim <= dim < value.ndim:
        raise IndexError(
            f"vmap: out_dims: Dimension out of range (expected to be in range of [{-value.ndim}, "
            f"{value.ndim - 1}], but got {dim}) for a result of shape {tuple(value.shape[1:])}, "
            "to which the mapped dimension is added"
        )
    return from_front(value, dim % value.ndim)


# -- the public function --------------------------------------------------------------------------


def _name(func: Any) -> str:
    return getattr(func, "__name__", repr(func))


def broadcast_prefix(prefix: Any, tree: Any) -> list[Any] | None:
    """The leaves of `prefix`, each repeated for the part of `tree` that it stands for."""
    if not isinstance(prefix, tuple | list | dict):
        return [prefix] * len(flatten(tree)[0])
    if type(prefix) is not type(tree) or len(prefix) != len(tree):
        return None
    if isinstance(prefix, dict):
        if prefix.keys() != tree.keys():
            return None
        pairs = [(prefix[k], v) for k, v in tree.items()]
    else:
        pairs = list(zip(prefix, tree, strict=True))
    result: list[Any] = []
    for p, t in pairs:
        part = broadcast_prefix(p, t)
        if part is None:
            return None
        result += part
    return result


def _checked_inputs(func: Any, in_dims: Any, args: Any) -> tuple[list[Any], Any, list[Any], int]:
    where = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, int | tuple):
        raise ValueError(
            f"{where}expected `in_dims` to be int or a (potentially nested) tuple matching the "
            f"structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you "
            "are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, structure = flatten(args)
    dims = broadcast_prefix(in_dims, args)
    if dims is None:
        raise ValueError(
            f"{where}in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {shown(flatten(in_dims)[1])} but inputs has structure {shown(structure)}."
        )
    sizes = []
    for i, (x, dim) in enumerate(zip(leaves, dims, strict=True)):
        if dim is None:
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"{where}Got in_dim={dim} for an input but in_dim must be either an integer "
                "dimension or None."
            )
        if not isinstance(x, Tensor):
            raise ValueError(
                f"{where}Got in_dim={dim} for an input but the input is of type {type(x)}. We "
                "cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -x.ndim <= dim < x.ndim:
            raise ValueError(
                f"{where}Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {x.ndim} so expected in_dim to satisfy "
                f"-{x.ndim} <= in_dim < {x.ndim}."
            )
        dims[i] = dim % x.ndim
        sizes.append(x._data.shape[dims[i]])
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(s != sizes[0] for s in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return leaves, structure, dims, sizes[0]


def _out_dims(func: Any, out_dims: Any, result: Any) -> list[Any]:
    where = f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): "
    if any(d is not None and not isinstance(d, int) for d in flatten(out_dims)[0]):
        raise ValueError(
            f"{where}`out_dims` must be an int, None or a python collection of ints representing "
            "where in the outputs the vmapped dimension should appear."
        )
    if isinstance(result, Tensor) and isinstance(out_dims, tuple | list) and len(out_dims) == 1:
        out_dims = out_dims[0]
    dims = broadcast_prefix(out_dims, result)
    if dims is None:
        raise ValueError(
            f"{where}out_dims is not compatible with the structure of `outputs`. out_dims has "
            f"structure {shown(flatten(out_dims)[1])} but outputs has structure "
            f"{shown(flatten(result)[1])}."
        )
    return dims


def _finished(func: Any, level: Batch, results: list[Any], dims: list[Any]) -> list[Any]:
    finished = []
    for r, dim in zip(results, dims, strict=True):
        if dim is None:
            if level.owns(r):
                raise ValueError(
                    f"vmap({_name(func)}, ...): `{_name(func)}` can not return a BatchedTensor "
                    "when out_dim is None"
                )
            finished.append(level.released(r))
        elif not isinstance(r, Tensor):
            raise ValueError(
                f"vmap({_name(func)}, ...): `{_name(func)}` must only return Tensors, got type "
                f"{type(r)}. Did you mean to set out_dims= to None for output?"
            )
        else:
            finished.append(unbatch(level, r, dim))
    return finished


def _mapped(
    func: Any, leaves: list[Any], structure: Any, dims: list[Any], size: int, out_dims: Any,
    randomness: str, kwargs: dict[str, Any],
) -> tuple[list[Any], Any, list[Any]]:  # fmt: skip
    """The results as leaves, their structure, and where each has the batch."""
    with Batch(size, randomness) as level:
        stands = [
            x if d is None else batch_of(level, x, d) for x, d in zip(leaves, dims, strict=True)
        ]
        before = [s._data if isinstance(s, Tensor) else None for s in stands]
        args = unflatten(structure, stands)
        result = func(*args, **kwargs)
        results, shape = flatten(result)
        out = _out_dims(func, out_dims, result)
        finished = _finished(func, level, results, out)
        # What the function changed in place is changed for the caller, as in PyTorch.
        changed = [
            (x, unbatch(level, s, d))
            for x, s, d, b in zip(leaves, stands, dims, before, strict=True)
            if d is not None and s._data is not b
        ]
    for x, value in changed:
        update(x, value, "vmap")
    return finished, shape, out


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that maps `func` over a dimension of its arguments, without a loop.

    Args:
        func: takes tensors (or pytrees of them) without the mapped dimension.
        in_dims: which dimension of each argument to map over; None: the same for all. An int for
            all, or a tuple with an entry (int, None, or a pytree of them) per argument.
        out_dims: where each result has the mapped dimension.
        randomness: random ops in `func` raise ("error"), draw anew for each element
            ("different"), or once for all ("same").
        chunk_size: how many elements to compute at a time; default: all.

    Returns:
        A function of batched arguments. Keyword arguments are passed on as they are.

    Raises:
        ValueError: the dims do not fit the arguments or results, or extents differ.
        RuntimeError: `func` asks for the value of a mapped tensor (``if``, ``.item()``).

    >>> import numbagrad as ng
    >>> dot = lambda a, b: (a * b).sum()
    >>> ng.func.vmap(dot, in_dims=(0, None))(ng.ones(3, 2), ng.tensor([1.0, 2.0]))
    tensor([3., 3., 3.])
    """
    if randomness not in _RANDOMNESS:
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure, dims, size = _checked_inputs(func, in_dims, args)
        chunk = chunk_size or max(size, 1)
        parts = []
        for start in range(0, max(size, 1), chunk):
            stop = min(start + chunk, size)
            rows = [
                x if d is None or (start, stop) == (0, size) else _rows(x, d, start, stop)
                for x, d in zip(leaves, dims, strict=True)
            ]
            parts.append(
                _mapped(func, rows, structure, dims, stop - start, out_dims, randomness, kwargs)
            )
        results, shape, out = parts[0]
        if len(parts) > 1:
            columns = zip(*(p[0] for p in parts), strict=True)
            results = [
                c[0] if d is None else cat(*c, dim=wrap_dim(d, c[0].ndim))
                for c, d in zip(columns, out, strict=True)
            ]
        return unflatten(shape, results)

    return mapped


def _rows(x: Tensor, dim: int, start: int, stop: int) -> Tensor:
    return slice_(x, index=(*(slice(None),) * dim, slice(start, stop)))
