"""Values and gradients where functions are not smooth, at NaN, infinities, zeros, nothing at all.

Programs for both libraries (see `programs`), one for each row of the tables below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import outcome, program

inf, nan = float("inf"), float("nan")


def at(*rows: Any, dtype: str = "float64", second: bool = False) -> Callable[..., Any]:
    """A program that evaluates a function at these arguments, with gradients of the sum."""

    def make(fn: Callable[..., Any]) -> Callable[[Any], Any]:
        def run(lib: Any) -> Any:
            xs = [lib.tensor(r, dtype=getattr(lib, dtype)) for r in rows]
            for x in xs:
                if dtype.startswith(("float", "complex")):
                    x.requires_grad_()
            return outcome(lambda: values_and_gradients(lib, fn, xs, second))

        return run

    return make


def values_and_gradients(lib: Any, fn: Callable[..., Any], xs: list[Any], second: bool) -> Any:
    found = fn(lib, *xs)
    outs = list(found) if isinstance(found, list | tuple) else [found]
    total = summed(lib, outs)
    values = [o.detach() for o in outs]
    if total is None or not total.requires_grad:
        return values
    grads = lib.autograd.grad(total, xs, allow_unused=True, create_graph=second)
    if second:
        total = summed(lib, [g for g in grads if g is not None])
        again = ()
        if total is not None and total.requires_grad:
            again = lib.autograd.grad(total, xs, allow_unused=True)
        grads = [*(None if g is None else g.detach() for g in grads), *map(no_zeros, again)]
    return values, grads


def no_zeros(g: Any) -> Any:
    """None for a gradient of zeros: a derivative of nothing may be either."""
    return None if g is None or not g.abs().sum() > 0 else g


def summed(lib: Any, outs: list[Any]) -> Any:
    parts = [o.real + o.imag if o.is_complex() else o for o in outs if o.requires_grad]
    return sum((p.sum() for p in parts), start=lib.zeros(())) if parts else None


LINE = [-inf, -2.0, -1.0, -0.0, 0.0, 1.0, 2.0, inf, nan]
TIES = [1.0, 3.0, 3.0, 0.0, 3.0, 0.0]
GRID = [[2.0, 2.0, 1.0], [0.0, 2.0, 0.0]]
NAN_ROW = [[1.0, nan, 3.0], [3.0, 3.0, 1.0]]
INFS = [[-inf, -inf, -inf], [-inf, 0.0, 1.0], [inf, 0.0, -inf]]
Z = [0j, 1 + 0j, -1 + 0j, 1j, -2 - 1j]


def functional(name: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda lib, *xs: getattr(lib.nn.functional, name)(*xs, *args, **kwargs)


def of(name: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda lib, *xs: getattr(lib, name)(*xs, *args, **kwargs)


#: name: (arguments, function)
KINKS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "abs": (at(LINE), of("abs")),
    "sign": (at(LINE), of("sign")),
    "relu": (at(LINE), of("relu")),
    "relu6": (at([*LINE, 6.0, 7.0]), functional("relu6")),
    "hardtanh": (at(LINE), functional("hardtanh")),
    "hardswish": (at([*LINE, 3.0, -3.0]), functional("hardswish")),
    "hardsigmoid": (at([*LINE, 3.0, -3.0]), functional("hardsigmoid")),
    "hardshrink": (at([*LINE, 0.5, -0.5]), functional("hardshrink")),
    "softshrink": (at([*LINE, 0.5, -0.5]), functional("softshrink")),
    "leaky_relu": (at(LINE), functional("leaky_relu")),
    "elu": (at(LINE), functional("elu")),
    "celu": (at(LINE), functional("celu", 0.5)),
    "selu": (at(LINE), functional("selu")),
    "threshold": (at(LINE), functional("threshold", 1.0, -5.0)),
    "softplus": (at([*LINE, 30.0, -800.0]), functional("softplus")),
    "logsigmoid": (at([*LINE, 800.0, -800.0]), functional("logsigmoid")),
    "gelu": (at(LINE), functional("gelu")),
    "silu": (at(LINE), functional("silu")),
    "mish": (at([-1.0, 0.0, 1.0, 200.0]), functional("mish")),
    "tanhshrink": (at(LINE), functional("tanhshrink")),
    "prelu": (at([-1.0, 0.0, 2.0], [0.25]), functional("prelu")),
    "clamp": (at(LINE), of("clamp", -1.0, 1.0)),
    "clamp_crossed": (at(LINE), of("clamp", 1.0, -1.0)),
    "clamp_min": (at(LINE), of("clamp_min", 0.0)),
    "clamp_max": (at(LINE), of("clamp_max", 0.0)),
    "clamp_tensors": (at([1.0, 2.0, 3.0, nan], [1.0, 2.0, 0.0, 0.0], [1.0, 5.0, 3.0, 1.0]),
                      of("clamp")),
    "maximum": (at([1.0, 2.0, nan, 0.0, inf], [1.0, 1.0, 1.0, -0.0, inf]), of("maximum")),
    "minimum": (at([1.0, 2.0, nan, 0.0, inf], [1.0, 1.0, 1.0, -0.0, inf]), of("minimum")),
    "fmax": (at([1.0, 2.0, nan, nan], [1.0, nan, 1.0, nan]), of("fmax")),
    "fmin": (at([1.0, 2.0, nan, nan], [1.0, nan, 1.0, nan]), of("fmin")),
    "max": (at(TIES), of("max")),
    "min": (at(TIES), of("min")),
    "max_dim": (at(GRID), of("max", 1)),
    "min_dim": (at(GRID), of("min", 0)),
    "max_nan": (at(NAN_ROW), of("max")),
    "max_dim_nan": (at(NAN_ROW), of("max", 1)),
    "amax": (at(GRID), of("amax", 1)),
    "amin": (at(GRID), of("amin", (0, 1))),
    "aminmax": (at(TIES), of("aminmax")),
    "argmax_nan": (at(NAN_ROW), of("argmax", 1)),
    "argmin_ties": (at(TIES), of("argmin")),
    "median": (at([3.0, 1.0, 2.0, 4.0]), of("median")),
    "median_dim": (at([[3.0, 1.0, 2.0], [1.0, 5.0, 4.0]]), of("median", 1)),
    "median_nan": (at(NAN_ROW), of("median", 1)),
    "nanmedian": (at(NAN_ROW), of("nanmedian", 1)),
    "kthvalue": (at([3.0, 1.0, 2.0]), of("kthvalue", 2)),
    "sort_nan": (at([2.0, nan, 1.0, -inf]), of("sort")),
    "topk": (at([2.0, 5.0, 1.0, 4.0]), of("topk", 2)),
    "cummax": (at([1.0, 3.0, 2.0, 3.0, nan, 4.0]), of("cummax", 0)),
    "cummin": (at([3.0, 1.0, 2.0, 1.0, nan, 0.0]), of("cummin", 0)),
    "floor": (at([-1.5, 0.0, 1.0, 2.5]), of("floor")),
    "round": (at([-1.5, 0.5, 1.5, 2.5]), of("round")),
    "frac": (at([-1.5, 0.0, 1.0, 2.5]), of("frac")),
    "fmod": (at([-3.0, 4.0, 5.5, 0.0], [2.0, 2.0, -2.0, 1.0]), of("fmod")),
    "remainder": (at([-3.0, 4.0, 5.5, 0.0], [2.0, 2.0, -2.0, 1.0]), of("remainder")),
    "div_floor": (at([-3.0, 4.0], [2.0, 3.0]), of("div", rounding_mode="floor")),
    "heaviside": (at([-1.0, 0.0, 2.0], dtype="int64"),
                  lambda lib, x: lib.heaviside(x.double(), lib.tensor(0.5).double())),
    "copysign": (at([1.0, -2.0, 0.0, 3.0], [-0.0, 1.0, -1.0, 0.0]), of("copysign")),
    "l1_loss": (at([1.0, 2.0, 3.0], [1.0, 1.0, 4.0]), functional("l1_loss")),
    "smooth_l1_loss": (at([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]), functional("smooth_l1_loss")),
    "huber_loss": (at([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]), functional("huber_loss")),
    "max_pool": (at([[1.0, 1.0, 0.0, 0.0]]), functional("max_pool1d", 2)),
    "where_nan_branch": (at([-1.0, 0.0, 4.0]),
                         lambda lib, x: lib.where(x > 0, x.sqrt(), x * 0)),
    "where_safe_branch": (at([-1.0, 0.0, 4.0]), lambda lib, x: lib.where(
        x > 0, lib.where(x > 0, x, lib.ones_like(x)).sqrt(), lib.zeros_like(x))),
    "nan_to_num": (at(LINE), of("nan_to_num")),
}  # fmt: skip

SINGULAR: dict[str, tuple[Any, Callable[..., Any]]] = {
    "sqrt": (at([0.0, 1.0, -1.0, inf]), of("sqrt")),
    "rsqrt": (at([0.0, 1.0, -1.0, inf]), of("rsqrt")),
    "reciprocal": (at([0.0, -0.0, inf]), of("reciprocal")),
    "log": (at([0.0, -1.0, inf, nan]), of("log")),
    "log1p": (at([-1.0, 0.0, -2.0]), of("log1p")),
    "acos": (at([1.0, -1.0, 2.0]), of("acos")),
    "atanh": (at([1.0, -1.0, 0.0]), of("atanh")),
    "acosh": (at([1.0, 0.0, 2.0]), of("acosh")),
    "erfinv": (at([1.0, -1.0, 0.0, 2.0]), of("erfinv")),
    "lgamma": (at([0.0, 1.0, -0.5, inf]), of("lgamma")),
    "digamma": (at([0.0, 1.0, -0.5]), of("digamma")),
    "logit": (at([0.0, 1.0, 0.5]), of("logit")),
    "atan2": (at([0.0, 0.0, 1.0, -0.0], [0.0, -1.0, 0.0, -1.0]), of("atan2")),
    "hypot": (at([0.0, 3.0, inf], [0.0, 4.0, nan]), of("hypot")),
    "xlogy": (at([0.0, 0.0, 1.0, 0.0], [0.0, nan, 0.0, 2.0]), of("xlogy")),
    "sinc": (at([0.0, 1.0, 0.5]), of("sinc")),
    "pow_0": (at([0.0, 2.0, nan]), of("pow", 0)),
    "pow_1": (at([0.0, 2.0]), of("pow", 1)),
    "pow_2": (at([0.0, 2.0], second=True), of("pow", 2)),
    "pow_half": (at([0.0, 4.0]), of("pow", 0.5)),
    "pow_minus_1": (at([0.0, 4.0]), of("pow", -1)),
    "pow_tensors": (at([0.0, 0.0, 0.0, 2.0, -1.0], [0.0, 1.0, 2.0, 0.0, 2.0]), of("pow")),
    "pow_of_number": (at([0.0, 1.0, 2.0]), lambda lib, x: lib.pow(0.0, x)),
    "norm_1": (at([0.0, 0.0]), of("norm", 1)),
    "norm_2": (at([0.0, 0.0]), of("norm")),
    "norm_3": (at([0.0, 0.0, 1.0]), of("norm", 3)),
    "norm_inf": (at([0.0, 2.0, -2.0]), of("norm", inf)),
    "norm_rows": (at([[0.0, 0.0], [3.0, 4.0]]), of("norm", 2, 1)),
    "norm_overflow": (at([1e200, 1e200]), of("norm")),
    "dist": (at([1.0, 2.0], [1.0, 2.0]), of("dist")),
    "cdist": (at([[1.0, 2.0], [0.0, 0.0]], [[1.0, 2.0]]), of("cdist")),
    "cdist_1": (at([[1.0, 2.0], [0.0, 0.0]], [[1.0, 2.0]]), of("cdist", 1.0)),
    "normalize": (at([[0.0, 0.0], [3.0, 4.0]]), functional("normalize")),
    "cosine_similarity": (at([[0.0, 0.0], [3.0, 4.0]], [[1.0, 0.0], [1.0, 0.0]]),
                          functional("cosine_similarity")),
    "pairwise_distance": (at([[1.0, 0.0]], [[1.0, 0.0]]), functional("pairwise_distance")),
    "prod_no_zero": (at([2.0, 3.0, 4.0], second=True), of("prod")),
    "prod_one_zero": (at([2.0, 0.0, 4.0], second=True), of("prod")),
    "prod_two_zeros": (at([0.0, 0.0, 4.0], second=True), of("prod")),
    "prod_dim": (at([[2.0, 0.0], [0.0, 0.0], [1.0, 3.0]]), of("prod", 1)),
    "cumprod_no_zero": (at([2.0, 3.0, 4.0]), of("cumprod", 0)),
    "cumprod_one_zero": (at([2.0, 0.0, 4.0, 5.0]), of("cumprod", 0)),
    "cumprod_two_zeros": (at([2.0, 0.0, 4.0, 0.0, 5.0]), of("cumprod", 0)),
    "logsumexp": (at(INFS), of("logsumexp", 1)),
    "softmax": (at(INFS), of("softmax", 1)),
    "log_softmax": (at(INFS), of("log_softmax", 1)),
    "logaddexp": (at([-inf, inf, -inf, 0.0], [-inf, inf, 1.0, 0.0]), of("logaddexp")),
    "logcumsumexp": (at([-inf, -inf, 1.0, inf]), of("logcumsumexp", 0)),
    "std_of_one": (at([2.0]), of("std")),
    "var_of_one": (at([[2.0]]), of("var", 1)),
    "var_of_one_biased": (at([2.0]), of("var", correction=0)),
    "std_of_equals": (at([2.0, 2.0, 2.0]), of("std")),
    "layer_norm_of_equals": (at([[2.0, 2.0]]), functional("layer_norm", (2,))),
    "bce": (at([0.0, 1.0, 0.5], [0.0, 0.0, 1.0]),
            lambda lib, x, t: lib.nn.functional.binary_cross_entropy(x, t.detach())),
    "bce_with_logits": (at([-800.0, 800.0, 0.0], [1.0, 0.0, 0.5]),
                        functional("binary_cross_entropy_with_logits")),
    "kl_div": (at([0.0, -1.0, -inf], [0.0, 0.5, 0.0]), functional("kl_div", reduction="sum")),
    "cross_entropy_all_ignored": (at([[1.0, 2.0]]), lambda lib, x: lib.nn.functional.cross_entropy(
        x, lib.tensor([-100]))),
    "cross_entropy_inf": (at([[inf, 0.0], [-inf, 0.0]]),
                          lambda lib, x: lib.nn.functional.cross_entropy(
                              x, lib.tensor([0, 1]), reduction="none")),
    "mean_of_nothing": (at([]), of("mean")),
    "quantile": (at([1.0, 2.0, 2.0, 4.0]), lambda lib, x: lib.quantile(x, 0.5)),
    "logdet_of_singular": (at([[1.0, 2.0], [2.0, 4.0]]),
                           lambda lib, x: lib.logdet(x).detach()),
    "inverse_of_singular": (at([[1.0, 2.0], [2.0, 4.0]]), of("inverse")),
    "svdvals_of_equals": (at([[2.0, 0.0], [0.0, 2.0]]), lambda lib, x: lib.linalg.svdvals(x)),
}  # fmt: skip

COMPLEX: dict[str, tuple[Any, Callable[..., Any]]] = {
    name: (at(Z, dtype="complex128"), fn)
    for name, fn in {
        "abs": of("abs"), "angle": of("angle"), "sgn": of("sgn"), "conj": of("conj"),
        "real": lambda lib, z: z.real, "imag": lambda lib, z: z.imag,
        "square": of("square"), "exp": of("exp"), "tanh": of("tanh"), "sinc": of("sinc"),
        "abs_squared": lambda lib, z: (z * z.conj()).real,
        "prod": of("prod"), "cumprod": of("cumprod", 0), "norm": lambda lib, z: z.norm(),
        "norm_1": lambda lib, z: lib.linalg.vector_norm(z, 1), "mean": of("mean"),
        "var": of("var"), "pow_2": of("pow", 2), "pow_0": of("pow", 0),
        "view_as_real": of("view_as_real"), "to_real": lambda lib, z: lib.view_as_real(z)[:, 0],
        "isfinite": of("isfinite"), "lt": of("lt", 0), "max": of("max"),
    }.items()
}  # fmt: skip
COMPLEX |= {
    "mul_by_real": (at([1.0, -2.0]), lambda lib, x: x * lib.tensor([1 + 2j, 3j])),
    "polar": (at([1.0, 3.0], [0.5, 2.0]), of("polar")),
    "complex": (at([1.0, 0.0], [0.5, 2.0]), of("complex")),
    "backward_of_complex": (at([1 + 1j], dtype="complex128"),
                            lambda lib, z: (z * 2).sum().backward()),
    "backward_of_complex_with_gradient": (at([1 + 1j], dtype="complex128"), lambda lib, z: (
        (z * z).backward(lib.tensor([1j], dtype=lib.complex128)), z.grad)[1]),
}  # fmt: skip

INTEGERS: dict[str, tuple[Any, Callable[..., Any]]] = {
    f"{dtype}_{name}": (at(values, dtype=dtype), fn)
    for dtype, values in (("int64", [0, 1, -2, 3]), ("uint8", [0, 1, 254, 3]),
                          ("bool", [True, False, True, True]), ("int8", [0, 1, -128, 127]))
    for name, fn in {
        "sum": of("sum"), "prod": of("prod"), "mean": of("mean"), "cumsum": of("cumsum", 0),
        "max": of("max"), "argmax": of("argmax"), "any": of("any"), "sqrt": of("sqrt"),
        "abs": of("abs"), "neg": of("neg"), "sign": of("sign"), "add_itself": lambda lib, x: x + x,
        "sub_itself": lambda lib, x: x - x, "mul_itself": lambda lib, x: x * x,
        "div_itself": lambda lib, x: x / x, "pow_2": lambda lib, x: x**2,
        "pow_minus_1": lambda lib, x: x**-1, "plus_float": lambda lib, x: x + 0.5,
        "and": lambda lib, x: x & 1, "invert": lambda lib, x: ~x, "clamp": of("clamp", 1, 2),
        "std": of("std"), "requires_grad": lambda lib, x: x.requires_grad_(),
        "median": of("median"), "sort": lambda lib, x: x.sort()[0],
    }.items()
}  # fmt: skip

EMPTY: dict[str, tuple[Any, Callable[..., Any]]] = {
    name: (at([[], []]), fn)
    for name, fn in {
        "sum": of("sum"), "sum_dim": of("sum", 1), "prod": of("prod"), "mean_dim": of("mean", 0),
        "max": of("max"), "max_dim": of("max", 0), "amax": of("amax"), "amax_dim_0": of("amax", 0),
        "argmax": of("argmax"), "std": of("std"), "var_dim": of("var", 0), "norm": of("norm"),
        "logsumexp": of("logsumexp", 1), "softmax": of("softmax", 1), "median": of("median"),
        "cumsum": of("cumsum", 1), "sort": of("sort"), "matmul": lambda lib, x: x @ x.T,
        "inner": lambda lib, x: x.T @ x, "cat": lambda lib, x: lib.cat([x, x], 1),
        "stack": lambda lib, x: lib.stack([x, x]), "any": of("any"), "all": of("all"),
        "mse_loss": lambda lib, x: lib.nn.functional.mse_loss(x, x.detach()),
        "linear": lambda lib, x: lib.nn.functional.linear(x.T, lib.ones(3, 2).double()),
        "unbind": lambda lib, x: x.unbind(0), "split": lambda lib, x: x.split(1, 1),
        "topk": of("topk", 0), "index": lambda lib, x: x[:, lib.tensor([], dtype=lib.int64)],
        "mask": lambda lib, x: x[x > 0], "backward": lambda lib, x: (x.sum().backward(), x.grad)[1],
    }.items()
}  # fmt: skip

D, S, H, C, I = "float64", "float32", "float16", "complex64", "int64"


def promoted(fn: Callable[..., Any], *kinds: tuple[str, Any]) -> Callable[[Any], Any]:
    """Gradients for arguments of several dtypes: each must have the dtype of its argument."""

    def run(lib: Any) -> Any:
        xs = [lib.tensor(v, dtype=getattr(lib, d)) for d, v in kinds]
        wanted = [x.requires_grad_() for x in xs if x.is_floating_point() or x.is_complex()]

        def both() -> Any:
            out = fn(lib, *xs)
            total = (out.real + out.imag).sum() if out.is_complex() else out.sum()
            return out, lib.autograd.grad(total, wanted)

        return outcome(both)

    return run


PROMOTION: dict[str, Callable[[Any], Any]] = {
    "mul_single_double": promoted(lambda lib, x, y: x * y, (S, [1.5, 2.0]), (D, [3.0, 4.0])),
    "mul_half_single": promoted(lambda lib, x, y: x * y, (H, [1.5, 2.0]), (S, [3.0, 4.0])),
    "mul_real_complex": promoted(lambda lib, x, y: x * y, (S, [1.5, 2.0]), (C, [1j, 2 + 1j])),
    "div_int_single": promoted(lambda lib, x, y: x / y, (I, [1, 2]), (S, [3.0, 4.0])),
    "add_zero_dim_double": promoted(lambda lib, x, y: x + y, (S, [1.0, 2.0]), (D, 3.0)),
    "mul_zero_dim_complex": promoted(lambda lib, x, y: x * y, (D, [1.0, 2.0]), (C, 1 + 1j)),
    "where": promoted(lambda lib, x, y: lib.where(x > 1, x, y), (S, [1.0, 2.0]), (D, [3.0, 4.0])),
    "maximum": promoted(lambda lib, x, y: lib.maximum(x, y), (S, [1.0, 5.0]), (D, [3.0, 4.0])),
    "cat": promoted(lambda lib, x, y: lib.cat([x, y]), (S, [1.0]), (D, [3.0])),
    "stack": promoted(lambda lib, x, y: lib.stack([x, y]), (H, [1.0]), (S, [3.0])),
    "pow": promoted(lambda lib, x, y: x**y, (S, [1.0, 2.0]), (D, [3.0, 4.0])),
    "matmul": promoted(lambda lib, x, y: x @ y, (S, [1.0, 2.0]), (D, [3.0, 4.0])),
    "linear": promoted(lambda lib, x, y: lib.nn.functional.linear(x, y),
                       (S, [[1.0, 2.0]]), (D, [[3.0, 4.0]])),
    "mse_loss": promoted(lambda lib, x, y: lib.nn.functional.mse_loss(x, y),
                         (S, [1.0, 2.0]), (D, [3.0, 4.0])),
    "lerp": promoted(lambda lib, x, y: lib.lerp(x, y, 0.5), (S, [1.0]), (D, [3.0])),
    "addcmul": promoted(lambda lib, x, y: lib.addcmul(x, x, y), (S, [1.0]), (D, [3.0])),
    "atan2": promoted(lambda lib, x, y: lib.atan2(x, y), (H, [1.0]), (S, [3.0])),
    "sum_to_double": promoted(lambda lib, x: x.sum(dtype=lib.float64), (S, [1.0, 2.0])),
    "softmax_to_double": promoted(lambda lib, x: x.softmax(0, dtype=lib.float64), (S, [1.0, 2.0])),
    "cumsum_to_double": promoted(lambda lib, x: x.cumsum(0, dtype=lib.float64), (H, [1.0, 2.0])),
    "to_half_and_back": promoted(lambda lib, x: x.half().double() * 2, (D, [1.0, 2.0])),
    "bool_mask": promoted(lambda lib, x, m: x * m, (S, [1.0, 2.0]), ("bool", [True, False])),
    "index_put": promoted(lambda lib, x: lib.zeros(3).index_put((lib.tensor([0, 2]),), x),
                          (S, [1.0, 2.0])),
    "scatter_add": promoted(lambda lib, x: lib.zeros(2).scatter_add(0, lib.tensor([0, 0]), x),
                            (S, [1.0, 2.0])),
}  # fmt: skip


def _register() -> None:
    tables = {"kink": KINKS, "singular": SINGULAR, "complex": COMPLEX, "integer": INTEGERS,
              "empty": EMPTY}  # fmt: skip
    rows = {f"{t}_{n}": make(fn) for t, table in tables.items() for n, (make, fn) in table.items()}
    rows |= {f"promotion_{n}": run for n, run in PROMOTION.items()}
    for name, run in rows.items():
        run.__name__, run.__module__ = f"edge_{name}", __name__
        program(run)


_register()
