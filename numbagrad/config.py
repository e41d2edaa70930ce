"""Settings from environment variables, read at the call so that a change takes effect."""

import os
import sys


def cache_dir() -> str:
    """Directory of compiled kernels: NUMBAGRAD_CACHE_DIR, else `numbagrad` in the XDG cache.

    It still begins with "~" if nobody knows that home directory.
    """
    chosen = os.environ.get("NUMBAGRAD_CACHE_DIR")
    if chosen:
        path = os.path.expanduser(chosen)
        return path if path.startswith("~") else os.path.abspath(path)
    base = os.environ.get("XDG_CACHE_HOME")
    if not base or not os.path.isabs(base):  # the XDG specification ignores relative paths
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "numbagrad")


def cache_size() -> int:
    """Upper bound of the kernel cache in bytes: NUMBAGRAD_CACHE_SIZE, default 512 MiB."""
    return _integer("NUMBAGRAD_CACHE_SIZE", 512 * 1024 * 1024, minimum=0)


def num_threads() -> int | None:
    """Number of threads the user asked for by NUMBAGRAD_NUM_THREADS, or None."""
    if "NUMBAGRAD_NUM_THREADS" not in os.environ:
        return None
    return _integer("NUMBAGRAD_NUM_THREADS", 1, minimum=1)


def debug() -> int:
    """How much NUMBAGRAD_DEBUG wants to be told on standard error: 0 nothing, 3 everything."""
    return _integer("NUMBAGRAD_DEBUG", 0, minimum=0)


def report(text: str) -> None:
    """Tell those who set NUMBAGRAD_DEBUG."""
    print(f"numbagrad: {text}", file=sys.stderr)


def _integer(name: str, default: int, *, minimum: int) -> int:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = minimum - 1
    if value < minimum:
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {text!r}")
    return value
