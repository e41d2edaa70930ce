"""Pytrees: nested tuples, lists, dicts, named tuples and dataclasses of leaves."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves, left to right, and a hashable structure that :func:`unflatten` takes."""
    leaves: list[Any] = []
    return leaves, _walk(tree, leaves)


def _walk(tree: Any, leaves: list[Any]) -> Any:
    kind = type(tree)
    if kind is tuple or kind is list:
        return (kind, tuple([_walk(x, leaves) for x in tree]))
    if kind is dict or kind is OrderedDict:
        return (kind, tuple(tree), tuple([_walk(x, leaves) for x in tree.values()]))
    if kind is defaultdict:
        children = tuple([_walk(x, leaves) for x in tree.values()])
        return (kind, tuple(tree), tree.default_factory, children)
    if _is_node(kind):
        if issubclass(kind, tuple):
            return (kind, "namedtuple", tuple([_walk(x, leaves) for x in tree]))
        names = tuple([f.name for f in dataclasses.fields(tree)])
        return (kind, names, tuple([_walk(getattr(tree, n), leaves) for n in names]))
    leaves.append(tree)
    return None


@functools.lru_cache(maxsize=256)  # each call of a compiled function asks for each leaf
def _is_node(kind: type) -> bool:
    """Whether values of a type are named tuples or dataclasses."""
    return (issubclass(kind, tuple) and hasattr(kind, "_fields")) or dataclasses.is_dataclass(kind)


def unflatten(structure: Any, leaves: Iterable[Any]) -> Any:
    """The tree of a structure with new leaves."""
    return _build(structure, iter(leaves))


def _build(structure: Any, leaves: Iterator[Any]) -> Any:
    if structure is None:
        return next(leaves)
    kind = structure[0]
    children = [_build(s, leaves) for s in structure[-1]]
    if kind is tuple or kind is list:
        return kind(children)
    if kind is dict or kind is OrderedDict:
        return kind(zip(structure[1], children, strict=True))
    if kind is defaultdict:
        return kind(structure[2], zip(structure[1], children, strict=True))
    if structure[1] == "namedtuple":
        return kind(*children)
    new = object.__new__(kind)  # fields may be frozen, or unknown to the constructor
    for name, child in zip(structure[1], children, strict=True):
        object.__setattr__(new, name, child)
    return new


def shown(structure: Any) -> str:
    """A structure as messages show it, with ``*`` for each leaf: ``(*, {'a': [*, *]})``."""
    if structure is None:
        return "*"
    kind = structure[0]
    children = [shown(child) for child in structure[-1]]
    if kind is tuple:
        return f"({', '.join(children)}{',' * (len(children) == 1)})"
    if kind is list:
        return f"[{', '.join(children)}]"
    if issubclass(kind, dict):
        items = [f"{k!r}: {c}" for k, c in zip(structure[1], children, strict=True)]
        return f"{{{', '.join(items)}}}"
    return f"{kind.__name__}({', '.join(children)})"


def paths(structure: Any) -> list[tuple[Any, ...]]:
    """For each leaf the positions, keys and names that lead to it."""
    if structure is None:
        return [()]
    kind, names = structure[0], structure[1]
    if kind is tuple or kind is list or names == "namedtuple":
        names = range(len(structure[-1]))
    return [
        (name, *rest)
        for name, child in zip(names, structure[-1], strict=True)
        for rest in paths(child)
    ]


def graft(old: Any, new: Any) -> Any:
    """`old` with its lists, dictionaries and dataclasses changed to hold what those of `new` do."""
    kind = type(old)
    if kind is not type(new):
        return new
    if kind is list or kind is tuple:
        children = list(map(graft, old, new)) if len(old) == len(new) else list(new)
        if kind is list:
            old[:] = children
        elif len(old) != len(new) or any(a is not b for a, b in zip(old, children, strict=True)):
            return tuple(children)
        return old
    if isinstance(old, dict):
        items = {k: graft(old[k], v) if k in old else v for k, v in new.items()}
        old.clear()
        old.update(items)
        return old
    if _is_node(kind) and not issubclass(kind, tuple):
        for f in dataclasses.fields(old):
            before = getattr(old, f.name)
            child = graft(before, getattr(new, f.name))
            if child is not before:
                object.__setattr__(old, f.name, child)
        return old
    return new


def tree_map(fn: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `fn` applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, map(fn, leaves))
