"""Random compositions of transforms: each is what its outermost transform says it is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

import numbagrad as ng
from tests.compositions import (
    DERIVATIVES,
    WRAPPERS,
    composed,
    constant,
    functions,
    numerical,
    transforms,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(functions, transforms)
def test_composition(names, words):
    x = constant(ng, 0, 3)
    *inner, outer = words
    found = composed(ng, names, words)(x)
    assert not found.requires_grad
    f = composed(ng, names, inner)
    if outer in DERIVATIVES:
        expected = numerical(f, ng, *DERIVATIVES[outer][1:], x.numpy())
        np.testing.assert_allclose(found.numpy(), expected, 1e-5, 1e-7)
    else:
        expected = WRAPPERS[outer][1](ng, f)(x)
        np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), 1e-10, 1e-12)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(functions, transforms)
def test_compiled_composition(names, words):
    """Compiled as a whole, and with the function compiled inside."""
    x = constant(ng, 0, 3)
    expected = composed(ng, names, words)(x).numpy()
    whole = ng.compile(composed(ng, names, words))(x)
    np.testing.assert_allclose(whole.numpy(), expected, 1e-9, 1e-12)
