"""The kernel language means the same to our own front end as to Numba, bit for bit."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from numbagrad.runtime import compiler, loader, lower, numba_front, vectorize
from numbagrad.runtime.arithmetic import Unsupported
from numbagrad.runtime.translate import translate

GOLDEN = Path(__file__).parent / "golden"
KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
BINARY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
HINT = vectorize.Hint(bits=512, interleave=4, independent=True)


def both(source: str, signature: str) -> tuple[int, int]:
    """Addresses of a function as our own front end and as Numba compile it."""
    machine = loader.target_machine()
    addresses = []
    for k, front in enumerate(("ours", "numba")):
        symbol = f"ng_{abs(hash((source, signature)))}_{k}"
        if front == "ours":
            text = translate(source, "kernel", signature, symbol, HINT.bits)
            module = llvm.parse_assembly(text)
        else:
            module = numba_front.lower(source, "kernel", signature, symbol, "<test>", HINT.bits)
        module = lower._optimise(module, machine, HINT)
        lower._check_symbols(module, "<test>")
        addresses.append(loader.load_object(symbol, machine.emit_object(module)))
    return addresses[0], addresses[1]


def golden_sources() -> list[str]:
    found = set()
    for path in sorted(GOLDEN.glob("*.txt")):
        for text in path.read_text().split("import numpy as np\n")[1:]:
            found.add("import numpy as np\n" + text.rstrip() + "\n")
    return sorted(found)


def test_generated_kernels_are_translated():
    """None of the kernels in the golden files needs Numba, and Numba takes them all."""
    sources = golden_sources()
    assert len(sources) > 10
    for source in sources:
        translate(source, "kernel", "kernel", "ng", 0)
        numba_front.lower(source, "kernel", "kernel", "ng", "<test>", 0)


FUNCTIONS = ["exp", "log", "tanh", "sin", "sigmoid", "erf", "pow", "atan2", "lgamma", "round"]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_vecmath_gives_the_same_bits(name, bits):
    two = name in ("pow", "atan2")
    source = f"""
import numpy as np
from numbagrad.kernels.memory import at_float{bits}
from numbagrad.kernels.vecmath import {name}_f{bits}

def kernel(table, lo, hi):
    x = at_float{bits}(table[0] + lo * {bits // 8})
    y = at_float{bits}(table[1] + lo * {bits // 8})
    for i in range(hi - lo):
        y[i] = {name}_f{bits}(x[i]{", x[i]" if two else ""}) + np.float{bits}(0.5)
"""
    dtype = np.dtype(f"f{bits // 8}")
    x = np.random.default_rng(0).normal(0, 10, 1001).astype(dtype)
    x[:6] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40]
    results = []
    for address in both(source, "kernel"):
        y = np.zeros_like(x)
        table = np.array([x.ctypes.data, y.ctypes.data])
        KERNEL(address)(table.ctypes.data, 0, x.size)
        results.append(y.tobytes())
    assert results[0] == results[1]


SCALAR = {
    "arithmetic": "    return (a + b) * (a - b) // (b + 7) % 5 + (a & b | 3 ^ a) - (a << 2 >> 1)\n",
    "division": "    return a // b * 1000 + a % b\n",
    "unary": "    return -a + ~b + abs(a) + bool(b) + int(a)\n",
    "comparisons": "    return (a < b) + 2 * (a == b) + 4 * (a != b) + 8 * (a >= 1)\n",
    "not": "    return (not a) + 2 * (not b < a)\n",
    "known now": "    c = (1 < 2) & (False != False) | (3 == b)\n"
                 "    return c + 2 * ~bool(a) + (a > 0)\n",
    "min and max": "    return min(a, b) * 100 + max(a, 3)\n",
    "conditional": "    return a if a > b else b * 2\n",
    "and, or": "    if a > 0 and b // a > 0 or a == -3:\n        return 1\n    return 0\n",
    "while": "    n = 0\n    while a > 0:\n        a -= 3\n        n += 1\n        if n > 5:\n"
             "            break\n        if a == 2:\n            continue\n        n += 10\n"
             "    return n\n",
    "for": "    s = 0\n    for i in range(a):\n        s += i * b\n    for j in range(a, b, 3):\n"
           "        s = s * 2 + j\n    return s\n",
    "tuples": "    x, y = b, a\n    x, y = y, x + 1\n    return x * 10 + y\n",
    "floats": "    x = np.float64(a) / np.float64(3.0)\n    y = np.float32(x)\n"
              "    return np.int64(x * 7.5) + (np.float64(y) != x) + np.int64(-y)\n",
    "small integers": "    c = np.int8(a * 100)\n    d = np.uint8(b * 100)\n"
                      "    return c * 1000 + d + np.int16(a * 20000)\n",
    "not a number": "    x = np.float64(np.nan) if a else np.float64(np.inf)\n"
                    "    return (x != x) + 2 * (x < 1.0) + 4 * (x > 1.0) + 8 * bool(x)\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_code_means_what_numba_says(name):
    source = f"import numpy as np\n\ndef kernel(a, b):\n{SCALAR[name]}"
    ours, numba = map(BINARY, both(source, "binary"))
    values = [-9, -3, -1, 0, 1, 2, 5, 11]
    for a in values:
        for b in values:
            assert ours(a, b) == numba(a, b), (a, b)


def test_functions_call_functions():
    source = """
def gcd(x, y):
    while y != 0:
        x, y = y, x % y
    return x

def early(x):
    for i in range(10):
        if i == x:
            return i * 100
    return -1

def kernel(a, b):
    return gcd(a, b) + early(b)
"""
    ours, numba = map(BINARY, both(source, "binary"))
    for a, b in ((12, 18), (7, 0), (9, 3), (100, 11)):
        assert ours(a, b) == numba(a, b) > 0 or b in (0, 11)


BEYOND = {
    "a list": "    return [a][0]\n",
    "keyword": "    return max(a, b, key=None)\n",
    "several kinds": "    x = 1\n    x = 1.5\n    return 2\n",
    "mixed arithmetic": "    return a * 1.5\n",
    "unknown name": "    return nothing\n",
    "else behind a loop": "    for i in range(a):\n        pass\n    else:\n        b = 1\n",
    "negative step": "    s = 0\n    for i in range(a, 0, -1):\n        s += i\n    return s\n",
    "print": "    print(a)\n    return a\n",
}


@pytest.mark.parametrize("name", BEYOND)
def test_the_rest_is_left_to_numba(name):
    with pytest.raises(Unsupported):
        translate(f"def kernel(a, b):\n{BEYOND[name]}", "kernel", "binary", "ng", 0)


def test_numba_compiles_what_lies_beyond(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBAGRAD_CACHE_DIR", str(tmp_path))
    source = f"def kernel(a, b):\n{BEYOND['negative step']}"
    assert BINARY(compiler.compile_source(source, signature="binary"))(4, 0) == 10
