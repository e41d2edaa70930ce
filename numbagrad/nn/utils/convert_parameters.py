"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...ops.joining import cat
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one vector.

    >>> import numbagrad as ng
    >>> ng.nn.utils.parameters_to_vector([ng.zeros(2), ng.ones(1, 2)]).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let the parameters be the parts of a vector, one after the other; they share its memory.

    Raises:
        TypeError: `vec` is not a tensor.
        RuntimeError: it is too short.

    >>> import numbagrad as ng
    >>> layer = ng.nn.Linear(2, 1)
    >>> ng.nn.utils.vector_to_parameters(ng.arange(3.0), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[0.0, 1.0]], [2.0])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        n = p.numel()
        p.data = vec[start : start + n].view_as(p).data
        start += n
