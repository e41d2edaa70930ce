"""The loader of minibatches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ...conversion import from_numpy
from ...creation import tensor
from ...dtypes import float64
from ...ops.joining import stack
from ...random import Generator
from ...tensor import Tensor
from .datasets import Dataset, IterableDataset
from .samplers import BatchSampler, RandomSampler, SequentialSampler

T_co = TypeVar("T_co", covariant=True)


def default_convert(data: Any) -> Any:
    """Arrays inside of nested data as tensors, the rest as it is."""
    if isinstance(data, np.ndarray) and data.dtype.kind in "biufc":
        return from_numpy(data)
    if isinstance(data, np.generic) and data.dtype.kind in "biufc":
        return from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return type(data)({k: default_convert(v) for k, v in data.items()})  # type: ignore[call-arg]
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple | list):
        return [default_convert(v) for v in data]
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: tensors, arrays and numbers stacked, inside of nested structures.

    Raises:
        RuntimeError: samples differ in structure or shape.
        TypeError: a sample holds something else.

    >>> from numbagrad.utils.data import default_collate
    >>> default_collate([(1, 0.5), (2, 0.25)])
    [tensor([1, 2]), tensor([0.5000, 0.2500], dtype=numbagrad.float64)]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, np.ndarray | np.generic):
        if first.dtype.kind not in "biufc":
            raise TypeError(f"default_collate: cannot make a tensor of an array of {first.dtype}")
        return stack([from_numpy(np.asarray(x)) for x in batch])
    if isinstance(first, float):
        return tensor(list(batch), dtype=float64)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {k: default_collate([x[k] for x in batch]) for k in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(x) for x in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(x) != len(first) for x in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        return [default_collate(x) for x in zip(*batch, strict=True)]
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{type(first)}"
    )


def get_worker_info() -> None:
    """None: all samples are read in the process of the loader."""
    return None


class DataLoader(Generic[T_co]):
    """Minibatches of a dataset.

    Args:
        dataset: samples by index, or an IterableDataset.
        batch_size: samples in a batch; None gives samples as they are.
        shuffle: a new random order in each pass.
        sampler: indices in an order of one's own.
        batch_sampler: lists of indices; excludes the four arguments around it.
        collate_fn: makes a batch of a list of samples (:func:`default_collate`).
        drop_last: leave out a last batch that is smaller.
        generator: where the random order comes from.

    `num_workers`, `pin_memory` and what belongs to them are accepted, and samples are read in this
    process all the same.

    Raises:
        ValueError: arguments exclude each other or are out of range.

    >>> import numbagrad as ng
    >>> from numbagrad.utils.data import DataLoader, TensorDataset
    >>> for (x,) in DataLoader(TensorDataset(ng.arange(5)), batch_size=2):
    ...     print(x)
    tensor([0, 1])
    tensor([2, 3])
    tensor([4])
    """

    def __init__(
        self, dataset: Dataset[T_co], batch_size: int | None = 1, shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None, batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0, collate_fn: Callable[[list[T_co]], Any] | None = None,
        pin_memory: bool = False, drop_last: bool = False, timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None, multiprocessing_context: Any = None,
        generator: Generator | None = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, pin_memory_device: str = "", in_order: bool = True,
    ) -> None:  # fmt: skip
        if num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to disable "
                "multiprocessing."
            )
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and (prefetch_factor is not None or persistent_workers):
            raise ValueError("prefetch_factor and persistent_workers need num_workers > 0")
        self._stream = isinstance(dataset, IterableDataset)
        if self._stream:
            for what, value in (("shuffle", shuffle), ("sampler", sampler),
                                ("batch_sampler", batch_sampler)):  # fmt: skip
                if value not in (None, False):
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {what} option, but "
                        f"got {what}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        if sampler is None and not self._stream:
            source: Any = dataset
            sampler = (
                RandomSampler(source, generator=generator) if shuffle else SequentialSampler(source)
            )
        if batch_size is not None and batch_sampler is None:
            # A stream has no indices to batch, but its size is checked in the same way.
            batch_sampler = BatchSampler(sampler or (), batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler: Any = sampler
        self.batch_sampler: Any = batch_sampler
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.generator = generator
        self.collate_fn: Callable[[Any], Any] = collate_fn or (
            default_convert if batch_sampler is None else default_collate
        )

    def __iter__(self) -> Iterator[Any]:
        if self._stream:
            yield from map(self.collate_fn, self._streamed())
        elif self.batch_sampler is None:
            for index in self.sampler:
                yield self.collate_fn(self.dataset[index])
        else:
            several = getattr(self.dataset, "__getitems__", None)
            for indices in self.batch_sampler:
                samples = several(indices) if several else [self.dataset[i] for i in indices]
                yield self.collate_fn(samples)

    def _streamed(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from samples
            return
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        """The number of batches in one pass."""
        if not self._stream:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
        n = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
