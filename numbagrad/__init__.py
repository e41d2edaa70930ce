"""Automatic differentiation for NumPy-backed tensors, with PyTorch's interface."""

import math as _math
from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING, Any

from . import (
    autograd,
    conversion,
    creation,
    inplace,
    inspection,
    lowrank,
    printing,
    random,
    sampling,
    typed,
)
from .devices import (
    device as device,
    get_default_device as get_default_device,
    set_default_device as set_default_device,
)
from .dtypes import (
    bool as bool,
    complex64 as complex64,
    complex128 as complex128,
    dtype as dtype,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    get_default_dtype as get_default_dtype,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    promote_types as promote_types,
    set_default_dtype as set_default_dtype,
    uint8 as uint8,
)
from .modes import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .ops import everything as _everything
from .ops.export import EXPORTS, publish_registry
from .random import Generator as Generator, default_generator as default_generator
from .tensor import Size as Size, Tensor as Tensor

__version__ = "0.1.0"

publish_registry()
globals().update(EXPORTS)

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128
pi, e, inf, nan = _math.pi, _math.e, _math.inf, _math.nan
newaxis = None
tensor = creation.tensor  # not the submodule of that name

if TYPE_CHECKING:  # for editors and type checkers: the names of _LAZY
    from . import (
        amp as amp,
        backends as backends,
        cpu as cpu,
        cuda as cuda,
        distributions as distributions,
        fft as fft,
        func as func,
        linalg as linalg,
        masked as masked,
        nn as nn,
        optim as optim,
        profiler as profiler,
        signal as signal,
        special as special,
        testing as testing,
        utils as utils,
    )
    from .amp import autocast as autocast, is_autocast_enabled as is_autocast_enabled
    from .autograd import is_anomaly_enabled as is_anomaly_enabled
    from .backends import (
        are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
        get_float32_matmul_precision as get_float32_matmul_precision,
        set_float32_matmul_precision as set_float32_matmul_precision,
        use_deterministic_algorithms as use_deterministic_algorithms,
    )
    from .compiled import compile as compile
    from .func import vmap as vmap
    from .numba_functions import numba_function as numba_function
    from .runtime.threads import (
        get_num_threads as get_num_threads,
        set_num_threads as set_num_threads,
    )
    from .serialization import load as load, save as save

# Loaded when first used: `import numbagrad` costs little more than `import numpy`.
_LAZY = {
    "cpu": "cpu",
    "amp": "amp",
    "autocast": "amp",
    "is_autocast_enabled": "amp",
    "is_anomaly_enabled": "autograd",
    "backends": "backends",
    "are_deterministic_algorithms_enabled": "backends",
    "use_deterministic_algorithms": "backends",
    "get_float32_matmul_precision": "backends",
    "set_float32_matmul_precision": "backends",
    "cuda": "cuda",
    "distributions": "distributions",
    "fft": "fft",
    "func": "func",
    "linalg": "linalg",
    "masked": "masked",
    "nn": "nn",
    "optim": "optim",
    "profiler": "profiler",
    "signal": "signal",
    "special": "special",
    "testing": "testing",
    "save": "serialization",
    "load": "serialization",
    "compile": "compiled",
    "utils": "utils",
    "vmap": "func",
    "numba_function": "numba_functions",
    "get_num_threads": "runtime.threads",
    "set_num_threads": "runtime.threads",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        loaded = _import_module(f"numbagrad.{_LAZY[name]}")
        value = loaded if _LAZY[name] == name else getattr(loaded, name)
    else:
        # `from numbagrad import config` asks here before it imports the submodule: not one for nn.
        if not name.startswith("_") and _find_spec(f"{__name__}.{name}") is None:
            _publish_nn()
        if name not in EXPORTS:
            raise AttributeError(f"module 'numbagrad' has no attribute {name!r}")
        value = EXPORTS[name]
    globals()[name] = value
    return value


def _publish_nn() -> None:
    """Load the functions of nn, some of which are the package's as well (``ng.layer_norm``)."""
    _import_module("numbagrad.nn.functional")


def __dir__() -> list[str]:
    _publish_nn()
    return sorted({*globals(), *_LAZY, *EXPORTS})
