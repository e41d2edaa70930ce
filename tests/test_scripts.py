"""Training scripts written for PyTorch learn the same here."""

from __future__ import annotations

import pytest

from tests import scripts


@pytest.mark.parametrize("name", scripts.NAMES)
def test_script(name):
    scripts.assert_same(scripts.run(name, "numbagrad"), scripts.expected()[name])


@pytest.mark.parity
@pytest.mark.parametrize("name", scripts.NAMES)
def test_script_under_pytorch(name):
    pytest.importorskip("torch")
    scripts.assert_same(scripts.run(name, "torch"), scripts.expected()[name])
