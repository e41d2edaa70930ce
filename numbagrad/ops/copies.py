"""Public functions that copy: a tensor, or what a view of it would show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from . import view as V
from .complex import view_as_complex, view_as_real
from .diagonals import diagonal
from .export import check_tensor, public
from .joining import split, split_with_sizes, unbind
from .shape import expand, permute, squeeze, t, transpose, unsqueeze, view
from .slices import select
from .storage import _contiguous, as_strided
from .windows import unfold


@public()
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with its own storage; gradients flow through it."""
    return V.clone(check_tensor("clone", input))


def _publish_copy(name: str, view: Callable[..., Any]) -> None:
    def copying(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        r = view(check_tensor(f"{name}_copy", input), *args, **kwargs)
        return tuple(V.clone(p) for p in r) if isinstance(r, tuple) else V.clone(r)

    copying.__doc__ = f"A copy of what `{name}` gives as a view."
    public(f"{name}_copy", method=False, out=True)(copying)


def _view_of_any_strides(input: Tensor, *shape: Any) -> Tensor:
    return view(_contiguous(input), *shape)


def _detached(input: Tensor) -> Tensor:
    return input.detach()


for _view in (
    as_strided, diagonal, expand, permute, select, split, split_with_sizes, squeeze, t, transpose,
    unbind, unfold, unsqueeze, view_as_complex, view_as_real,
):  # fmt: skip
    _publish_copy(_view.__name__, _view)
_publish_copy("view", _view_of_any_strides)
_publish_copy("alias", V.alias)
_publish_copy("detach", _detached)
