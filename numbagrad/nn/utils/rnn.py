"""Sequences of different lengths: padded, and packed one time step after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from ...creation import arange, from_numpy, full, zeros_like
from ...ops.joining import cat
from ...tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences without their padding; made by :func:`pack_sequence` and the like.

    `data` holds the first step of all sequences, the longest first, then the second step of those
    that have one, and so on; `batch_sizes` says how many there are at each step.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        data, sizes = data if batch_sizes is None else (data, batch_sizes)
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same sequences with other data: ``to(dtype)``, ``to("cpu")``."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._replace(data=data)

    def double(self) -> Self:
        """With data in float64."""
        return self._replace(data=self.data.double())

    def float(self) -> Self:
        """With data in float32."""
        return self._replace(data=self.data.float())


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another; None for None."""
    if permutation is None:
        return None
    return zeros_like(permutation).scatter(0, permutation, arange(permutation.numel()))


def _numbers(lengths: Tensor | Sequence[int]) -> np.ndarray[Any, Any]:
    values = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    return values.astype(np.int64)


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Padded sequences without their padding.

    Args:
        input: (time, batch, ...), or (batch, time, ...) with `batch_first`.
        lengths: of each sequence, in decreasing order unless `enforce_sorted` is False.

    Raises:
        RuntimeError: lengths that do not fit, or that are not sorted.

    >>> import numbagrad as ng
    >>> padded = ng.tensor([[1, 2, 3], [4, 0, 0]])
    >>> packed = ng.nn.utils.rnn.pack_padded_sequence(padded, [3, 1], batch_first=True)
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1, 4, 2, 3], [2, 1, 1])
    """
    x = input.transpose(0, 1) if batch_first else input
    sizes = _numbers(lengths)
    if x.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if sizes.shape != (x.shape[1],):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {sizes.size} "
            f"(batch_size={x.shape[1]})"
        )
    if sizes.min() <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    order = None
    if not enforce_sorted:
        ranks = np.argsort(-sizes, kind="stable")
        order, sizes = from_numpy(ranks), sizes[ranks]
        x = x.index_select(1, order)
    elif (np.diff(sizes) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if sizes[0] > x.shape[0]:
        raise RuntimeError(
            f"Expected lengths of at most {x.shape[0]}, the extent of the input in time, but got "
            f"{sizes[0]}"
        )
    step, sample = _places(sizes)
    return PackedSequence(x[step, sample], from_numpy(_batch_sizes(sizes)), order)


def _places(sizes: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
    """Time and sample of each element of packed sequences."""
    step, sample = np.nonzero(np.arange(sizes[0])[:, None] < sizes)
    return from_numpy(step), from_numpy(sample)


def _batch_sizes(sizes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (np.arange(sizes[0])[:, None] < sizes).sum(1)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The inverse of :func:`pack_padded_sequence`: padded sequences, and their lengths.

    Args:
        batch_first: (batch, time, ...) instead of (time, batch, ...).
        padding_value: what stands after the end of a sequence.
        total_length: pad to this instead of to the longest.

    Raises:
        ValueError: `total_length` is less than the longest.
    """
    counts = _numbers(sequence.batch_sizes)
    longest = len(counts)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being "
                f"{longest}"
            )
        longest = total_length
    sizes = (counts[:, None] > np.arange(counts[0])).sum(0)
    data = sequence.data
    padded = full((longest, int(counts[0]), *data.shape[1:]), padding_value, dtype=data.dtype)
    padded = padded.index_put(_places(sizes), data)
    lengths = from_numpy(sizes)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (time, ...) of different lengths in one tensor (time, batch, ...).

    Raises:
        RuntimeError: no sequences, or an unknown side.

    >>> import numbagrad as ng
    >>> pad = ng.nn.utils.rnn.pad_sequence
    >>> pad([ng.tensor([1, 2]), ng.tensor([3])], batch_first=True).tolist()
    [[1, 2], [3, 0]]
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    parts = list(sequences)
    if not parts:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(p) for p in parts)
    rows = []
    for p in parts:
        border = full((longest - len(p), *p.shape[1:]), padding_value, dtype=p.dtype)
        rows.append(cat([p, border] if padding_side == "right" else [border, p]))
    joined = cat([r.unsqueeze(0) for r in rows])
    return joined if batch_first else joined.transpose(0, 1).contiguous()


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of their lengths, out of padded ones."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[:n] for row, n in zip(x.unbind(0), _numbers(lengths).tolist(), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences of different lengths, packed; longest first unless `enforce_sorted` is False."""
    lengths = [len(s) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences out of packed ones."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
