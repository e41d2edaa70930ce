"""All modules that declare or publish operations: importing this one loads them."""

from . import (
    arrange,
    composite,
    conv,
    decompositions,
    indexing,
    math,
    mutation,
    nn,
    norms,
    products,
    reduce,
    scatter,
    shape,
    solutions,
    sorting,
    storage,
)

__all__ = [
    "arrange",
    "composite",
    "conv",
    "decompositions",
    "indexing",
    "math",
    "mutation",
    "nn",
    "norms",
    "products",
    "reduce",
    "scatter",
    "shape",
    "solutions",
    "sorting",
    "storage",
]
