"""Functions of nn that the package has as well, with PyTorch's other arguments there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from nn_samples import make

import numbagrad as ng

F = ng.nn.functional
X, Y = make(4, 3).detach(), make(4, 3, seed=1).detach()
ROW = ng.ones(3, dtype=ng.float64)
SIGNS = ng.tensor([1.0, -1.0, 1.0, -1.0], dtype=ng.float64)

CASES = {
    "layer_norm": (lambda: ng.layer_norm(X, (3,), ROW), lambda: F.layer_norm(X, (3,), ROW)),
    "batch_norm": (
        lambda: ng.batch_norm(X, ROW, ROW, ROW, ROW + 1, False, 0.1, 1e-5, True),
        lambda: F.batch_norm(X, ROW, ROW + 1, ROW, ROW),
    ),
    "instance_norm": (
        lambda: ng.instance_norm(X[None], None, None, None, None, True, 0.1, 0.1, False),
        lambda: F.instance_norm(X[None], eps=0.1),
    ),
    "group_norm": (lambda: ng.group_norm(X, 1), lambda: F.group_norm(X, 1)),
    "embedding": (
        lambda: ng.embedding(X, ng.tensor([1, 0])), lambda: F.embedding(ng.tensor([1, 0]), X)
    ),
    "celu": (lambda: ng.celu(X, 0.5), lambda: F.celu(X, 0.5)),
    "selu": (lambda: ng.selu(X), lambda: F.selu(X)),
    "threshold": (lambda: ng.threshold(X, 0.5, 2), lambda: F.threshold(X, 0.5, 2)),
    "rrelu": (lambda: ng.rrelu(X), lambda: F.rrelu(X)),
    "dropout": (lambda: ng.dropout(X, 0.5, False), lambda: X),
    "prelu": (lambda: X.prelu(ROW), lambda: F.prelu(X, ROW)),
    "hardshrink": (lambda: X.hardshrink(), lambda: F.hardshrink(X)),
    "conv1d": (lambda: ng.conv1d(X, X[None]), lambda: F.conv1d(X, X[None])),
    "kl_div": (lambda: ng.kl_div(X, Y.exp(), 2), lambda: F.kl_div(X, Y.exp(), reduction="sum")),
    "cosine_embedding_loss": (
        lambda: ng.cosine_embedding_loss(X, Y, SIGNS, 0.1, 0),
        lambda: F.cosine_embedding_loss(X, Y, SIGNS, 0.1, reduction="none"),
    ),
    "poisson_nll_loss": (
        lambda: ng.poisson_nll_loss(X, Y.exp(), True, False, 1e-8, 1),
        lambda: F.poisson_nll_loss(X, Y.exp()),
    ),
    "constant_pad_nd": (
        lambda: ng.constant_pad_nd(X, (1, -1), 2.0), lambda: F.pad(X, (1, -1), value=2.0)
    ),
    "pdist": (lambda: ng.pdist(X), lambda: F.pdist(X)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_same_result_as_the_function_of_nn(name):
    found, expected = (fn() for fn in CASES[name])
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    assert name in dir(ng)


def test_in_place_forms():
    x = X.clone()
    assert ng.celu_(x) is x
    assert ng.equal(x, F.celu(X))
    ng.manual_seed(0)
    assert ng.dropout_(x, 0.5, True) is x
    assert (x == 0).any()


def test_reductions_are_numbers():
    with pytest.raises(ValueError, match="got 'mean'"):
        ng.kl_div(X, Y, "mean")


def test_loaded_when_first_used():
    code = (
        "import sys, numbagrad as ng; hasattr(ng, '__wrapped__');"
        "assert 'numbagrad.nn' not in sys.modules;"
        "print(ng.layer_norm(ng.ones(2), (2,)).tolist(), hasattr(ng, 'no_such_function'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[0.0, 0.0] False\n"
