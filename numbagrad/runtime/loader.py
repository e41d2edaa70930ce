"""Loads object code into the process with llvmlite alone; Numba is never imported here."""

import threading

import llvmlite.binding as llvm

from numbagrad.errors import CompileError

_lock = threading.Lock()
_libraries: list[llvm.ResourceTracker] = []  # code stays mapped for the life of the process
_jit: llvm.LLJIT | None = None


def host() -> tuple[str, str, str]:
    """Return (target triple, CPU name, CPU features) of this machine."""
    return (
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )


def target_machine() -> llvm.TargetMachine:
    """Return a new code generator for the host CPU; the caller owns it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple, cpu, features = host()
    # The linker places a kernel's code and constants next to each other, so that the small
    # code model (constants addressed relative to the instruction) is safe.
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small"
    )


def load_object(symbol: str, data: bytes) -> int:
    """Map the object code `data` and return the address of its function `symbol`.

    The code is never unmapped: native threads and compiled programs keep bare addresses.

    Raises:
        CompileError: the object refers to a symbol that the process does not have.
    """
    global _jit
    with _lock:
        if _jit is None:
            _jit = llvm.create_lljit_compiler(
                target_machine(), use_jit_link=True, suppress_errors=True
            )
            _keep_forever(_jit)
        builder = llvm.JITLibraryBuilder()
        builder.add_object_img(data).add_current_process().export_symbol(symbol)
        try:
            library = builder.link(_jit, f"{symbol}.{len(_libraries)}")
        except RuntimeError as error:
            raise CompileError(f"cannot load the compiled kernel {symbol}: {error}") from error
        _keep_forever(library)
        _libraries.append(library)
        return library[symbol]


def _keep_forever(owner: object) -> None:
    # llvmlite unmaps code when Python collects the owner, also at interpreter exit, while worker
    # threads may still be inside it.
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
