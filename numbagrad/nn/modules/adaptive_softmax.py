"""A softmax over many classes whose cost is small for frequent ones (Grave et al., 2017)."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from ...dispatch import values_of
from ...ops.elementwise import logical_and, where
from ...ops.joining import cat
from ...tensor import Tensor
from .. import functional as F
from ..containers import ModuleList, Sequential
from ..module import Module
from .linear import Linear

ASMoutput = namedtuple("ASMoutput", "output loss")


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of target classes, and their negative mean, by a softmax in two steps.

    Classes are ordered by frequency. The head decides between the first ``cutoffs[0]`` classes and
    the clusters that the other cutoffs bound; each cluster decides between its own classes, from a
    projection whose size shrinks by `div_value` from cluster to cluster.

    Args:
        in_features: the size of the input.
        n_classes: the number of classes.
        cutoffs: increasing, each between 1 and ``n_classes - 1``.
        head_bias: the head has a bias.

    Shapes: input (batch, in_features) and target (batch,), or without the batch; output as the
    target, loss a number.

    Raises:
        ValueError: cutoffs that do not fit.
        RuntimeError: in `forward`, shapes that do not fit or a target that is no class.

    >>> import numbagrad as ng
    >>> m = ng.nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs=[5, 10])
    >>> m(ng.randn(3, 16), ng.tensor([0, 7, 19])).output.shape
    numbagrad.Size([3])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        bounds = list(cutoffs)
        if not bounds:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        whole = all(int(c) == c for c in bounds)
        if not whole or any(a >= b for a, b in pairwise([0, *bounds, n_classes])):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                f"order, where each value is between 1 and n_classes-1, but they are {bounds}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*bounds, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = bounds[0]
        self.n_clusters = len(bounds)
        self.head_size = self.shortlist_size + self.n_clusters
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(pairwise(self.cutoffs)):
            size = int(in_features // div_value ** (i + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, size, bias=False, **options),
                    Linear(size, high - low, bias=False, **options),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def _clusters(self) -> Iterator[tuple[int, int, int, Module]]:
        """The column in the head, the first class, the one after the last, and the layers."""
        for i, (low, high) in enumerate(pairwise(self.cutoffs)):
            yield self.shortlist_size + i, low, high, self.tail[i]

    def forward(self, input_: Tensor, target_: Tensor) -> Any:
        batched = target_.ndim == 1
        if target_.ndim > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if input_.ndim != target_.ndim + 1:
            raise RuntimeError(
                f"{target_.ndim}D target tensor expects {target_.ndim + 1}D input tensors, but "
                f"found inputs with size {input_.shape}"
            )
        if batched and input_.shape[0] != target_.shape[0]:
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        x, target = (input_, target_) if batched else (input_.unsqueeze(0), target_.unsqueeze(0))
        known = values_of(target)
        if (
            known is not None
            and known.size
            and not 0 <= known.min() <= known.max() < self.n_classes
        ):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{known.min()}, {known.max()}] were found. "
            )
        column = target
        inside_cluster: Any = x.new_zeros(target.shape)
        for place, low, high, layers in self._clusters():
            inside = logical_and(target >= low, target < high)
            column = where(inside, place, column)
            if known is None:  # which rows there are is not known: all are computed
                index = where(inside, target - low, 0)
                inside_cluster = inside_cluster + where(inside, _chosen(layers(x), index), 0.0)
            elif (rows := inside.nonzero().squeeze(1)).numel():
                chosen = _chosen(layers(x[rows]), target[rows] - low)
                inside_cluster = inside_cluster.index_add(0, rows, chosen)
        output = inside_cluster + _chosen(self.head(x), column)
        loss = -output.mean()
        return ASMoutput(output if batched else output.squeeze(0), loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities of all classes, (batch, n_classes)."""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for place, _, _, layers in self._clusters():
            parts.append(F.log_softmax(layers(input), 1) + head[:, place : place + 1])
        return cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each sample, (batch,)."""
        return self.log_prob(input).argmax(1)


def _chosen(logits: Tensor, index: Tensor) -> Tensor:
    """The log-probability of one class per row."""
    return F.log_softmax(logits, 1).gather(1, index.unsqueeze(1)).squeeze(1)
