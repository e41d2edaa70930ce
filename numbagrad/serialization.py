"""Saving and loading tensors as safetensors files, without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .creation import from_numpy
from .tensor import Tensor

Path = str | os.PathLike[str]


def _named_arrays(tensors: Any) -> dict[str, np.ndarray[Any, Any]]:
    if not isinstance(tensors, Mapping):
        raise TypeError(
            "save() takes a dictionary of tensors, such as model.state_dict(), not "
            f"{type(tensors).__name__}"
        )
    arrays = {}
    for name, t in tensors.items():
        if not isinstance(name, str):
            raise TypeError(f"save() takes names that are strings, got {name!r}")
        if not isinstance(t, Tensor):
            raise TypeError(
                f"save() takes a flat dictionary of tensors, but {name!r} is a {type(t).__name__}; "
                "convert numbers with ng.tensor(...) and give nested entries dotted names"
            )
        arrays[name] = np.ascontiguousarray(t.numpy(force=True)).reshape(t.shape)
    return arrays


def save(obj: Mapping[str, Tensor], f: Path) -> None:
    """Write a flat dictionary of tensors, such as a state dict, to a safetensors file.

    The file is complete or not there at all: it is written beside `f` and renamed.

    Raises:
        TypeError: something else than a dictionary from strings to tensors, or a dtype that the
            format has not.
        OSError: the file cannot be written.

    >>> import numbagrad as ng, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> ng.save({"w": ng.ones(2)}, path)
    >>> ng.load(path)
    {'w': tensor([1., 1.])}
    """
    arrays = _named_arrays(obj)
    from safetensors import SafetensorError
    from safetensors.numpy import save as to_bytes

    path = os.fspath(f)
    try:
        data = to_bytes(arrays)
    except SafetensorError as error:
        raise TypeError(f"save() cannot write {path!r}: {error}") from None
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def load(f: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file; they own their memory and do not require grad.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a safetensors file, a damaged one, or one with a dtype that tensors do not
            have.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    path = os.fspath(f)
    with open(path, "rb") as file:
        data = file.read()
    try:
        arrays = from_bytes(data)
        return {name: from_numpy(np.array(array)) for name, array in arrays.items()}
    except (SafetensorError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path!r} is not a safetensors file that can be read here: {error}"
        ) from None
