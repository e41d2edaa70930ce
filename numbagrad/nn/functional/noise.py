"""Activations that are random in training."""

from __future__ import annotations

from ...inplace import in_place
from ...ops import elementwise as E, nn
from ...ops.export import check_tensor, public
from ...ops.scatter import scatter
from ...sampling import rand
from ...tensor import Tensor
from .activation import leaky_relu


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """x where x > 0, else x times a random slope; the mean slope in evaluation.

    Raises:
        RuntimeError: `lower` is above `upper`.

    >>> import numbagrad as ng
    >>> ng.nn.functional.rrelu(ng.tensor([-1.0, 2.0]), 0.25, 0.75).tolist()
    [-0.5, 2.0]
    """
    x = check_tensor("rrelu", input, kinds="f")
    if lower > upper:
        raise RuntimeError(
            f"Lower bound should be less than or equal to the upper bound, got {lower} and {upper}"
        )
    if inplace:
        return in_place("rrelu_", rrelu, x, lower, upper, training)
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    slopes = (rand(tuple(x.shape)) * (upper - lower) + lower).to(x.dtype)
    return E.where(E.gt(x, 0), x, x * slopes)


@public(method=False)
def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """In-place form of :func:`rrelu`."""
    return rrelu(input, lower, upper, training, inplace=True)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Samples of a relaxed categorical distribution (Jang et al., 2017).

    Args:
        logits: unnormalised log-probabilities along `dim`.
        tau: the temperature.
        hard: one-hot samples, with the gradient of the soft ones.
        eps: accepted for compatibility, unused as in PyTorch.

    >>> import numbagrad as ng
    >>> ng.nn.functional.gumbel_softmax(ng.zeros(5, 3), hard=True).sum(1)
    tensor([1., 1., 1., 1., 1.])
    """
    x = check_tensor("gumbel_softmax", logits, "logits", kinds="f", refusal=RuntimeError)
    # 1 - rand lies in (0, 1]: its logarithm is finite.
    exponential = -E.log1p(-rand(tuple(x.shape), dtype=x.dtype))
    soft = nn.softmax((x - E.log(exponential)) / tau, dim)
    if not hard:
        return soft
    chosen = scatter(E.fill(soft.detach(), 0), dim, soft.argmax(dim, keepdim=True), 1.0)
    return chosen - soft.detach() + soft
