"""Content-addressed store of compiled kernels on disk.

An entry is `<key>.o` (header, digest, object code) and `<key>.py`, the kernel's source for people
to read; nothing ever executes or parses the `.py`. Entries appear by rename, so a reader sees a
whole entry or none, and the digest is checked before any byte is used.
"""

import hashlib
import os
import secrets
import stat
import time
import warnings

from numbagrad import config
from numbagrad.errors import CacheError

_MAGIC = b"NGRAD001"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
_TEMPORARY = ".tmp-"
_TEMPORARY_LIFETIME = 3600.0  # seconds after which a writer is taken for dead


class DiskCache:
    """Compiled objects of one private directory, least recently used first out.

    Args:
        path: directory, created with mode 0700 when it is missing.
        size: bytes the entries may take together.

    Raises:
        CacheError: the directory cannot be found or created, belongs to another user, or others can
            write to it (they could plant machine code there).
    """

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self._writable = True
        if path.startswith("~"):
            raise CacheError(
                f"cannot use the kernel cache directory {path}: there is no such home directory; "
                "set NUMBAGRAD_CACHE_DIR to a directory of yours"
            )
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            info = os.stat(path)
        except OSError as error:
            raise CacheError(
                f"cannot use the kernel cache directory {path}: {error.strerror}; "
                "set NUMBAGRAD_CACHE_DIR to a directory of yours"
            ) from error
        _check_private(path, info)

    def get(self, key: str) -> bytes | None:
        """Return the object code stored under `key`, or None if it is absent or damaged."""
        name = os.path.join(self.path, key + ".o")
        try:
            data = _read_private(name)
        except OSError:
            return None
        payload = data[_HEADER:]
        if data[:_HEADER] != _MAGIC + _digest(key, payload):
            return None  # the caller compiles again and `put` replaces the damaged entry
        if self._writable:
            try:
                os.utime(name)
            except OSError:  # evicted meanwhile, or not ours to touch: order of eviction only
                self._writable = os.access(self.path, os.W_OK)
        return payload

    def put(self, key: str, payload: bytes, source: str) -> None:
        """Store object code and its readable source; a disk that refuses is warned of once."""
        if not self._writable:
            return
        try:
            self._write(key + ".py", source.encode())
            self._write(key + ".o", _MAGIC + _digest(key, payload) + payload)
        except OSError as error:
            self._writable = False
            warnings.warn(
                f"kernels are not kept in {self.path}: {error.strerror}; they stay in memory and "
                "the next process compiles them again",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        self._evict(key)

    def source_path(self, key: str) -> str:
        """Path of the readable source of an entry (for messages)."""
        return os.path.join(self.path, key + ".py")

    def _write(self, name: str, data: bytes) -> None:
        temporary = os.path.join(self.path, f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(temporary, flags, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, os.path.join(self.path, name))
        except BaseException:
            _remove(temporary)
            raise

    def _evict(self, newest: str) -> None:
        """Remove leftovers of killed writers, then the oldest entries beyond the size cap."""
        entries: dict[str, list[float]] = {}  # key: [last use, bytes]
        now = time.time()
        try:
            with os.scandir(self.path) as files:
                for file in files:
                    info = file.stat(follow_symlinks=False)
                    if file.name.startswith(_TEMPORARY):
                        if now - info.st_mtime > _TEMPORARY_LIFETIME:
                            _remove(file.path)
                        continue
                    key, extension = os.path.splitext(file.name)
                    if extension not in (".o", ".py"):
                        continue  # not ours
                    entry = entries.setdefault(key, [0.0, 0.0])
                    entry[0] = max(entry[0], info.st_mtime)
                    entry[1] += info.st_size
        except OSError:
            return  # another process removes at the same time; the next `put` looks again
        total = sum(size for _, size in entries.values())
        for key, (_, size) in sorted(entries.items(), key=lambda item: item[1][0]):
            if total <= self.size:
                break
            if key == newest:
                continue
            _remove(os.path.join(self.path, key + ".o"))
            _remove(os.path.join(self.path, key + ".py"))
            total -= size


def default_cache() -> DiskCache | None:
    """Open the configured cache; None, after a warning, if the directory is not usable."""
    try:
        return DiskCache(config.cache_dir(), config.cache_size())
    except CacheError as error:
        warnings.warn(f"{error}. Kernels stay in memory", RuntimeWarning, stacklevel=2)
        return None


def _check_private(path: str, info: os.stat_result) -> None:
    if not stat.S_ISDIR(info.st_mode):
        raise CacheError(f"the kernel cache {path} is not a directory")
    if not hasattr(os, "geteuid"):
        return  # Windows: the profile directory is private by its access list
    if info.st_uid not in (os.geteuid(), 0):
        raise CacheError(
            f"the kernel cache directory {path} belongs to another user (uid {info.st_uid}); "
            "set NUMBAGRAD_CACHE_DIR to a directory of yours"
        )
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(
            f"others can write to the kernel cache directory {path} "
            f"(mode {stat.S_IMODE(info.st_mode):04o}) and could plant machine code in it; run "
            f"`chmod 700 {path}` after checking what is in it, or set NUMBAGRAD_CACHE_DIR"
        )


def _read_private(path: str) -> bytes:
    """The bytes of a regular file that no other user can have written.

    The directory was checked when it was opened; another one may have taken its place since, where
    others can write to a directory above it.

    Raises:
        OSError: there is none: nothing, a link, a pipe, a file of somebody else.
    """
    # Opening a pipe or a device must not wait for its other end.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or not _is_private(info):
            raise PermissionError(f"{path} is not a file that only this user can write")
        return file.read()


def _is_private(info: os.stat_result) -> bool:
    if not hasattr(os, "geteuid"):
        return True  # Windows: the profile directory is private by its access list
    mine = info.st_uid in (os.geteuid(), 0)
    return mine and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _digest(key: str, payload: bytes) -> bytes:
    # The key is part of the digest: an entry renamed to another kernel's key is refused.
    return hashlib.sha256(key.encode() + b"\0" + payload).digest()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # another process was first, or the disk is read-only: nothing is lost
        return
