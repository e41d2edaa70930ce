"""Compiles kernel sources to native functions, through memory and the disk cache.

A kernel is a function of Numba's language, `def kernel(table, lo, hi)`: `table` points to int64
words (buffer addresses, extents, strides), and the call works on the range [lo, hi) of its outer
extent.
"""

import hashlib
import importlib.util
import os
import re
import threading
import time

import llvmlite

from numbagrad import config
from numbagrad.errors import CompileError
from numbagrad.locks import free_in_child
from numbagrad.runtime import cache as _cache, loader, vectorize
from numbagrad.runtime.vectorize import Hint

SIGNATURES = ("kernel", "unary", "binary")
"""Entry signatures: `kernel` is void(int64*, int64, int64), `unary` int64(int64), `binary`
int64(int64, int64)."""

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

lock = free_in_child(threading.RLock())
"""Held while a kernel or a library is compiled or loaded, and across a fork: a child would find
LLVM's and Numba's own locks taken for ever."""

_addresses: dict[tuple[str, str, str, Hint], int] = {}
_by_key: dict[str, int] = {}
_module_digests: dict[str, bytes] = {}
_environment: bytes | None = None
_disk: tuple[str, _cache.DiskCache | None] | None = None


def compile_source(
    source: str, entry: str = "kernel", *, signature: str = "kernel", hint: Hint | None = None
) -> int:
    """Return the address of the native function `entry` of a Numba source text.

    The function is looked up in this process, then in the disk cache, and compiled only if it is
    in neither; Numba is imported only for a source that `translate` does not take. The address is
    valid until the process ends.

    Args:
        source: text of a Python module that defines `entry`; it may import numbagrad.kernels,
            numba, numpy and math.
        entry: name of the function.
        signature: one of `SIGNATURES`.
        hint: vector width and interleaving of its loops, by default a measured choice.

    Raises:
        CompileError: the source cannot be compiled; the message names its file.
    """
    hint = vectorize.DEFAULT if hint is None else hint
    memo = (source, entry, signature, hint)
    address = _addresses.get(memo)
    if address is None:
        with lock:
            address = _addresses.get(memo)
            if address is None:
                address = _addresses[memo] = _find_or_compile(source, entry, signature, hint)
    return address


def find_source(
    source: str, entry: str = "kernel", *, signature: str = "kernel", hint: Hint | None = None
) -> int | None:
    """Return what `compile_source` would, or None if it would have to compile.

    Raises:
        CompileError: a cached kernel cannot be loaded.
    """
    hint = vectorize.DEFAULT if hint is None else hint
    memo = (source, entry, signature, hint)
    address = _addresses.get(memo)
    if address is None:
        with lock:
            key = kernel_key(source, entry, signature, hint)
            address = _by_key.get(key)
            disk = disk_cache()
            if address is None and disk is not None:
                data = disk.get(key)
                if data is not None:
                    address = _by_key[key] = loader.load_object(f"ng_{key}", data)
            if address is not None:
                _addresses[memo] = address
    return address


def kernel_key(source: str, entry: str, signature: str, hint: Hint) -> str:
    """Return the content key: everything that the machine code of a kernel depends on."""
    digest = hashlib.sha256(_fingerprint())
    for part in (source, entry, signature, repr(tuple(hint))):
        digest.update(part.encode() + b"\0")
    for name in _imported_modules(source, "numbagrad.kernel"):
        digest.update(name.encode() + b"\0" + _module_digests[name])
    return digest.hexdigest()[:40]


def _find_or_compile(source: str, entry: str, signature: str, hint: Hint) -> int:
    if signature not in SIGNATURES:
        raise CompileError(f"signature must be one of {SIGNATURES}, got {signature!r}")
    key = kernel_key(source, entry, signature, hint)
    address = _by_key.get(key)
    if address is not None:
        return address
    # Names are unique to the content: two kernels can never bind to each other's body.
    symbol = f"ng_{key}"
    disk = disk_cache()
    data = disk.get(key) if disk is not None else None
    if data is None:
        from numbagrad.runtime import lower

        path = disk.source_path(key) if disk is not None else f"<numbagrad kernel {key}>"
        start = time.perf_counter()
        data = lower.compile_object(source, entry, signature, symbol, path, hint)
        if config.debug():
            config.report(f"compiled {path} in {(time.perf_counter() - start) * 1e3:.0f} ms")
        if disk is not None:
            disk.put(key, data, source)
    address = _by_key[key] = loader.load_object(symbol, data)
    return address


def disk_cache() -> _cache.DiskCache | None:
    """Return the open cache directory, or None if kernels stay in memory."""
    global _disk
    path = config.cache_dir()
    if _disk is None or _disk[0] != path:
        _disk = (path, _cache.default_cache())
    return _disk[1]


_COMPILER = (
    "translate.py",
    "arithmetic.py",
    "numba_front.py",
    "lower.py",
    "vectorize.py",
    "loader.py",
)


def _fingerprint() -> bytes:
    """Digest of the compiler, the machine and this package's own lowering."""
    global _environment
    if _environment is None:
        digest = hashlib.sha256("\0".join((llvmlite.__version__, *loader.host())).encode())
        numba = importlib.util.find_spec("numba")  # finds the package, does not import it
        if numba is not None and numba.origin is not None:
            digest.update(_read(os.path.join(os.path.dirname(numba.origin), "_version.py")))
        for name in _COMPILER:
            digest.update(_read(os.path.join(_PACKAGE, "runtime", name)))
        _environment = digest.digest()
    return _environment


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>[.\w]+)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n]*)"
    r"|import[ \t]+(?P<plain>[^\n]+))",
    re.MULTILINE,
)


def _imported_modules(source: str, importer: str) -> list[str]:
    """Names of the numbagrad modules that a text imports, directly or not, sorted.

    Their digests are in `_module_digests` afterwards. A textual search finds too much at worst
    (an import in a string); it never executes anything.
    """
    found: set[str] = set()
    pending = _import_statements(source, importer)
    while pending:
        name = pending.pop()
        path = _module_path(name)
        if name in found or path is None:
            continue
        found.add(name)
        text = _read(path)
        _module_digests.setdefault(name, hashlib.sha256(text).digest())
        inside = name + ".__init__" if path.endswith("__init__.py") else name
        pending += _import_statements(text.decode(), inside)
    return sorted(found)


def _import_statements(text: str, importer: str) -> list[str]:
    names: list[str] = []
    for match in _IMPORT.finditer(text):
        if match["plain"] is not None:
            names += [part.split()[0] for part in match["plain"].split(",") if part.strip()]
            continue
        base = match["base"]
        level = len(base) - len(base.lstrip("."))
        if level:
            parent = importer.split(".")[:-level]
            base = ".".join([*parent, base[level:]] if base[level:] else parent)
        names.append(base)
        for part in re.sub(r"#[^\n]*|[()]", " ", match["names"]).split(","):
            if part.strip():
                names.append(f"{base}.{part.split()[0]}")
    return [name for name in names if name.split(".")[0] == "numbagrad"]


def _module_path(name: str) -> str | None:
    path = os.path.join(_PACKAGE, *name.split(".")[1:])
    for candidate in (path + ".py", os.path.join(path, "__init__.py")):
        if os.path.isfile(candidate):
            return candidate
    return None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
