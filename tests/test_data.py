"""Datasets, samplers and the loader."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import numbagrad as ng
from numbagrad.utils import data as D


class Squares(D.Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return {"x": ng.tensor([float(index)]), "y": index * index, "name": f"s{index}"}


class Stream(D.IterableDataset):
    def __iter__(self):
        return iter(range(5))

    def __len__(self):
        return 5


def test_batches():
    loader = D.DataLoader(Squares(), batch_size=3)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert batches[0]["x"].tolist() == [[0.0], [1.0], [2.0]]
    assert batches[0]["y"].tolist() == [0, 1, 4] and batches[0]["y"].dtype is ng.int64
    assert batches[2]["name"] == ["s6"]
    assert len(list(D.DataLoader(Squares(), batch_size=3, drop_last=True))) == 2
    assert [b["y"] for b in D.DataLoader(Squares(), batch_size=None)] == [i * i for i in range(7)]
    sizes = [len(b) for b in D.DataLoader(Stream(), batch_size=2, drop_last=True)]
    assert sizes == [2, 2] and len(D.DataLoader(Stream(), batch_size=2)) == 3
    assert list(D.DataLoader(Stream(), batch_size=None)) == [0, 1, 2, 3, 4]
    assert D.get_worker_info() is None


def test_order():
    ng.manual_seed(0)
    xs = D.TensorDataset(ng.arange(50))
    first, second = ([x.item() for (x,) in D.DataLoader(xs, shuffle=True)] for _ in range(2))
    assert sorted(first) == list(range(50)) and first != second
    seeded = [
        [x.item() for (x,) in D.DataLoader(xs, shuffle=True, generator=g)]
        for g in (ng.Generator().manual_seed(3) for _ in range(2))
    ]
    assert seeded[0] == seeded[1]
    assert next(iter(D.DataLoader(xs, batch_sampler=[[3, 1], [2]])))[0].tolist() == [3, 1]
    assert [x.item() for (x,) in D.DataLoader(xs, sampler=[4, 4])] == [4, 4]


def test_samplers():
    ng.manual_seed(0)
    assert sorted(D.RandomSampler(range(5))) == [0, 1, 2, 3, 4]
    more = list(D.RandomSampler(range(5), num_samples=12))
    assert len(more) == 12 and sorted(more[:5]) == [0, 1, 2, 3, 4]
    drawn = list(D.RandomSampler(range(5), replacement=True, num_samples=40))
    assert len(drawn) == 40 and set(drawn) <= set(range(5))
    assert sorted(D.SubsetRandomSampler([7, 3])) == [3, 7]
    weighted = list(D.WeightedRandomSampler([0.0, 1.0, 3.0], 200))
    assert weighted.count(0) == 0 and weighted.count(2) > weighted.count(1) > 0
    with pytest.raises(ValueError, match="positive integer"):
        D.BatchSampler([1], 0, False)
    with pytest.raises(ValueError, match="num_samples"):
        D.RandomSampler([1], num_samples=0)


def test_datasets():
    xs, ys = D.TensorDataset(ng.arange(3)), D.TensorDataset(ng.arange(10, 12))
    both = xs + ys
    assert len(both) == 5 and both[-1][0].item() == 11 and both[2][0].item() == 2
    assert D.Subset(both, [4, 0])[0][0].item() == 11
    assert D.StackDataset(a=xs, b=xs)[1] == {"a": (ng.tensor(1),), "b": (ng.tensor(1),)}
    assert list(Stream() + Stream()) == [0, 1, 2, 3, 4] * 2
    with pytest.raises(AssertionError, match="Size mismatch"):
        D.TensorDataset(ng.ones(2), ng.ones(3))
    with pytest.raises(ValueError, match="absolute value"):
        both[-6]


def test_random_split():
    parts = D.random_split(Squares(), [0.5, 0.3, 0.2], ng.Generator().manual_seed(0))
    assert [len(p) for p in parts] == [4, 2, 1]
    assert sorted(i for p in parts for i in p.indices) == list(range(7))
    with pytest.raises(ValueError, match="Sum of input lengths"):
        D.random_split(Squares(), [3, 3])
    with pytest.warns(UserWarning, match="index 1 is 0"):
        D.random_split(D.TensorDataset(ng.ones(1)), [1.0, 0.0])


def test_collate():
    Pair = namedtuple("Pair", "a b")
    out = D.default_collate([Pair(np.ones(2), (1, "x")), Pair(np.zeros(2), (2, "y"))])
    assert out.a.tolist() == [[1, 1], [0, 0]] and out.a.dtype is ng.float64
    assert out.b[0].tolist() == [1, 2] and out.b[1] == ("x", "y")
    assert D.default_collate([0.5, 1.0]).dtype is ng.float64
    with pytest.raises(RuntimeError, match="equal size"):
        D.default_collate([(1, 2), (1,)])
    with pytest.raises(TypeError, match="found <class 'object'>"):
        D.default_collate([object()])


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": [0], "shuffle": True},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
    ],
)
def test_options_that_exclude_each_other(options: dict[str, Any]):
    with pytest.raises(ValueError):
        D.DataLoader(Squares(), **options)


def test_a_stream_has_no_order():
    with pytest.raises(ValueError, match="unspecified shuffle"):
        D.DataLoader(Stream(), shuffle=True)
