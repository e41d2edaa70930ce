"""Ops of your own: declared like those of numbagrad, and treated like them.

:func:`elementwise` declares an op that computes each element from one element of each input,
:func:`primitive` any other; both return the op, which can be called at once. :func:`publish` also
makes it a function of the package, a method of Tensor and an in-place form. The page "Adding an op"
of the documentation shows each step.

>>> import numpy as np
>>> import numbagrad as ng
>>> from numbagrad import extend
>>> softsign = extend.elementwise(
...     "softsign_example", "x / (1 + abs(x))", lambda x: x / (1 + np.abs(x)),
...     grad=lambda g, x: g / ((1 + abs(x)) * (1 + abs(x))),
...     dtype=extend.FLOATING, doc="x / (1 + |x|).",
... )
>>> softsign(ng.tensor([-1.0, 0.0, 3.0]))
tensor([-0.5000,  0.0000,  0.7500])
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .eager import COMPARE, FLOATING, PROMOTE, REAL, DtypeRule
from .inplace import in_place_form
from .ops.export import EXPORTS, publish as _publish_function, publish_op
from .ops.registry import Op, elementwise, primitive
from .tensor import Tensor

__all__ = [
    "COMPARE",
    "FLOATING",
    "PROMOTE",
    "REAL",
    "DtypeRule",
    "Op",
    "elementwise",
    "primitive",
    "publish",
]


def publish(fn: Op | Callable[..., Tensor], name: str | None = None) -> Callable[..., Any]:
    """Make an op, or a function of tensors, part of the package.

    It becomes ``ng.<name>``, ``tensor.<name>`` and ``tensor.<name>_``.

    Args:
        fn: an elementwise op of one or two inputs; or a function whose first argument is a tensor
            and which returns one.
        name: default: the name of the op or function.

    Returns:
        The public function.

    Raises:
        ValueError: the package or Tensor has something of that name.
        TypeError: an op that takes parameters or more inputs; publish a function that calls it.
    """
    name = name or (fn.name if isinstance(fn, Op) else fn.__name__)
    package = sys.modules[__package__ or "numbagrad"]
    for owner, attribute in ((package, name), (Tensor, name), (Tensor, f"{name}_")):
        if attribute in vars(owner):
            raise ValueError(f"{owner.__name__}.{attribute} exists already: choose another name")
    if isinstance(fn, Op):
        if fn.expr is None or len(fn.inputs) > 2:
            raise TypeError(
                f"{fn.name} cannot be published as it is: write a function that checks the user's "
                "arguments and calls the op, and publish that"
            )
        fn.public = (name,)
        publish_op(fn)
    else:
        _publish_function(name, fn, methods=(name,))
        setattr(Tensor, f"{name}_", in_place_form(f"{name}_", fn))
    public = EXPORTS[name]
    setattr(package, name, public)
    return public
