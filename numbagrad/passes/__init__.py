"""The compiler: passes from Graph to Graph, in the order of :data:`PIPELINE`."""

from __future__ import annotations

from .. import config
from ..ir.graph import Graph
from ..ir.verify import verify
from .absorb import absorb
from .cse import cse
from .dce import dce
from .fuse import fuse
from .lower import lower
from .simplify import simplify

PIPELINE = (lower, simplify, cse, dce, fuse, absorb)


def run(graph: Graph) -> Graph:
    """Apply all passes.

    NUMBAGRAD_DEBUG=3 prints and verifies what each of them makes of the graph.
    """
    watched = config.debug() >= 3
    if watched:
        config.report(f"as traced:\n{graph}")
    for p in PIPELINE:
        graph = p(graph)
        if watched:
            config.report(f"after {p.__name__}:\n{graph}")
            verify(graph)
    return graph
