"""Random compositions of transforms give PyTorch's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings

import numbagrad as ng
from tests.compositions import composed, constant, functions, transforms

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(functions, transforms)
def test_composition(names, words):
    # PyTorch's linearize does not nest in forward mode, and is wrong after in-place operations.
    known = ["jvp" if word == "linearize" else word for word in words]
    try:
        theirs = composed(torch, names, known, own=False)(constant(torch, 0, 3))
    except RuntimeError as error:  # dual levels inside of other forward modes, or under vmap
        assume("dual" not in words)
        raise error
    ours = composed(ng, names, words)(constant(ng, 0, 3))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(force=True), 1e-9, 1e-12)
