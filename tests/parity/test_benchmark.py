"""What `utils.benchmark` says of given times is what PyTorch's says."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from numbagrad.utils import benchmark as ours

pytest.importorskip("torch")
theirs = pytest.importorskip("torch.utils.benchmark")
pytestmark = pytest.mark.parity

SPECS = [
    {"stmt": "f(x)", "setup": "pass"},
    {"stmt": "f(x)", "setup": "x = 1", "label": "f", "sub_label": "one", "description": "new"},
    {"stmt": "y = 1\nf(y)", "setup": "x = 1\ny = x", "sub_label": "s", "num_threads": 4},
    {"stmt": "f(x)", "setup": "pass", "sub_label": "only"},
]
TIMES = [[0.1], [0.1, 0.3], [0.1, 0.11, 0.12], [1e-7, 1.1e-7, 1.2e-7, 1.3e-7], [3.0, 1, 2, 9, 4]]


def words(library: Any, spec: dict[str, Any], times: list[float]) -> list[Any]:
    m = library.Measurement(100, times, library.TaskSpec(**spec))
    return [m.title, m.as_row_name, m.has_warnings, m.meets_confidence(), repr(m).split("\n")[1:]]


@pytest.mark.parametrize("spec", SPECS, ids=range(len(SPECS)))
@pytest.mark.parametrize("times", TIMES, ids=range(len(TIMES)))
def test_measurements(spec: dict[str, Any], times: list[float]) -> None:
    assert words(ours, spec, times) == words(theirs, spec, times)
    m = ours.Measurement(100, times, ours.TaskSpec(**spec))
    other = theirs.Measurement(100, times, theirs.TaskSpec(**spec))
    for name in ("median", "mean", "iqr", "times"):
        assert getattr(m, name) == pytest.approx(getattr(other, name), rel=1e-5, abs=1e-20)
    assert ours.Measurement.merge([m, m])[0].times == pytest.approx(
        theirs.Measurement.merge([other, other])[0].times
    )


def test_signatures() -> None:
    for name in ("__init__", "timeit", "blocked_autorange", "adaptive_autorange"):
        a = inspect.signature(getattr(ours.Timer, name)).parameters
        b = inspect.signature(getattr(theirs.Timer, name)).parameters
        assert list(a) == [n for n in b if n in a]
