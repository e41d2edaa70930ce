"""Bessel functions of the first and second kind, and modified ones, of the orders 0 and 1.

Derivatives: NIST Digital Library of Mathematical Functions, 10.6 and 10.29.
"""

from __future__ import annotations

import math
from typing import Any

from ..kernels import bessel
from ..tensor import Tensor
from . import elementwise as E
from .export import NAMESPACES, accepts_out, check_tensor, public
from .math import sinc
from .registry import Op
from .special import over, real_function

_POSITIVE = (0.2, 4.0)

_j0 = real_function("bessel_j0", bessel.j0, lambda g, x: -g * _j1(x),
                    "The Bessel function of the first kind of order 0.")  # fmt: skip
_j1 = real_function("bessel_j1", bessel.j1, lambda g, x, out: g * (_j0(x) - over(out, x, 0.5)),
                    "The Bessel function of the first kind of order 1.")  # fmt: skip
_y0 = real_function("bessel_y0", bessel.y0, lambda g, x: -g * _y1(x),
                    "The Bessel function of the second kind of order 0.",
                    domain=_POSITIVE)  # fmt: skip
_y1 = real_function("bessel_y1", bessel.y1, lambda g, x, out: g * (_y0(x) - out / x),
                    "The Bessel function of the second kind of order 1.",
                    domain=_POSITIVE)  # fmt: skip
_k0 = real_function("modified_bessel_k0", bessel.k0, lambda g, x: -g * _k1(x),
                    "The modified Bessel function of the second kind of order 0.",
                    domain=_POSITIVE)  # fmt: skip
_k1 = real_function("modified_bessel_k1", bessel.k1, lambda g, x, out: -g * (_k0(x) + out / x),
                    "The modified Bessel function of the second kind of order 1.",
                    domain=_POSITIVE)  # fmt: skip
_k0e = real_function("scaled_modified_bessel_k0", bessel.k0e,
                     lambda g, x, out: g * (out - _k1e(x)),
                     "exp(x) times the modified Bessel function of the second kind of order 0.",
                     domain=_POSITIVE)  # fmt: skip
_k1e = real_function("scaled_modified_bessel_k1", bessel.k1e,
                     lambda g, x, out: g * (out - _k0e(x) - out / x),
                     "exp(x) times the modified Bessel function of the second kind of order 1.",
                     domain=_POSITIVE)  # fmt: skip


def _publish(op: Op) -> None:
    def function(input: Tensor) -> Tensor:
        return op(E.to_floating(check_tensor(op.name, input, kinds="biuf")))

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = op.doc
    NAMESPACES["special"][op.name] = accepts_out(function)


for _op in (_j0, _j1, _y0, _y1, _k0, _k1, _k0e, _k1e):
    _publish(_op)
for _order in (0, 1):
    NAMESPACES["special"][f"modified_bessel_i{_order}"] = NAMESPACES["special"][f"i{_order}"]


@public(namespace="special", out=True)
def spherical_bessel_j0(input: Tensor) -> Any:
    """The spherical Bessel function of the first kind of order 0: sin(x) / x.

    >>> import numbagrad as ng
    >>> ng.special.spherical_bessel_j0(ng.tensor([0.0, 1.0]))
    tensor([1.0000, 0.8415])
    """
    x = E.to_floating(check_tensor("spherical_bessel_j0", input, kinds="biuf"))
    infinite = E.isinf(x)
    return E.where(infinite, 0.0, sinc(E.where(infinite, 1.0, x) / math.pi))
