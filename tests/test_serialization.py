"""Saving and loading weights as safetensors."""

from __future__ import annotations

import io
import os
import struct
from typing import Any

import numpy as np
import pytest

import numbagrad as ng


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


DTYPES = [ng.float16, ng.float32, ng.float64, ng.int8, ng.int16, ng.int32, ng.int64, ng.uint8,
          ng.bool, ng.complex64]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_round_trip(path, dtype, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype.np)
    t = ng.from_numpy(values)
    ng.save({"t": t}, path)
    back = ng.load(path)["t"]
    assert back.dtype is dtype and back.shape == shape
    assert ng.equal(back, t)


def test_state_dict(path):
    model, other = ng.nn.Linear(3, 2), ng.nn.Linear(3, 2)
    ng.save(model.state_dict(), path)
    other.load_state_dict(ng.load(path))
    assert ng.equal(model.weight, other.weight)


def test_loaded_tensors_are_ordinary(path):
    ng.save({"a": ng.ones(2, requires_grad=True)}, path)
    a = ng.load(path)["a"]
    assert not a.requires_grad and a.is_leaf
    a += 1  # writable memory of its own
    assert ng.load(path)["a"].tolist() == [1, 1]


def test_views_and_tied_tensors(path):
    x = ng.arange(6.0).reshape(2, 3)
    ng.save({"t": x.T, "column": x[:, 1], "same": x.T}, str(path))
    back = ng.load(str(path))
    assert ng.equal(back["t"], x.T) and back["column"].tolist() == [1, 4]
    assert ng.equal(back["same"], x.T)


def test_checkpoint_of_a_training_run(path):
    model = ng.nn.Sequential(ng.nn.Linear(2, 3), ng.nn.BatchNorm1d(3))
    optimizer = ng.optim.Adam(model.parameters(), lr=0.1)
    scheduler = ng.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    for _ in range(3):
        model(ng.randn(4, 2)).square().sum().backward()
        optimizer.step()
        scheduler.step()
    state = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(), "losses": [1.5, float("inf")], "name": None,
        "shape": (1, 2, True),
    }  # fmt: skip
    ng.save(state, path)
    back = ng.load(path, map_location="cpu", weights_only=True)
    assert back["losses"] == [1.5, float("inf")] and back["name"] is None
    assert back["shape"] == (1, 2, True)
    assert back["optimizer"]["state"].keys() == {0, 1, 2, 3}
    other = ng.optim.Adam(model.parameters(), lr=1.0)
    other.load_state_dict(back["optimizer"])
    assert str(other.state_dict()) == str(optimizer.state_dict())
    ng.optim.lr_scheduler.StepLR(other, 2).load_state_dict(back["scheduler"])


@pytest.mark.parametrize(
    "what",
    [
        ng.ones(2),
        [ng.ones(1), 2],
        {},
        {"a": {"b": [None]}},
        5,
        {"a.b": ng.ones(1), "a": {"b": ng.zeros(1)}},
    ],
)
def test_any_structure_in_a_stream(what: Any):
    stream = io.BytesIO()
    ng.save(what, stream)
    stream.seek(0)
    assert str(ng.load(stream)) == str(what)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ({"a": {"b": object()}}, "a.b is a object.*no pickle"),
        ([np.ones(1)], r"\[0\] is a ndarray"),
        ({(1, 2): 3}, r"key of the dictionary is \(1, 2\)"),
    ],
)
def test_save_refuses(path, what: Any, text: str):
    with pytest.raises(TypeError, match=text):
        ng.save(what, path)
    assert not path.exists()


def test_unknown_dtype_is_refused(path):
    with pytest.raises(TypeError, match="complex128"):
        ng.save({"a": ng.ones(1, dtype=ng.complex128)}, path)
    assert os.listdir(path.parent) == []


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        ng.load(path)
    with pytest.raises(FileNotFoundError):
        ng.save({"a": ng.ones(1)}, path.parent / "nowhere" / "weights")


def damage(data: bytes) -> list[bytes]:
    long_header = struct.pack("<Q", 1 << 60) + data[8:]
    return [b"", b"PK\x03\x04 not safetensors", data[:-3], data[: len(data) // 2], long_header]


def test_damaged_file(path):
    ng.save({"a": ng.ones(100)}, path)
    for i, data in enumerate(damage(path.read_bytes())):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="is not a safetensors file"):
            ng.load(path)
            pytest.fail(f"case {i}")


def test_failed_save_keeps_the_old_file(path, monkeypatch):
    ng.save({"a": ng.ones(1)}, path)

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        ng.save({"a": ng.zeros(1)}, path)
    assert os.listdir(path.parent) == [path.name]
    assert ng.load(path)["a"].item() == 1
