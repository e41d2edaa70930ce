"""Indexing, views, in-place changes and creation: the same program run by both libraries."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import numpy as np
import pytest

import numbagrad as ng

from .oracle import check, check_gradients, torch

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

SHAPES = [(5,), (3, 4), (2, 3, 4), (), (0, 3), (1, 1), (2, 3, 4, 2)]


def tensor(m: Any, *shape: int, seed: int = 0, grad: bool = False) -> Any:
    values = np.random.default_rng(seed).standard_normal(shape)
    return m.tensor(values, dtype=m.float64, requires_grad=grad)


def both(fn: Any, order: int = 0) -> None:
    """``fn(m)`` gives (result, leaves): the same result and gradients, or the same exception."""
    try:
        theirs, their_leaves = fn(torch)
    except Exception as error:
        with pytest.raises(type(error)):
            fn(ng)
        return
    ours, our_leaves = fn(ng)
    check(ours, theirs)
    if order:
        check_gradients(ours, our_leaves, theirs, their_leaves, order=order)


# -- indexing -------------------------------------------------------------------------------------


def random_index(rng: random.Random, shape: tuple[int, ...]) -> list[Any]:
    """Recipes of an index: the tensors are made by each library from the lists in it."""
    items: list[Any] = []
    axis = 0
    ellipsis = False
    advanced = rng.random() < 0.6
    length = rng.choice([1, 2, 3])
    while axis < len(shape) and rng.random() < 0.85:
        n = shape[axis]
        kind = rng.choice(
            ["int", "slice", "none", "full", "dots", "list", "tensor", "mask", "bool"]
        )
        if kind == "int" and n:
            items.append(rng.randrange(-n, n) if rng.random() < 0.95 else n)
        elif kind == "slice":
            start, stop = (rng.choice([None, rng.randrange(-n - 1, n + 2)]) for _ in range(2))
            items.append(slice(start, stop, rng.choice([None, 1, 2, 3])))
        elif kind == "none":
            items.append(None)
            continue
        elif kind == "dots" and not ellipsis:
            ellipsis = True
            items.append(Ellipsis)
            axis += rng.randrange(0, len(shape) - axis + 1)
            continue
        elif kind == "list" and n and advanced:
            items.append([rng.randrange(-n, n) for _ in range(length)])
        elif kind == "tensor" and n and advanced:
            values = np.array([rng.randrange(-n, n) for _ in range(length)])
            if rng.random() < 0.3:
                values = values[:, None]
            items.append(("tensor", values))
        elif kind == "mask" and advanced and n:
            mask = np.array([rng.random() < 0.5 for _ in range(n)])
            items.append(("tensor", mask))
        elif kind == "bool" and rng.random() < 0.1:
            items.append(rng.random() < 0.5)
            continue
        else:
            items.append(slice(None))
        axis += 1
    return items


def built(m: Any, items: list[Any]) -> Any:
    index = [m.tensor(i[1]) if isinstance(i, tuple) else i for i in items]
    return index[0] if len(index) == 1 else tuple(index)


@pytest.mark.parametrize("seed", range(40))
def test_random_indices(seed):
    rng = random.Random(seed)
    for _ in range(25):
        shape = rng.choice(SHAPES)
        items = random_index(rng, shape)

        def get(m, shape=shape, items=items):
            x = tensor(m, *shape, grad=True)
            return (x * 1)[built(m, items)], [x]

        both(get, order=2)
        try:
            part = torch.zeros(shape)[built(torch, items)].shape
        except Exception:
            part = None
        value_shape = () if part is None or rng.random() < 0.4 else tuple(part)
        if part and rng.random() < 0.3:
            value_shape = (*part[:-1], 1)

        def put(m, shape=shape, items=items, value_shape=value_shape):
            x = tensor(m, *shape, grad=True)
            v = tensor(m, *value_shape, seed=1, grad=True)
            y = x * 2
            y[built(m, items)] = v
            return y, [x, v]

        if not _repeats(items, shape):  # which of several values wins is not specified
            both(put, order=1)

        def put_number(m, shape=shape, items=items):
            x = tensor(m, *shape, grad=True)
            y = x * 2
            y[built(m, items)] = 1.5
            return y, [x]

        both(put_number, order=1)


def _repeats(items: list[Any], shape: tuple[int, ...]) -> bool:
    n = int(np.prod(shape))
    if not n:
        return False
    try:
        chosen = torch.arange(n).view(shape)[built(torch, items)]
    except Exception:
        return False
    return chosen.unique().numel() != chosen.numel()


@pytest.mark.parametrize("accumulate", [False, True])
def test_index_put(accumulate):
    def program(m):
        x, v = tensor(m, 4, 3, grad=True), tensor(m, 2, 3, seed=1, grad=True)
        index = (m.tensor([1, 3]),) if not accumulate else (m.tensor([1, 1]),)
        return x.index_put(index, v, accumulate=accumulate), [x, v]

    both(program, order=2)


@pytest.mark.parametrize(
    "index", ["a", 1.5, (0, 0, 0, 0), 7, (0, 9), [0, 9], slice(0, 2, -1), (Ellipsis, 5),
              [True, False, True, False, True]])  # fmt: skip
def test_bad_indices(index):
    if index == "a":
        with pytest.raises((IndexError, TypeError)):
            ng.zeros(2, 3)[index]
        return
    both(lambda m: (tensor(m, 2, 3)[index], []))


# -- shapes: views or copies ----------------------------------------------------------------------

SHAPE_OPS = {
    "view": lambda x: x.view(-1),
    "view2": lambda x: x.view(2, -1),
    "reshape": lambda x: x.reshape(-1),
    "reshape as is": lambda x: x.reshape(x.shape),
    "t": lambda x: x.t(),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "transpose": lambda x: x.transpose(0, -1),
    "flatten": lambda x: x.flatten(),
    "flatten1": lambda x: x.flatten(1),
    "squeeze": lambda x: x.squeeze(),
    "squeeze0": lambda x: x.squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "expand": lambda x: x.expand(2, *x.shape),
    "narrow": lambda x: x.narrow(0, 0, 1),
    "select": lambda x: x.select(-1, 0),
    "diagonal": lambda x: x.diagonal(),
    "movedim": lambda x: x.movedim(0, -1),
    "permute": lambda x: x.permute(tuple(reversed(range(x.ndim)))),
    "slice": lambda x: x[::2],
    "index": lambda x: x[[0]],
    "mask": lambda x: x[x > 0],
    "contiguous": lambda x: x.contiguous(),
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "to same": lambda x: x.to(x.dtype),
    "real": lambda x: x.real,
    "ravel": lambda x: x.ravel(),
    "split": lambda x: x.split(1),
    "chunk": lambda x: x.chunk(2, -1),
    "unbind": lambda x: x.unbind(),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(1, 0),
    "repeat": lambda x: x.repeat(2, 1, 1),
    "unflatten": lambda x: x.unflatten(0, (1, -1)),
    "view_as": lambda x: x.view_as(x),
    "tensor_split": lambda x: x.tensor_split(3),
    "broadcast_to": lambda x: x.broadcast_to(x.shape),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "unsqueeze0": lambda x: x.unsqueeze(0),
    "positive": lambda x: +x,
    "int": lambda x: x[0],
    "none": lambda x: x[None],
    "dots": lambda x: x[...],
}


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced", "expanded"])
@pytest.mark.parametrize("name", SHAPE_OPS)
def test_views_and_copies(name, layout):
    for shape in [(2, 3), (1, 3), (2, 3, 4), (4,), (), (0, 3)]:
        outcome = []
        for m in (torch, ng):
            x = tensor(m, *shape)
            if layout == "transposed":
                x = x.permute(tuple(reversed(range(x.ndim))))
            elif layout == "sliced" and x.ndim:
                x = x[::2]
            elif layout == "expanded":
                x = x.expand(2, *shape)
            try:
                r = SHAPE_OPS[name](x)
            except Exception as error:
                outcome.append(type(error))
                continue
            parts = r if isinstance(r, tuple | list) else (r,)
            facts = []
            for p in parts:
                shared = (
                    bool(p.numel())
                    and (p.data_ptr() - x.data_ptr()) < x.element_size() * 64
                    and p.data_ptr() >= x.data_ptr()
                    and _shares(m, p, x)
                )
                strides = [s for s, n in zip(p.stride(), p.shape) if n > 1] if p.numel() else None
                facts.append(
                    (
                        tuple(p.shape),
                        shared,
                        strides if shared else None,
                        shared and p.is_contiguous(),
                        p.tolist(),
                    )
                )
            outcome.append(facts)
        theirs, ours = outcome
        if isinstance(theirs, type):
            assert isinstance(ours, type) and issubclass(ours, theirs), (shape, theirs, ours)
        else:
            assert ours == theirs, (shape, theirs, ours)


def _shares(m: Any, a: Any, b: Any) -> bool:
    return np.shares_memory(a.detach().numpy(), b.detach().numpy())


# -- in-place programs ----------------------------------------------------------------------------


def program_view_then_base(m):
    x = tensor(m, 3, 4, grad=True)
    y = x * 2
    v = y[1]
    y.mul_(3)
    return [v.sin(), y], [x]


def program_base_through_view(m):
    x = tensor(m, 3, 4, grad=True)
    y = x * 2
    v = y[1]
    v.mul_(v.clone())
    return [y, v], [x]


def program_view_of_view(m):
    x = tensor(m, 2, 3, 4, grad=True)
    y = x.exp()
    v = y[1].t()[::2]
    v += tensor(m, 3, seed=3)
    w = y.view(6, 4)
    return [y * y, w.sum(0), v], [x]


def program_fill_part(m):
    x = tensor(m, 3, 4, grad=True)
    y = x.tanh()
    y[:, 1].fill_(2.0)
    y[2].zero_()
    return [y * y], [x]


def program_copy_into(m):
    x, z = tensor(m, 3, 4, grad=True), tensor(m, 4, seed=2, grad=True)
    y = m.zeros(3, 4, dtype=m.float64)
    y.copy_(z)
    y[1].copy_(x[0] * z)
    return [y * x], [x, z]


def program_leaf_without_grad_becomes_part(m):
    x = tensor(m, 4, grad=True)
    buffer = m.zeros(3, 4, dtype=m.float64)
    for i in range(3):
        buffer[i] = x ** (i + 1)
    return [buffer, buffer.sum(0)], [x]


def program_saved_then_changed(m):
    x = tensor(m, 4, grad=True)
    y = x.exp()
    w = y.sin()  # needs y
    y.add_(1)
    return [w], [x]


def program_saved_output_then_changed(m):
    x = tensor(m, 4, grad=True)
    y = x.exp()
    y.add_(1)
    return [y], [x]


def program_in_place_own_output(m):
    x = tensor(m, 4, grad=True)
    y = (x * 1).exp_()
    return [y * 2], [x]


def program_in_place_saves_input(m):
    x = tensor(m, 4, grad=True)
    y = (x * 1).sin_().mul_(x)
    return [y], [x]


def program_leaf_in_place(m):
    x = tensor(m, 4, grad=True)
    x.mul_(2)
    return [x], [x]


def program_view_of_leaf_in_place(m):
    x = tensor(m, 4, grad=True)
    x[0].mul_(2)
    return [x], [x]


def program_leaf_in_place_no_grad(m):
    x = tensor(m, 4, grad=True)
    with m.no_grad():
        x.mul_(2)
        x[0] = 5
    return [x * x], [x]


def program_detached_changed(m):
    x = tensor(m, 4, grad=True)
    y = x.exp()
    y.detach().mul_(2)
    return [y * 1], [x]


def program_unbind_in_place(m):
    x = tensor(m, 3, 4, grad=True)
    a, *_ = (x * 1).unbind(0)
    a.mul_(2)
    return [a], [x]


def program_split_in_place(m):
    x = tensor(m, 4, 4, grad=True)
    a, _ = (x * 1).split(2)
    a.mul_(2)
    return [a], [x]


def program_view_made_without_grad(m):
    x = tensor(m, 3, 4, grad=True)
    y = x * 1
    with m.no_grad():
        v = y[0]
    v.mul_(2)
    return [y], [x]


def program_chain_of_in_place(m):
    x = tensor(m, 3, 4, grad=True)
    y = x.clone()
    y.clamp_(-0.5, 0.5).add_(1).pow_(2).div_(3).neg_().abs_().sqrt_()
    return [y], [x]


def program_iadd_broadcast(m):
    x, b = tensor(m, 3, 4, grad=True), tensor(m, 4, seed=1, grad=True)
    y = x * 1
    y += b
    y *= b
    y -= 1
    y /= 2
    return [y], [x, b]


def program_masked(m):
    x, v = tensor(m, 3, 4, grad=True), tensor(m, seed=1, grad=True)
    y = x * 1
    y.masked_fill_(x > 0, 0.5)
    y[x < -1] = v
    y[y > 0.2] *= 2
    return [y], [x, v]


def program_transposed_in_place(m):
    x = tensor(m, 3, 4, grad=True)
    y = (x * 1).t_()
    z = (x * 2).unsqueeze_(0).squeeze_()
    return [y.contiguous() * 2, z], [x]


def program_expanded_in_place(m):
    y = tensor(m, 4).expand(3, 4)
    y.add_(1)
    return [y], []


def program_diagonal_in_place(m):
    x = tensor(m, 4, 4, grad=True)
    y = x * 1
    y.diagonal().zero_()
    y.fill_diagonal_(3)
    return [y], [x]


def program_scatter_in_place(m):
    x, s = tensor(m, 3, 4, grad=True), tensor(m, 3, 2, seed=1, grad=True)
    index = m.tensor([[0, 1], [2, 3], [1, 0]])
    y = (x * 1).scatter_(1, index, s).scatter_add_(1, index, s * 2)
    y.index_add_(0, m.tensor([0, 2]), tensor(m, 2, 4, seed=4))
    y.index_fill_(1, m.tensor([3]), 7.0)
    return [y], [x, s]


def program_requires_grad_flags(m):
    x = tensor(m, 4)
    y = x * 2
    y.requires_grad_()
    z = y * 3
    with m.no_grad():
        w = y * 3
    return [z, w, w.requires_grad, y.is_leaf, z.is_leaf, w.is_leaf], [y]


PROGRAMS = {n[8:]: f for n, f in list(globals().items()) if n.startswith("program_")}


@pytest.mark.parametrize("name", PROGRAMS)
def test_in_place_programs(name):
    fn = PROGRAMS[name]
    try:
        results, leaves = fn(torch)
        outs = [r for r in results if isinstance(r, torch.Tensor) and r.requires_grad]
        if outs and leaves:
            torch.autograd.grad([o.sum() for o in outs], leaves, retain_graph=True,
                                allow_unused=True)  # fmt: skip
    except RuntimeError:
        with pytest.raises(RuntimeError):
            results, leaves = fn(ng)
            outs = [r for r in results if isinstance(r, ng.Tensor) and r.requires_grad]
            ng.autograd.grad([o.sum() for o in outs], leaves)
        return
    both(fn, order=2)


def test_versions():
    def versions(m):
        x = tensor(m, 3, 4)
        found = [x._version]
        v = x[0]
        for change in (lambda: x.add_(1), lambda: v.mul_(2), lambda: x.__setitem__(0, 1.0),
                       lambda: x.detach().add_(1), lambda: x.t().zero_(), lambda: x.clone().add_(1),
                       lambda: x.copy_(x * 2), lambda: x.fill_(3)):  # fmt: skip
            change()
            found.append((x._version, v._version))
        return found, []

    both(versions)


# -- creation and conversion ----------------------------------------------------------------------

DATA = [
    1,
    1.5,
    True,
    1j,
    [1, 2],
    [1, 2.5],
    [True, False],
    [True, 2],
    [1, 1j],
    [],
    [[]],
    [[1, 2], [3, 4]],
    [[1.0], [2]],
    (1, 2),
    range(3),
    [(1, 2), (3, 4)],
    [[1, 2], [3]],
    "a",
    None,
    [None],
    [1, "a"],
    {},
    2**40,
    -1,
    [0.1, float("nan")],
    float("inf"),
    np.float32(1.5),
    np.int8(3),
    np.bool_(True),
    np.array([1, 2]),
    np.array([1.5], np.float32),
    np.array(2.0),
    [np.float64(1), np.float64(2)],
    np.zeros((2, 0)),
    [np.array([1, 2]), np.array([3, 4])],
    2**63,
    [2**63],
    np.array(["a"]),
    np.array([object()]),
    [[[1]], [[2]]],
    [[1, [2]]],
    np.float16(2),
    np.arange(3, dtype=np.uint8),
]


@pytest.mark.parametrize("i", range(len(DATA)))
@pytest.mark.parametrize("dtype", [None, "float32", "float64", "int64", "int8", "uint8", "bool",
                                   "complex64", "float16"])  # fmt: skip
@pytest.mark.parametrize("maker", ["tensor", "as_tensor"])
def test_data(maker, dtype, i):
    def make(m):
        kwargs = {} if dtype is None else {"dtype": getattr(m, dtype)}
        return getattr(m, maker)(DATA[i], **kwargs), []

    try:
        make(torch)
    except Exception as error:
        if "cannot be interpreted as an integer" in str(error):
            return  # PyTorch takes no NumPy scalars there, ours does
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            make(ng)
        return
    both(make)


CREATION = [
    lambda m: m.zeros(2, 3),
    lambda m: m.zeros((2, 3)),
    lambda m: m.zeros([2, 3]),
    lambda m: m.zeros(()),
    lambda m: m.zeros(2, dtype=m.int32),
    lambda m: m.zeros(-1),
    lambda m: m.zeros(2.5),
    lambda m: m.zeros("a"),
    lambda m: m.ones(2, 0),
    lambda m: m.ones(2, requires_grad=True),
    lambda m: m.ones(2, dtype=m.int64, requires_grad=True),
    lambda m: m.full((2,), 1.5),
    lambda m: m.full((2,), 1),
    lambda m: m.full((2,), True),
    lambda m: m.full((2,), 1j),
    lambda m: m.full((), 3.0, dtype=m.int64),
    lambda m: m.full((2,), float("nan"), dtype=m.int64),
    lambda m: m.full((2,), 300, dtype=m.uint8),
    lambda m: m.eye(3),
    lambda m: m.eye(2, 3),
    lambda m: m.eye(0),
    lambda m: m.eye(-1),
    lambda m: m.arange(5),
    lambda m: m.arange(1, 7, 2),
    lambda m: m.arange(5, 0, -2),
    lambda m: m.arange(0.0, 1.0, 0.3),
    lambda m: m.arange(3, dtype=m.int8),
    lambda m: m.arange(0),
    lambda m: m.arange(1, 0),
    lambda m: m.arange(0, 1, 0),
    lambda m: m.arange(2.5),
    lambda m: m.linspace(0, 1, 5),
    lambda m: m.linspace(1, -1, 4, dtype=m.float64),
    lambda m: m.linspace(0, 1, 1),
    lambda m: m.linspace(0, 1, 0),
    lambda m: m.linspace(0, 1, -2),
    lambda m: m.logspace(0, 2, 3),
    lambda m: m.zeros_like(m.ones(2, 3, dtype=m.int32)),
    lambda m: m.ones_like(m.ones(2), dtype=m.bool),
    lambda m: m.full_like(m.ones(2), 7),
    lambda m: m.zeros_like([1]),
    lambda m: m.ones(2).new_zeros(3),
    lambda m: m.ones(2).new_full((2,), 3),
    lambda m: m.ones(2, dtype=m.int64).new_tensor([1.5]),
    lambda m: m.ones(2).new_ones((2, 2)),
    lambda m: m.scalar_tensor(3),
    lambda m: m.tril_indices(3, 4),
    lambda m: m.triu_indices(3, 3, 1),
    lambda m: m.ones(2).float(),
    lambda m: m.tensor([1.7, -1.7]).int(),
    lambda m: m.tensor([0, 2]).bool(),
    lambda m: m.tensor([300.0]).to(m.uint8),
    lambda m: m.tensor([-1]).to(m.uint8),
    lambda m: m.tensor([1.5]).to(m.complex64),
    lambda m: m.ones(2).type_as(m.ones(1, dtype=m.int8)),
    lambda m: m.tensor([1 + 2j]).real,
    lambda m: m.tensor([1 + 2j]).imag,
    lambda m: m.ones(2).imag,
    lambda m: m.tensor(3.5).item(),
    lambda m: m.tensor([3]).item(),
    lambda m: m.ones(2).item(),
    lambda m: m.ones(0).item(),
    lambda m: m.tensor([[1, 2]]).tolist(),
    lambda m: m.tensor(1.5).tolist(),
    lambda m: float(m.tensor(2)),
    lambda m: int(m.tensor(2.7)),
    lambda m: complex(m.tensor(1.5)),
    lambda m: bool(m.tensor([0.0])),
    lambda m: bool(m.ones(2)),
    lambda m: bool(m.ones(0)),
    lambda m: [10, 20][m.tensor(1)],
    lambda m: len(m.ones(3, 2)),
    lambda m: len(m.tensor(1)),
    lambda m: [x.item() for x in m.arange(3)],
    lambda m: list(m.tensor(1)),
    lambda m: 1 in m.arange(3),
    lambda m: m.numel(m.ones(2, 3)),
    lambda m: m.is_tensor(m.ones(1)),
    lambda m: m.is_tensor(1),
    lambda m: m.is_floating_point(m.ones(1)),
    lambda m: m.is_complex(m.ones(1)),
    lambda m: m.finfo(m.float32).eps,
    lambda m: m.finfo(m.float16).max,
    lambda m: m.finfo(m.float64).tiny,
    lambda m: m.finfo().bits,
    lambda m: m.finfo(m.int8),
    lambda m: m.iinfo(m.int8).min,
    lambda m: m.iinfo(m.uint8).max,
    lambda m: m.iinfo(m.float32),
    lambda m: m.ones(2).dim(),
    lambda m: tuple(m.ones(2, 3).size()),
    lambda m: m.ones(2, 3).size(-1),
    lambda m: m.ones(2).size(1),
    lambda m: m.ones(2, 3).shape.numel(),
    lambda m: m.ones(2, 3).stride(),
    lambda m: m.ones(2).element_size(),
    lambda m: m.ones(2).nbytes,
    lambda m: m.ones(2, 3)[:, 1:].storage_offset(),
    lambda m: m.ones(2).is_contiguous(),
    lambda m: m.ones(2, 3).t().is_contiguous(),
    lambda m: m.broadcast_shapes((2, 1), (3,)),
    lambda m: m.broadcast_shapes((2,), (3,)),
    lambda m: m.equal(m.ones(2), m.ones(2)),
    lambda m: m.equal(m.ones(2), m.ones(3)),
    lambda m: m.allclose(m.ones(2), m.ones(2) + 1e-9),
    lambda m: m.ones(1).__format__(""),
    lambda m: f"{m.tensor(1.5):.3f}",
    lambda m: copy.deepcopy(m.ones(2, requires_grad=True)),
    lambda m: copy.copy(m.ones(2)),
    lambda m: copy.deepcopy(m.ones(2, requires_grad=True) * 2),
    lambda m: m.ones(2).numpy().tolist(),
    lambda m: m.ones(2, requires_grad=True).numpy(),
    lambda m: m.ones(2) == m.ones(2),
    lambda m: m.ones(2) == "a",
    lambda m: m.ones(2) != None,  # noqa: E711
    lambda m: m.ones(2) + None,
    lambda m: m.ones(2) + "a",
    lambda m: [1].__add__(m.ones(2)),
    lambda m: m.from_numpy(np.arange(6).reshape(2, 3)[:, ::-1]),
    lambda m: m.from_numpy([1]),
    lambda m: m.from_numpy(np.arange(3).astype(">i4")),
    lambda m: m.from_numpy(np.array(["a"])),
    lambda m: m.from_numpy(np.arange(4)[::2]),
    lambda m: m.from_numpy(np.float64(3)),
    lambda m: m.tensor([1.0]).requires_grad_().int().requires_grad,
    lambda m: m.ones(3).sum().shape,
]


@pytest.mark.parametrize("i", range(len(CREATION)))
def test_creation(i):
    both(lambda m: (CREATION[i](m), []))


def test_pickle_keeps_data_and_flags():
    x = ng.tensor([[1.0, 2.0]], requires_grad=True)
    y = pickle.loads(pickle.dumps(x))
    assert y.requires_grad and y.is_leaf and y.tolist() == x.tolist() and y.dtype is x.dtype


@pytest.mark.parametrize("name", ["float32", "float64", "complex128", "int64"])
def test_default_dtype(name):
    """``set_default_dtype`` decides what Python floats become, or refuses as PyTorch does."""

    def program(m):
        m.set_default_dtype(getattr(m, name))
        try:
            return [
                m.tensor(1.5),
                m.ones(2),
                m.tensor(1j),
                m.ones(2, dtype=m.int64) / 2,
                m.arange(2.0),
                m.ones(2, dtype=m.int64) * 1.5,
            ], []
        finally:
            m.set_default_dtype(m.float32)

    both(program)
