"""All modules that declare or publish operations: importing this one loads them."""

from . import (
    arrange,
    composite,
    conv,
    factor,
    indexing,
    math,
    mutation,
    nn,
    products,
    reduce,
    scatter,
    shape,
    sorting,
    storage,
)

__all__ = [
    "arrange",
    "composite",
    "conv",
    "factor",
    "indexing",
    "math",
    "mutation",
    "nn",
    "products",
    "reduce",
    "scatter",
    "shape",
    "sorting",
    "storage",
]
