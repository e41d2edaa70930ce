"""Orthogonal polynomials, by their recurrences: differentiable in x as often as one likes.

Recurrences: NIST Digital Library of Mathematical Functions, 18.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..dispatch import values_of
from ..tensor import Tensor
from . import elementwise as E
from .export import NAMESPACES, accepts_out, check_promoted, operands


class Family(NamedTuple):
    """A family of polynomials: p(0) = 1, p(1) and p(k + 1) from x, p(k), p(k - 1) and k."""

    doc: str
    first: Callable[[Any], Any]
    next: Callable[[Any, Any, Any, int], Any]


def _chebyshev(x: Any, p: Any, before: Any, k: int) -> Any:
    return x * 2 * p - before


_FAMILIES = {
    "chebyshev_polynomial_t": Family(
        "Chebyshev polynomials of the first kind.", lambda x: x, _chebyshev
    ),
    "chebyshev_polynomial_u": Family(
        "Chebyshev polynomials of the second kind.", lambda x: x * 2, _chebyshev
    ),
    "chebyshev_polynomial_v": Family(
        "Chebyshev polynomials of the third kind.", lambda x: x * 2 - 1, _chebyshev
    ),
    "chebyshev_polynomial_w": Family(
        "Chebyshev polynomials of the fourth kind.", lambda x: x * 2 + 1, _chebyshev
    ),
    "hermite_polynomial_h": Family(
        "Hermite polynomials, as physicists define them.", lambda x: x * 2,
        lambda x, p, before, k: x * 2 * p - before * (2 * k),
    ),
    "hermite_polynomial_he": Family(
        "Hermite polynomials, as probabilists define them.", lambda x: x,
        lambda x, p, before, k: x * p - before * k,
    ),
    "laguerre_polynomial_l": Family(
        "Laguerre polynomials.", lambda x: 1 - x,
        lambda x, p, before, k: ((2 * k + 1 - x) * p - before * k) / (k + 1),
    ),
    "legendre_polynomial_p": Family(
        "Legendre polynomials.", lambda x: x,
        lambda x, p, before, k: (x * (2 * k + 1) * p - before * k) / (k + 1),
    ),
}  # fmt: skip


def _degrees(name: str, n: Any) -> tuple[Any, int]:
    """The degrees, rounded towards 0, and the largest of them."""
    if not isinstance(n, Tensor):
        return int(n), int(n)
    known = values_of(n)
    if known is None:
        raise RuntimeError(
            f"{name}(): the degree cannot be traced: it says how much there is to compute; pass a "
            "number, or a tensor from outside of the compiled function"
        )
    return E.trunc(n.detach()) if n.is_floating_point() else n, int(max(known.flat, default=-1))


def _evaluate(name: str, family: Family, x: Any, n: Any) -> Tensor:
    degrees, largest = _degrees(name, n)
    value = before = E.fill(x, 1)
    result = E.where(E.eq(degrees, 0), value, 0.0) if isinstance(n, Tensor) else value
    for k in range(largest):
        value, before = (family.next(x, value, before, k) if k else family.first(x)), value
        result = E.where(E.eq(degrees, k + 1), value, result) if isinstance(n, Tensor) else value
    return E.fill(x, 0) if largest < 0 and not isinstance(n, Tensor) else result


def _publish(name: str, family: Family, *, shifted: bool) -> None:
    def function(input: Any, n: Any) -> Tensor:
        x, degrees = operands(name, input, n)
        check_promoted(name, "biuf", x, degrees)
        like = E.to_floating(E.add(x, degrees) if isinstance(degrees, Tensor) else x)
        x = E.to_dtype(x, like._data.dtype) if isinstance(x, Tensor) else E.fill(like, x)
        return _evaluate(name, family, x * 2 - 1 if shifted else x, degrees)

    function.__name__ = function.__qualname__ = name
    at = " at 2x - 1" if shifted else ""
    function.__doc__ = f"""{family.doc[:-1]}{at}: that of degree `n` for each element of `input`.

    `n` is a number or a tensor, rounded towards 0; the result is 0 where it is negative. Both
    broadcast. It is differentiable in `input`; its cost grows with the largest degree.
    """
    NAMESPACES["special"][name] = accepts_out(function)


for _name, _family in _FAMILIES.items():
    _publish(_name, _family, shifted=False)
    if _name.startswith("chebyshev"):
        _publish(f"shifted_{_name}", _family, shifted=True)
