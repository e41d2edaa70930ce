"""The recorded outcomes of the programs are those of the installed PyTorch."""

from __future__ import annotations

import pytest

import numbagrad as ng
from tests.programs import MODULES, expected, programs, run, same

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


@pytest.mark.parametrize("name", programs(*MODULES))
def test_program(name):
    theirs = run(name, torch)
    assert same(expected()[name], theirs), "run `python -m tests.programs`"
    assert same(run(name, ng), theirs)
