"""Saving and loading tensors as safetensors files, without pickle.

A flat dictionary of tensors, such as a state dict, is a plain safetensors file. Anything nested (a
checkpoint with the state of the optimizer, counters, settings) keeps its structure as JSON in the
file's metadata, with the tensors beside it.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from .creation import from_numpy
from .devices import check_device, device
from .tensor import Tensor

Path = str | os.PathLike[str]
_STRUCTURE = "numbagrad.structure"
_PLAIN = (str, int, float, bool, type(None))


def _array(t: Tensor) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(t.numpy(force=True)).reshape(t.shape)


def _is_flat(obj: Any) -> bool:
    return isinstance(obj, Mapping) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in obj.items()
    )


def _describe(x: Any, where: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """`x` as JSON; tensors go to `arrays` under their place in the whole."""
    if isinstance(x, Tensor):
        name = where or "tensor"
        if name in arrays:  # {"a.b": ..., "a": {"b": ...}}
            name = f"{name}#{len(arrays)}"
        arrays[name] = _array(x)
        return {"tensor": name}
    if isinstance(x, Mapping):
        entries = []
        for k, v in x.items():
            if not isinstance(k, _PLAIN):
                raise TypeError(f"save(): a key of {where or 'the dictionary'} is {k!r}: {_WHAT}")
            entries.append([k, _describe(v, f"{where}.{k}" if where else str(k), arrays)])
        return {"dict": entries}
    if isinstance(x, list | tuple):
        kind = "tuple" if isinstance(x, tuple) else "list"
        return {kind: [_describe(v, f"{where}[{i}]", arrays) for i, v in enumerate(x)]}
    if isinstance(x, _PLAIN):
        return {"value": x}
    raise TypeError(f"save(): {where or 'the argument'} is a {type(x).__name__}: {_WHAT}")


_WHAT = (
    "it writes tensors, numbers, strings, None, and dictionaries, lists and tuples of them; no "
    "other objects, as there is no pickle"
)


def _restore(x: Any, tensors: Mapping[str, Tensor]) -> Any:
    ((kind, value),) = x.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {k: _restore(v, tensors) for k, v in value}
    if kind in ("list", "tuple"):
        items = [_restore(v, tensors) for v in value]
        return tuple(items) if kind == "tuple" else items
    if kind != "value" or not isinstance(value, _PLAIN):
        raise ValueError(f"unknown entry {kind!r}")
    return value


def save(obj: Any, f: Path | BinaryIO) -> None:
    """Write tensors to a safetensors file: a state dict, or a checkpoint of several and numbers.

    A file named by a path is complete or not there at all: it is written beside `f` and renamed.

    Raises:
        TypeError: something else than tensors, numbers, strings and None in dictionaries, lists and
            tuples, or a dtype that the format has not.
        OSError: the file cannot be written.

    >>> import numbagrad as ng, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> ng.save({"model": {"w": ng.ones(2)}, "epoch": 3}, path)
    >>> ng.load(path)
    {'model': {'w': tensor([1., 1.])}, 'epoch': 3}
    """
    metadata = None
    if _is_flat(obj):
        arrays = {name: _array(t) for name, t in obj.items()}
    else:
        arrays = {}
        metadata = {_STRUCTURE: json.dumps(_describe(obj, "", arrays))}
    from safetensors import SafetensorError
    from safetensors.numpy import save as to_bytes

    try:
        data = to_bytes(arrays, metadata)
    except SafetensorError as error:
        raise TypeError(f"save() cannot write {f!r}: {error}") from None
    if not isinstance(f, str | os.PathLike):
        f.write(data)
        return
    path = os.fspath(f)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def load(
    f: Path | BinaryIO, map_location: Any = None, *, weights_only: bool | None = None,
    mmap: bool | None = None,
) -> Any:  # fmt: skip
    """Read what :func:`save` has written, or the tensors of any other safetensors file.

    The tensors own their memory and do not require grad. `weights_only` and `mmap` have no effect:
    nothing in a file is ever executed.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: `map_location` is a device that there is not.
        ValueError: not a safetensors file, a damaged one, or one with a dtype that tensors do not
            have.
    """
    if isinstance(map_location, str | device):
        check_device(map_location)
    elif map_location is not None and not isinstance(map_location, Callable | dict):
        raise TypeError(f"load(): map_location must be a device, not {map_location!r}")
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            data = file.read()
    else:
        data = f.read()
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        arrays = from_bytes(data)
        tensors = {name: from_numpy(np.array(array)) for name, array in arrays.items()}
        (length,) = struct.unpack_from("<Q", data)
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
        if _STRUCTURE not in metadata:
            return tensors
        return _restore(json.loads(metadata[_STRUCTURE]), tensors)
    except (
        SafetensorError,
        TypeError,
        KeyError,
        AttributeError,
        ValueError,
        RecursionError,
    ) as error:
        raise ValueError(
            f"{f!r} is not a safetensors file that can be read here: {error}"
        ) from None
