"""Edge values, gradcheck and assert_close: programs whose outcomes are PyTorch's."""

from __future__ import annotations

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same


@pytest.mark.parametrize("name", programs("edges", "checks", "comparisons", "types_and_devices"))
def test_program(name):
    assert same(run(name, ng), expected()[name])
