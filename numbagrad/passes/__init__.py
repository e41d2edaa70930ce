"""The compiler: passes from Graph to Graph, in the order of :data:`PIPELINE`."""

from __future__ import annotations

from ..ir.graph import Graph
from .absorb import absorb
from .cse import cse
from .dce import dce
from .fuse import fuse
from .lower import lower
from .simplify import simplify

PIPELINE = (lower, simplify, cse, dce, fuse, absorb)


def run(graph: Graph) -> Graph:
    """Apply all passes."""
    for p in PIPELINE:
        graph = p(graph)
    return graph
