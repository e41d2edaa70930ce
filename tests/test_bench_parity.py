"""The workloads of the benchmark compute what PyTorch and JAX compute: nothing is timed here."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from bench.libraries import LIBRARIES, OURS
from bench.runner import Settings, run as run_all
from bench.workload import Kind, collect

STEADY = [name for name, (_, w) in collect().items() if w.kind is Kind.STEADY]


pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not (find_spec("torch") and find_spec("jax")), reason="needs the oracles"),
]


@pytest.mark.parametrize("name", STEADY)
def test_workload_agrees_with_its_peers(name):
    settings = Settings(
        rounds=1,
        sample_seconds=1e-6,
        pythons=dict.fromkeys(("numbagrad", "torch", "jax"), sys.executable),
    )
    libraries = [LIBRARIES[library] for library in (OURS, "torch", "jax")]
    run = run_all({name: collect()[name]}, libraries, settings, lambda text: None)
    found = run.workloads[name].libraries
    if "no attribute 'compile'" in found[OURS].message:
        pytest.skip("numbagrad.compile does not exist yet")
    outcome = {library: (m.status, m.message) for library, m in found.items()}
    assert outcome == dict.fromkeys(found, ("ok", ""))
