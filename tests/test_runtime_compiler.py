"""Compiling kernels: keys, errors, what the object code may need, and the warm start."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from numbagrad.errors import CompileError
from numbagrad.runtime import compiler, loader, lower, vectorize
from numbagrad.runtime.vectorize import Hint

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

ADD = """
def kernel(table, lo, hi):
    for i in range(lo, hi):
        table[i] = table[i] + {}
"""


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBAGRAD_CACHE_DIR", str(tmp_path / "cache"))


def call(source: str, words: np.ndarray, lo: int, hi: int, **options) -> np.ndarray:
    KERNEL(compiler.compile_source(source, **options))(words.ctypes.data, lo, hi)
    return words


def test_kernel_works_on_its_range():
    assert call(ADD.format(5), np.zeros(6, np.int64), 1, 4).tolist() == [0, 5, 5, 5, 0, 0]


def test_same_source_is_compiled_once():
    first = compiler.compile_source(ADD.format(6))
    assert compiler.compile_source(ADD.format(6)) == first
    assert compiler.compile_source(ADD.format(7)) != first


def test_same_key_with_another_text_of_the_same_name_keeps_its_body():
    words = np.zeros(1, np.int64)
    for value in range(10, 14):
        call(ADD.format(value), words, 0, 1)
    assert words[0] == sum(range(10, 14))


@pytest.mark.parametrize(
    ("signature", "arguments", "body"),
    [("unary", (5,), "def kernel(a):\n    return a * 3\n"),
     ("binary", (5, 10), "def kernel(a, b):\n    return a + b\n")],
)  # fmt: skip
def test_other_signatures(signature, arguments, body):
    address = compiler.compile_source(body, signature=signature)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))
    assert prototype(address)(*arguments) == 15


def test_key_depends_on_everything(monkeypatch):
    base = ("def kernel(t, l, h):\n    pass\n", "kernel", "kernel", Hint())
    keys = {compiler.kernel_key(*base)}
    keys.add(compiler.kernel_key(base[0] + "\n", *base[1:]))
    keys.add(compiler.kernel_key(base[0], "other", *base[2:]))
    keys.add(compiler.kernel_key(*base[:2], "unary", base[3]))
    keys.add(compiler.kernel_key(*base[:3], Hint(interleave=2)))
    monkeypatch.setattr(compiler, "_environment", None)
    monkeypatch.setattr(loader, "host", lambda: ("triple", "another-cpu", "+feature"))
    keys.add(compiler.kernel_key(*base))
    monkeypatch.setattr(compiler, "_environment", None)
    assert len(keys) == 6


def test_key_follows_imports(tmp_path, monkeypatch):
    package = tmp_path / "numbagrad"
    (package / "kernels").mkdir(parents=True)
    (package / "kernels" / "outer.py").write_text("from .inner import f\n")
    (package / "kernels" / "inner.py").write_text("f = 1\n")
    (package / "kernels" / "unused.py").write_text("")
    monkeypatch.setattr(compiler, "_PACKAGE", str(package))
    for statement in (
        "from numbagrad.kernels.outer import f",
        "from numbagrad.kernels import outer",
        "import numbagrad.kernels.outer as o, math",
        "from numbagrad.kernels import (\n    outer,  # why\n)",
    ):
        found = compiler._imported_modules(statement + "\n", "numbagrad.kernel")
        assert found == ["numbagrad.kernels.inner", "numbagrad.kernels.outer"]


def test_key_changes_with_an_imported_file(tmp_path, monkeypatch):
    package = tmp_path / "numbagrad"
    (package / "kernels").mkdir(parents=True)
    monkeypatch.setattr(compiler, "_PACKAGE", str(package))
    monkeypatch.setattr(compiler, "_environment", b"same")
    arguments = ("from numbagrad.kernels.outer import f\n", "kernel", "kernel", Hint())
    keys = set()
    for text in ("f = 1\n", "f = 2\n"):
        (package / "kernels" / "outer.py").write_text(text)
        monkeypatch.setattr(compiler, "_module_digests", {})
        keys.add(compiler.kernel_key(*arguments))
    assert len(keys) == 2


BAD = {
    "unknown name": ("def kernel(table, lo, hi):\n    table[0] = nonsense(lo)\n", "nonsense"),
    "wrong syntax": ("def kernel(table, lo, hi)\n", "line 1"),
    "no entry": ("def other():\n    pass\n", "does not define"),
    "raise": ("def kernel(t, lo, hi):\n    if lo:\n        raise ValueError('x')\n", "line 3"),
    "assert": ("def kernel(t, lo, hi):\n    assert lo\n", "cannot raise"),
    "import": ("import os\n\ndef kernel(t, lo, hi):\n    pass\n", "'os'"),
    "runs wrong": ("x = 1 / 0\n", "ZeroDivisionError"),
    "array": (
        "import numpy as np\ndef kernel(t, lo, hi):\n    t[0] = np.arange(9)[lo]\n",
        "line 3",
    ),
    "print": ("def kernel(t, lo, hi):\n    print(lo)\n", "Python or Numba"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_errors_are_compile_errors_with_the_path(name):
    source, text = BAD[name]
    with pytest.raises(CompileError) as caught:
        compiler.compile_source(source)
    message = str(caught.value)
    assert text in message and "cannot compile the kernel" in message
    assert caught.value.__cause__ is None, "Numba's traceback is for NUMBAGRAD_DEBUG only"
    assert "nopython" not in message


def test_debug_keeps_the_cause(monkeypatch):
    monkeypatch.setenv("NUMBAGRAD_DEBUG", "1")
    with pytest.raises(CompileError) as caught:
        compiler.compile_source("def kernel(table, lo, hi):\n    table[0] = missing\n")
    assert caught.value.__cause__ is not None


def test_unknown_signature():
    with pytest.raises(CompileError, match="signature must be one of"):
        compiler.compile_source("def kernel(): pass\n", signature="ternary")


def test_loading_an_object_without_the_symbol():
    data = lower.compile_object(ADD.format(1), "kernel", "kernel", "ng_one", "<one>", Hint())
    with pytest.raises(CompileError, match="cannot load"):
        loader.load_object("ng_two", data)


def test_warm_process_loads_no_compiler(tmp_path):
    code = (
        "import sys, time\n"
        "from numbagrad.runtime import compiler, executor\n"
        f"address = compiler.compile_source({ADD.format(9)!r})\n"
        "import numpy as np\n"
        "x = np.zeros(100000)\n"
        "program = executor.Program([(address, 0, 4, 1)], [1] * 4, [], 1)\n"
        "program.run((x,))\n"  # parallel where there are two CPUs
        "print('numbagrad.runtime.lower' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "NUMBAGRAD_NUM_THREADS": "2"}
    answers = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        for _ in range(2)
    ]
    assert [answer.stdout for answer in answers] == ["True\n", "False\n"], answers


VECTOR = """
import math
from numba.core import types
from numba.extending import intrinsic

