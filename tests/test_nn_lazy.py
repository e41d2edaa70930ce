"""Lazy modules: shapes from the first input, states, errors before it."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import numbagrad as ng

nn = ng.nn
CASES = [
    (lambda: nn.LazyLinear(4), (2, 3), "Linear(in_features=3, out_features=4, bias=True)"),
    (lambda: nn.LazyLinear(4, bias=False), (3,),
     "Linear(in_features=3, out_features=4, bias=False)"),
    (lambda: nn.LazyConv1d(4, 2), (3, 5), "Conv1d(3, 4, kernel_size=(2,), stride=(1,))"),
    (lambda: nn.LazyConv2d(4, 2, groups=2), (1, 6, 5, 5),
     "Conv2d(6, 4, kernel_size=(2, 2), stride=(1, 1), groups=2)"),
    (lambda: nn.LazyConvTranspose1d(4, 2), (1, 3, 5),
     "ConvTranspose1d(3, 4, kernel_size=(2,), stride=(1,))"),
    (lambda: nn.LazyBatchNorm1d(eps=0.1), (4, 3),
     "BatchNorm1d(3, eps=0.1, momentum=0.1, affine=True, bias=True, track_running_stats=True)"),
    (lambda: nn.LazyInstanceNorm1d(affine=False), (2, 3, 5),
     "InstanceNorm1d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, "
     "track_running_stats=True)"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "shape", "text"), CASES, ids=[c[2].split("(")[0] for c in CASES])
def test_becomes_ordinary_at_the_first_call(make, shape, text):
    module = make()
    before = list(module.parameters())
    assert "Lazy" in repr(module) and module.has_uninitialized_params()
    expected = ng.ones(*shape)
    module(expected)
    assert repr(module) == text
    after = list(module.parameters())
    assert all(a is b and type(b) is nn.Parameter for a, b in zip(before, after, strict=True))


def test_the_initial_values_are_those_of_the_ordinary_module():
    ng.manual_seed(0)
    lazy = nn.LazyConv2d(4, 3)
    lazy(ng.ones(1, 3, 5, 5))
    ng.manual_seed(0)
    plain = nn.Conv2d(3, 4, 3)
    for a, b in zip(lazy.parameters(), plain.parameters(), strict=True):
        assert ng.equal(a, b)


def test_a_lazy_model_trains():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    optimizer = ng.optim.SGD(model.parameters(), lr=0.1)
    model(ng.randn(3, 2, 5, 5)).square().sum().backward()
    weight = model[3].weight.detach().clone()
    optimizer.step()
    assert weight.shape == (2, 36)
    assert not ng.equal(weight, model[3].weight)


def test_states():
    model = nn.Linear(3, 2)
    lazy = nn.LazyLinear(2)
    assert list(lazy.state_dict()) == ["weight", "bias"]
    assert lazy.load_state_dict(copy.deepcopy(lazy.state_dict())).missing_keys == []
    lazy.load_state_dict(model.state_dict())
    x = ng.ones(1, 3)
    np.testing.assert_array_equal(lazy(x).detach().numpy(), model(x).detach().numpy())
    assert type(lazy) is nn.Linear
    with pytest.raises(RuntimeError, match="uninitialized parameter into an initialized one"):
        model.load_state_dict(nn.LazyLinear(2).state_dict())


def test_copies_and_dtypes():
    lazy = copy.deepcopy(nn.LazyBatchNorm1d()).double()
    y = lazy(ng.ones(2, 3, dtype=ng.float64))
    assert lazy.running_mean is not None and lazy.num_batches_tracked is not None
    assert y.dtype is ng.float64 and lazy.running_mean.dtype is ng.float64
    assert lazy.num_batches_tracked.item() == 1


def test_errors():
    lazy = nn.LazyLinear(2)
    assert repr(lazy.weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="Call `forward` to initialize"):
        _ = lazy.weight.shape
    for use in (lambda w: w + 1, lambda w: w.numel(), lambda w: w.sum(), lambda w: ng.ones(1) * w):
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            use(lazy.weight)
    with pytest.raises(RuntimeError, match=r"Expected 3D .* input to LazyConv2d"):
        nn.LazyConv2d(2, 3)(ng.ones(3))
    with pytest.raises(ValueError, match="divisible by groups"):
        nn.LazyConv1d(2, 3, groups=2)(ng.ones(1, 3, 5))
