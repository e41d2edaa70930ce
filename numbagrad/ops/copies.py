"""Public functions that copy: a tensor, or what a view of it would show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from . import view as V
from .diagonals import diagonal
from .export import check_tensor, public
from .joining import split, split_with_sizes, unbind
from .shape import expand, permute, squeeze, t, transpose, unsqueeze, view
from .slices import select


@public()
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with its own storage; gradients flow through it."""
    return V.clone(check_tensor("clone", input))


def _publish_copy(view: Callable[..., Any]) -> None:
    name = view.__name__

    def copying(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        r = view(check_tensor(f"{name}_copy", input), *args, **kwargs)
        return tuple(V.clone(p) for p in r) if isinstance(r, tuple) else V.clone(r)

    copying.__doc__ = f"A copy of what `{name}` gives as a view."
    public(f"{name}_copy", method=False, out=True)(copying)


for _view in (diagonal, expand, permute, select, split, split_with_sizes, squeeze, t, transpose,
              unbind, unsqueeze, view):  # fmt: skip
    _publish_copy(_view)
