"""Edge values, gradcheck and assert_close: programs whose outcomes are PyTorch's."""

from __future__ import annotations

import pytest

import numbagrad as ng
from tests.programs import expected, programs, run, same

MODULES = "edges", "checks", "comparisons", "types_and_devices", "distributions"


@pytest.mark.parametrize("name", programs(*MODULES))
def test_program(name):
    assert same(run(name, ng), expected()[name])
