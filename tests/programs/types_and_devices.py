"""Tensor types, devices, NumPy's functions and Python's numbers: programs for both libraries."""

from __future__ import annotations

import numpy as np

from . import leaf, outcome, program


@program
def tensors_by_type(lib):
    kinds = "Float", "Double", "Half", "Byte", "Char", "Short", "Int", "Long", "Bool"
    types = [getattr(lib, f"{kind}Tensor") for kind in kinds]
    x = lib.ones(2)
    return [
        [t([1, 0]) for t in types], [t(2, 3).shape for t in types],
        [isinstance(x, t) for t in types], [x.type(t) for t in types],
        [x.to(t.dtype).type().rpartition(".")[2] for t in types],
        x.type("torch.DoubleTensor"), outcome(lambda: x.type("torch.FooTensor")),
        outcome(lambda: lib.FloatTensor(1.5)), outcome(lambda: lib.LongTensor(x)),
        lib.FloatTensor(np.arange(2, dtype=np.float32)), lib.FloatTensor(),
    ]  # fmt: skip


@program
def the_tensor_class_makes_tensors(lib):
    return [
        lib.Tensor([1, 2]), lib.Tensor(2, 3).shape, lib.Tensor(), lib.Tensor([[1, 2], [3, 4]]),
        lib.Tensor(lib.tensor([1, 2])), lib.Tensor((2, 3)), lib.Tensor(lib.zeros(2, 3).shape).shape,
        lib.Tensor(range(3)), lib.Tensor(np.arange(3)), lib.Tensor([True]),
        lib.tensor([1]).new([2, 3]), lib.tensor([1.0]).new(2).shape, lib.Tensor(data=[1]),
        *(outcome(lambda bad=bad: lib.Tensor(bad)) for bad in (3.5, None, True, "a", -1, {1: 2})),
        outcome(lambda: lib.Tensor(2.0, 3)),
    ]  # fmt: skip


@program
def a_subclass_of_tensor_makes_its_own(lib):
    class Mine(lib.Tensor):
        pass

    x = Mine([1, 2])
    return x, type(x).__name__, isinstance(x, lib.Tensor)


@program
def devices_named(lib):
    device = lib.device
    with device("cpu"):
        made = lib.ones(1)
    lib.set_default_device("cpu")
    lib.set_default_device(None)
    return [
        made, str(device("cuda")), repr(device("cuda:1")), device("cuda", 1).index,
        device("cuda", 0) == device("cuda:0"), device("cpu") == device("cpu:0"),
        device("mps").type, str(lib.get_default_device()), str(device(device("cuda:1"))),
        *(outcome(lambda bad=bad: str(device(bad))) for bad in ("foo", "cuda:x", 3.5)),
        outcome(lambda: str(device("cuda:1", 2))),
    ]  # fmt: skip


@program
def there_is_no_gpu(lib):
    x, m = lib.ones(2), lib.nn.Linear(1, 1)
    calls = [
        x.cuda, m.cuda, lib.cuda.synchronize, lib.cuda.get_device_properties,
        lambda: lib.cuda.get_device_properties(0), lambda: x.to("cuda"),
        lambda: x.to(lib.device("cuda:0")), lambda: lib.ones(1, device="cuda"),
        lambda: lib.tensor([1], device="cuda"), lambda: m.to("cuda"), lambda: x.to("mps"),
        lambda: lib.nn.Linear(1, 1, device="cuda"),
    ]  # fmt: skip
    return [
        [outcome(call) for call in calls[:3] + calls[4:]], m.weight.device.type,
        lib.cuda.memory_allocated(), lib.cuda.is_initialized(), lib.cuda.max_memory_reserved(),
    ]  # fmt: skip


@program
def functions_of_numpy_on_tensors(lib):
    x = lib.tensor([1.0, 4.0])
    found = [np.sqrt(x), np.add(x, 1), np.add(np.ones(2), x), x + np.ones(2),
             np.ones(2) == x, x == np.ones(2), x * np.float32(2), np.float64(2) * x,
             np.maximum(x, 2), np.abs(-x),]  # fmt: skip
    values = [float(np.sum(np.asarray(x))), bool(np.allclose(x, [1, 4])), list(np.stack([x]).shape)]
    grad = leaf(lib, 1.0)
    return [*found, *values, outcome(lambda: np.sin(grad)), outcome(lambda: np.asarray(grad))]


@program
def numbers_of_tensors(lib):
    two, z = lib.tensor([1.0, 2.0]), lib.tensor(1 + 2j)
    return [
        outcome(lambda: float(two)), outcome(lambda: int(two)), outcome(lambda: complex(two)),
        outcome(two.item), outcome(lambda: float(z)), float(lib.tensor(3 + 0j)), complex(z),
        outcome(lambda: lib.equal(two, [1, 2])), lib.zeros(2, 3).shape * 2 == (2, 3, 2, 3),
        outcome(lambda: two["a"]),
        outcome(lambda: lib.nn.functional.cross_entropy(lib.ones(2, 3), lib.tensor([0.0, 1.0]))),
    ]  # fmt: skip


@program
def strides_of_empty_memory(lib):
    make = lib.empty_strided
    return [
        list(make((2, 3), (1, 2)).stride()), list(make((2, 0), (1, 1)).shape),
        list(make((2, 2), (0, 1), dtype=lib.int64).fill_(3).stride()),
        outcome(lambda: make((2, 2), (1,))), outcome(lambda: make((2,), (-1,))),
    ]  # fmt: skip


@program
def numbers_of_events(lib):
    lib.manual_seed(0)
    rates = lib.tensor([0.0, 0.5, 30.0, 300.0])
    drawn = lib.poisson(rates.expand(20000, 4))
    close = [abs(m - r) < 0.1 + 0.01 * r for m, r in zip(drawn.mean(0), rates, strict=True)]
    spread = [abs(v - r) < 0.1 + 0.05 * r for v, r in zip(drawn.var(0), rates, strict=True)]
    return [
        [bool(c) for c in (*close, *spread)], drawn[:, 0].sum(), lib.poisson(lib.zeros(0)),
        outcome(lambda: lib.poisson(lib.tensor([-1.0]))),
        outcome(lambda: lib.poisson(lib.tensor([1]))),
    ]  # fmt: skip


@program
def autocast_as_context_and_decorator(lib):
    inside = []

    @lib.autocast("cpu", enabled=False)
    def off(x):
        return [lib.is_autocast_enabled("cpu"), (x @ x).dtype == x.dtype]

    with lib.autocast("cpu"):
        inside.append(lib.is_autocast_enabled("cpu"))
        inside += off(lib.ones(2, 2))
        with lib.amp.autocast(device_type="cpu", enabled=False):
            inside.append(lib.is_autocast_enabled("cpu"))
        inside.append(lib.is_autocast_enabled("cpu"))
    with lib.autocast("cuda"):
        inside.append(lib.is_autocast_enabled())
    return [
        inside, lib.is_autocast_enabled("cpu"), lib.is_autocast_enabled(),
        outcome(lambda: str(lib.autocast(3))), outcome(lambda: str(lib.autocast("foo"))),
    ]  # fmt: skip


@program
def arguments_of_compile(lib):
    def double(x):
        return x * 2

    x = lib.ones(2)
    compiled = lib.compile(double, backend="eager", fullgraph=True, dynamic=False)
    decorated = lib.compile(backend="eager")(double)
    off = lib.compile(double, disable=True)
    both = outcome(lambda: str(lib.compile(double, mode="default", options={})))
    return compiled(x), decorated(x), off(x), both
