"""What a function's code can see beside its arguments: globals, closures, attributes.

A trace depends on the numbers, strings and functions that it read there, and reads tensors anew at
each call. Names are followed as the code spells them; what it reaches by other ways (getattr with a
computed name, the elements of a large container) is not seen.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .tensor import Tensor

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_EQUAL = (*_PLAIN, tuple)
_SEEN_INSIDE = (*_PLAIN, types.FunctionType, types.MethodType, list, dict, tuple)
_ELEMENTS = 32  # of a list or dictionary: looking at more at each call would cost too much
_PLACES = 256
_OURS = __name__.partition(".")[0] + "."


class Named:
    """A place that a name leads to, and the tensor that is there at the time of a call."""

    __slots__ = ("container", "key", "mapping", "name")

    def __init__(self, mapping: Any, key: Any, name: str) -> None:
        self.mapping = mapping
        self.container = mapping.elements if isinstance(mapping, _Elements) else mapping
        self.key = key
        self.name = name

    def now(self) -> Any:
        try:
            return self.container[self.key]
        except (LookupError, ValueError):  # it is gone
            return None

    @property
    def subscript(self) -> tuple[Any, Any]:
        """(container, key), for the fastest way to what is there now."""
        return self.container, self.key


class _Cell:
    """A closure's variable, read like an entry of a dictionary."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell

    def get(self, key: Any) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError:  # not assigned yet, or deleted
            return None

    def __getitem__(self, key: Any) -> Any:
        return self.cell.cell_contents


class _Elements:
    """A list or tuple, read like a dictionary: the key is a position."""

    def __init__(self, elements: Any) -> None:
        self.elements = elements

    def get(self, key: int) -> Any:
        return self.elements[key] if key < len(self.elements) else None


class _Length:
    """How many elements a container has, read like an entry of it."""

    def __init__(self, container: Any) -> None:
        self.container = container

    def get(self, key: Any) -> int:
        return len(self.container)