@intrinsic
def floats(typingctx, address):
    kind = types.CPointer(types.float32)
    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(kind))
    return kind(types.int64), generate

def kernel(table, lo, hi):
    x = floats(table[0] + 4 * lo)
    y = floats(table[1] + 4 * lo)
    for i in range(hi - lo):
        y[i] = math.sqrt(x[i]) * x[i] + x[i]
"""


@pytest.mark.parametrize("hint", [Hint(), Hint(256), Hint(512, 4), Hint(0, 8, True)])
def test_hint_does_not_change_bits(hint):
    x = np.random.default_rng(0).random(1003, dtype=np.float32)
    y = np.zeros_like(x)
    words = np.array([x.ctypes.data, y.ctypes.data])
    call(VECTOR, words, 1, 1003, hint=hint)
    assert np.array_equal(y[1:], np.sqrt(x[1:]) * x[1:] + x[1:]) and y[0] == 0


def test_hint_is_in_the_vectorised_loop():
    text = """
define void @f(ptr %p, i64 %n) {
entry:
  br label %outer
outer:
  %i = phi i64 [ 0, %entry ], [ %i1, %latch ]
  br label %inner
inner:
  %j = phi i64 [ 0, %outer ], [ %j1, %inner ]
  %v = load i64, ptr %p
  %j1 = add i64 %j, 1
  %c = icmp slt i64 %j1, %n
  br i1 %c, label %inner, label %latch
latch:
  %i1 = add i64 %i, 1
  %d = icmp slt i64 %i1, %n
  br i1 %d, label %outer, label %exit
exit:
  ret void
}
"""
    marked = vectorize.annotate(text, Hint(0, 4, True)).splitlines()
    assert [line for line in marked if "!llvm.loop !" in line] == [
        "  br i1 %c, label %inner, label %latch, !llvm.loop !0"
    ]
    assert "  %v = load i64, ptr %p, !llvm.access.group !1" in marked
    import llvmlite.binding as llvm

    llvm.parse_assembly("\n".join(marked)).verify()


def test_compile_time_of_a_small_kernel():
    compiler.compile_source(ADD.format(20))
    lower.timings.clear()
    compiler.compile_source(ADD.format(21))
    assert set(lower.timings) == {"translate", "optimise", "emit"}
    assert sum(lower.timings.values()) < 0.5  # about 0.03 on an idle machine
