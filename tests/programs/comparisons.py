"""testing.assert_close: programs for both libraries (see `programs`)."""

from __future__ import annotations

from . import program


def message(lib, *args, **options):
    """What it says; a name of the library is taken out."""
    try:
        lib.testing.assert_close(*args, **options)
    except (AssertionError, TypeError, ValueError) as error:
        text = str(error).replace(lib.__name__ + ".", "")
        return f"{type(error).__name__}: {text}"
    return "close"


@program
def assert_close_of_tensors(lib):
    t = lib.tensor
    a = t([1.0, 2.0, 3.0])
    return [
        message(lib, a, t([1.0, 2.0, 3.000001])), message(lib, a, t([1.0, 2.0, 4.0])),
        message(lib, t([1, 2]), t([1, 3])), message(lib, t(1.0), t(2.0)),
        message(lib, t([[1.0, 2.0], [3.0, 4.0]]), t([[1.0, 2.0], [3.0, 5.0]]), rtol=0, atol=0),
        message(lib, t([True]), t([False])), message(lib, t([1 + 1j]), t([1 + 2j])),
        message(lib, t([]), t([])), message(lib, a, a.double()),
        message(lib, a, a.double(), check_dtype=False), message(lib, a, t([1.0, 2.0])),
        message(lib, a.double(), a.double() + 1e-6), message(lib, a.half(), a.half() + 0.002),
        message(lib, a, t([1.0, 2.0, 3.5]), rtol=0.2, atol=0.0),
    ]  # fmt: skip


@program
def assert_close_of_special_numbers(lib):
    nan, inf = lib.tensor([1.0, float("nan")]), lib.tensor([float("inf")])
    return [
        message(lib, nan, nan), message(lib, nan, nan, equal_nan=True), message(lib, inf, inf),
        message(lib, inf, -inf, rtol=0, atol=0),
    ]  # fmt: skip


@program
def assert_close_of_numbers_and_structures(lib):
    t = lib.tensor
    return [
        message(lib, 1.0, 2.0), message(lib, 1.0, 1.0 + 1e-9), message(lib, 1, 2),
        message(lib, 1, 1.0), message(lib, True, True), message(lib, None, None),
        message(lib, [t([1.0]), t([2.0])], [t([1.0]), t([3.0])]),
        message(lib, {"a": t([1.0])}, {"b": t([1.0])}), message(lib, [1], [1, 2]),
        message(lib, {"a": [t([1.0])]}, {"a": [t([2.0])]}), message(lib, "a", "a").split(":")[0],
        message(lib, t([1.0]), 1.0).split(":")[0], message(lib, t([1.0]), t([2.0]), rtol=1.0),
        message(lib, t([1.0]), t([2.0]), msg="mine"),
        message(lib, t([1.0]), t([2.0]), msg=lambda m: "before " + m),
    ]  # fmt: skip