class _Attribute:
    """What an object or its class has under a name, read like an entry of a dictionary."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def get(self, key: str) -> Any:
        return getattr(self.owner, key, None)

    def __getitem__(self, key: str) -> Any:
        return getattr(self.owner, key)


class Fact(NamedTuple):
    """``mapping.get(key)`` was `value`; the user knows the place as `name`."""

    mapping: Any
    key: Any
    value: Any
    name: str

    def holds(self) -> bool:
        """Whether it is what it was; repr tells 0.0 from -0.0 and finds NaN again."""
        now, value = self.mapping.get(self.key), self.value
        if now is value:
            return True
        return type(now) is type(value) and type(value) in _EQUAL and repr(now) == repr(value)


class _Same(Fact):
    """That a container is the same one: how its elements print says nothing about it."""

    __slots__ = ()

    def holds(self) -> bool:
        return self.mapping.get(self.key) is self.value


class Surroundings:
    """What `fn` can see: `facts` it depends on, `named` tensors by their id, `modules`."""

    def __init__(self, fn: Callable[..., Any], objects: Iterable[Any] = ()) -> None:
        self.facts: list[Fact] = []
        self.named: dict[int, Named] = {}
        self.modules: list[Any] = []
        self._seen: set[Any] = set()
        self._twice: set[int] = set()
        self._functions: list[types.FunctionType] = []
        self._home = ""
        self._enter(fn, objects)
        while self._functions and len(self.facts) + len(self.named) < _PLACES:
            self._scan(self._functions.pop())

    def _enter(self, fn: Any, objects: Iterable[Any] = ()) -> None:
        """Remember to look at a function; `objects` are what its code may ask for attributes."""
        objects = list(objects)
        while True:
            if isinstance(fn, functools.partial):
                objects += fn.args
                fn = fn.func
            elif isinstance(fn, types.MethodType):
                objects.append(fn.__self__)
                fn = fn.__func__
            elif hasattr(fn, "__wrapped__"):
                fn = fn.__wrapped__
            elif isinstance(fn, types.FunctionType):
                break
            elif isinstance(getattr(type(fn), "forward", None), types.FunctionType):
                objects.append(fn)
                fn = type(fn).forward
            else:
                return
        if str(fn.__globals__.get("__name__")).startswith(_OURS):
            self._held(fn)
            for x in objects:  # the class behind `MyFunction.apply`
                self._rules(x, getattr(x, "__name__", type(x).__name__))
            return
        home = fn.__module__ or ""
        self._home = self._home or home.partition(".")[0]
        if home.partition(".")[0] not in (self._home, "__main__"):
            return
        names = mentioned(fn.__code__)
        if fn not in self._seen:
            self._seen.add(fn)
            self._functions.append(fn)
        for x in objects:
            self._attributes(x, names, type(x).__name__)

    def _held(self, fn: types.FunctionType) -> None:
        """Functions of the user in a closure of ours, which itself depends on nothing else."""
        if fn in self._seen:
            return
        self._seen.add(fn)
        for cell in fn.__closure__ or ():
            held = _Cell(cell).get(None)
            for f in held if isinstance(held, tuple) else (held,):
                if isinstance(f, types.FunctionType):
                    self._enter(f)

    def _rules(self, x: Any, name: str) -> None:
        """Functions that the library calls: no code of the user's spells their names."""
        for key in getattr(x if isinstance(x, type) else type(x), "_user_functions", ()):
            rule = getattr(x, key, None)
            if (id(x), key) not in self._seen and isinstance(
                rule, types.FunctionType | types.MethodType
            ):
                self._seen.add((id(x), key))
                self._see(_Attribute(x), key, f"{name}.{key}", frozenset())

    def _scan(self, fn: types.FunctionType) -> None:
        names = mentioned(fn.__code__)
        for name in names:
            if name in fn.__globals__:
                self._see(fn.__globals__, name, name, names)
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            self._see(_Cell(cell), name, name, names)
        if fn.__defaults__:
            count = fn.__code__.co_argcount
            first = count - len(fn.__defaults__)
            for i, name in enumerate(fn.__code__.co_varnames[first:count]):
                self._see(_Elements(fn.__defaults__), i, name, names)
        for name in fn.__kwdefaults__ or ():
            self._see(fn.__kwdefaults__, name, name, names)

    def _see(self, mapping: Any, key: Any, name: str, names: frozenset[str]) -> None:
        value = mapping.get(key)
        kind = type(value)
        if isinstance(value, Tensor):
            if id(value) in self.named:
                self._twice.add(id(value))
            self.named[id(value)] = Named(mapping, key, name)
        elif kind in _PLAIN:
            self.facts.append(Fact(mapping, key, value, name))
        elif kind is types.FunctionType or kind is types.MethodType:
            self.facts.append(Fact(mapping, key, value, name))
            self._enter(value)
        elif kind in (list, dict, tuple):
            if kind is tuple and all(type(x) in _PLAIN for x in value):
                self.facts.append(Fact(mapping, key, value, name))
                return
            self.facts.append(_Same(mapping, key, value, name))
            if len(value) <= _ELEMENTS:
                keys = value if kind is dict else range(len(value))
                self._inside(value, keys, value if kind is dict else _Elements(value), name, names)
        else:
            self._attributes(value, names, name)

    def _inside(
        self, container: Any, keys: Iterable[Any], mapping: Any, name: str, names: frozenset[str]
    ) -> None:
        if id(container) in self._seen:
            return
        self._seen.add(id(container))
        for key in keys:
            kind = type(mapping.get(key))
            if kind in _SEEN_INSIDE or issubclass(kind, Tensor):
                self._see(mapping, key, f"{name}[{key!r}]", names)
        if not isinstance(container, tuple):
            self.facts.append(Fact(_Length(container), None, len(container), f"len({name})"))

    def _attributes(self, x: Any, names: frozenset[str], name: str) -> None:
        """The attributes of an object that the code mentions."""
        if isinstance(x, types.ModuleType | Tensor) or (id(x), names) in self._seen:
            return
        self._seen.add((id(x), names))
        self._rules(x, name)
        if isinstance(x, type):
            if x.__module__.partition(".")[0] in (self._home, "__main__"):
                self._of_class(x, x, names, name)
            return
        if type(x).__module__.startswith(_OURS):  # modules and optimizers tell the trace themselves
            if hasattr(x, "_guard"):
                self.modules.append(x)
            return
        attributes = getattr(x, "__dict__", None)
        if type(attributes) is dict:
            for key in names & attributes.keys():
                if (id(attributes), key) not in self._seen:
                    self._seen.add((id(attributes), key))
                    self._see(attributes, key, f"{name}.{key}", names)
            names -= attributes.keys()
        if type(x).__module__.partition(".")[0] in (self._home, "__main__"):
            for cls in type(x).__mro__:
                if cls is not object and not cls.__module__.startswith(_OURS):
                    self._of_class(cls, x, names, name)

    def _of_class(self, cls: type, owner: Any, names: frozenset[str], name: str) -> None:
        """What a class gives the code that asks `owner`, an instance or the class itself."""
        found = vars(cls)
        for key in names & found.keys():
            value = found[key]
            if isinstance(value, property):
                value = value.fget
            if isinstance(value, staticmethod | classmethod):
                value = value.__func__
            if isinstance(value, types.FunctionType):
                self._enter(value, [owner])
            elif (id(owner), key) not in self._seen:
                # Slots are read; other descriptors may do anything when they are asked.
                plain = isinstance(value, (*_SEEN_INSIDE, Tensor, types.MemberDescriptorType))
                self._seen.add((id(owner), key))
                if plain:
                    self._see(_Attribute(owner), key, f"{name}.{key}", names)

    def place_of(self, t: Tensor) -> Named | None:
        """Where the tensor is found at each call, if just one name leads to it."""
        return None if id(t) in self._twice else self.named.get(id(t))

    def identities(self, tensors: Iterable[Tensor]) -> list[Fact]:
        """For those of the tensors to which several names lead: that one of these still does."""
        places = [self.named[id(t)] for t in tensors if id(t) in self._twice]
        return [Fact(p.mapping, p.key, p.now(), p.name) for p in places]


@functools.lru_cache(4096)
def mentioned(code: types.CodeType) -> frozenset[str]:
    """The names that a function's code and that of the functions inside it mention."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= mentioned(constant)
    return frozenset(names)
