"""The kernel cache on disk: private, bounded, and right after any damage."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time

import pytest

from numbagrad.errors import CacheError
from numbagrad.runtime import cache, compiler
from numbagrad.runtime.cache import DiskCache

KEY = "0123456789abcdef"
OTHER = "fedcba9876543210"


@pytest.fixture
def store(tmp_path):
    return DiskCache(str(tmp_path / "cache"), 1 << 20)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


COMPILE = """
import ctypes, sys
import numpy as np
from numbagrad.runtime import compiler
address = compiler.compile_source('''
def kernel(table, lo, hi):
    for i in range(lo, hi):
        table[i] = table[i] * 3
''')
words = np.arange(8)
ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)(
    words.ctypes.data, 2, 6)
assert words.tolist() == [0, 1, 6, 9, 12, 15, 6, 7], words
print("numbagrad.runtime.lower" in sys.modules)
"""


def test_entry_round_trip(store):
    assert store.get(KEY) is None
    store.put(KEY, b"object code", "def kernel(): pass\n")
    assert store.get(KEY) == b"object code"
    with open(store.source_path(KEY)) as file:
        assert file.read() == "def kernel(): pass\n"
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o700
    assert not [name for name in os.listdir(store.path) if name.startswith(".tmp")]


@pytest.mark.parametrize("size", [0, 1, 8, 39, 40, 45, -1])
def test_truncated_entry_is_absent(store, size):
    store.put(KEY, b"object code", "")
    name = os.path.join(store.path, KEY + ".o")
    with open(name, "r+b") as file:
        file.truncate(os.path.getsize(name) + size if size < 0 else size)
    assert store.get(KEY) is None
    store.put(KEY, b"object code", "")
    assert store.get(KEY) == b"object code"


def test_every_flipped_bit_is_found(store):
    store.put(KEY, b"object code", "")
    name = os.path.join(store.path, KEY + ".o")
    with open(name, "rb") as file:
        good = file.read()
    for position in range(8 * len(good)):
        bad = bytearray(good)
        bad[position // 8] ^= 1 << position % 8
        with open(name, "wb") as file:
            file.write(bad)
        assert store.get(KEY) is None


def test_entry_under_another_key_is_refused(store):
    store.put(KEY, b"object code", "")
    os.rename(os.path.join(store.path, KEY + ".o"), os.path.join(store.path, OTHER + ".o"))
    assert store.get(OTHER) is None


def _pipe(path, tmp_path):
    os.mkfifo(path)


def _link(path, tmp_path):
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)


def _endless(path, tmp_path):
    os.symlink("/dev/zero", path)


def _directory(path, tmp_path):
    os.mkdir(path)


@pytest.mark.parametrize("plant", [_pipe, _link, _endless, _directory])
def test_what_is_not_a_file_is_no_entry(store, tmp_path, plant):
    store.put(KEY, b"object code", "")
    path = os.path.join(store.path, KEY + ".o")
    if plant is not _link:
        os.remove(path)
    plant(path, tmp_path)
    assert store.get(KEY) is None


def test_entry_that_others_could_have_written_is_refused(store):
    store.put(KEY, b"object code", "")
    path = os.path.join(store.path, KEY + ".o")
    os.chmod(path, 0o620)
    assert store.get(KEY) is None
    os.chmod(path, 0o600)
    assert store.get(KEY) == b"object code"
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
        assert store.get(KEY) is None


def test_without_a_home_directory_kernels_stay_in_memory(monkeypatch):
    monkeypatch.setenv("NUMBAGRAD_CACHE_DIR", "~nobody-of-that-name/cache")
    with pytest.warns(RuntimeWarning, match="no such home directory; set NUMBAGRAD_CACHE_DIR"):
        assert cache.default_cache() is None


def test_damaged_entry_is_compiled_again(tmp_path):
    directory = str(tmp_path)
    os.chmod(directory, 0o700)
    first = run_python(COMPILE, NUMBAGRAD_CACHE_DIR=directory)
    assert first.stdout == "True\n", first.stderr
    assert run_python(COMPILE, NUMBAGRAD_CACHE_DIR=directory).stdout == "False\n"
    (name,) = [n for n in os.listdir(directory) if n.endswith(".o")]
    with open(os.path.join(directory, name), "r+b") as file:
        file.seek(300)
        file.write(b"garbage")
    again = run_python(COMPILE, NUMBAGRAD_CACHE_DIR=directory)
    assert again.stdout == "True\n", again.stderr
    assert run_python(COMPILE, NUMBAGRAD_CACHE_DIR=directory).stdout == "False\n"


def test_eight_processes_compile_the_same_kernel_at_once(tmp_path):
    os.chmod(tmp_path, 0o700)
    environment = {
        **os.environ,
        "PYTHONPATH": os.getcwd(),
        "NUMBAGRAD_CACHE_DIR": str(tmp_path),
    }
    jobs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", COMPILE],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for job in jobs:
        out, err = job.communicate(timeout=120)
        assert job.returncode == 0 and out in ("True\n", "False\n"), err
    assert len(os.listdir(tmp_path)) == 2
    assert run_python(COMPILE, NUMBAGRAD_CACHE_DIR=str(tmp_path)).stdout == "False\n"


def test_killed_writer_leaves_no_wrong_entry(tmp_path):
    directory = str(tmp_path / "cache")
    # One long entry is written over and over; the writer dies at any point of it.
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom numbagrad.runtime.cache import DiskCache\n"
            f"store = DiskCache({directory!r}, 1 << 30)\nprint('go', flush=True)\n"
            f"while True: store.put({KEY!r}, b'x' * 4000000, 'source')\n",
        ],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(0.1)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    store = DiskCache(directory, 1 << 30)
    assert store.get(KEY) in (None, b"x" * 4000000)
    for name in os.listdir(directory):  # its leftovers go once they are old
        os.utime(os.path.join(directory, name), (1, 1))
    store.put(OTHER, b"y", "")
    assert not [name for name in os.listdir(directory) if name.startswith(".tmp")]
    assert store.get(OTHER) == b"y"


@pytest.mark.parametrize("code", ["ENOSPC", "EROFS", "EACCES"])
def test_full_or_read_only_disk_warns_once(store, monkeypatch, code):
    import errno

    real = os.open

    def refuse(path, flags, *args):
        if not isinstance(flags, str) and not flags & os.O_CREAT:
            return real(path, flags, *args)
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    store.put(OTHER, b"stored before", "")
    monkeypatch.setattr(cache.os, "open" if code != "ENOSPC" else "replace", refuse)
    with pytest.warns(RuntimeWarning, match="stay in memory") as caught:
        store.put(KEY, b"object code", "")
        store.put(KEY, b"object code", "")
    assert len(caught) == 1
    assert store.get(KEY) is None
    assert store.get(OTHER) == b"stored before"
    assert not [name for name in os.listdir(store.path) if name.startswith(".tmp")]


def test_full_disk_still_compiles(tmp_path, monkeypatch):
    import errno

    def refuse(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("NUMBAGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache.os, "replace", refuse)
    source = "def kernel(table, lo, hi):\n    table[0] = 77\n"
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert compiler.compile_source(source)
    assert compiler.compile_source(source)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702])
def test_directory_that_others_can_write_is_refused(tmp_path, mode):
    directory = tmp_path / "cache"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(CacheError, match=r"others can write .*chmod 700"):
        DiskCache(str(directory), 1)


def test_refused_directory_means_memory_only(tmp_path, monkeypatch):
    directory = tmp_path / "cache"
    directory.mkdir()
    directory.chmod(0o777)
    monkeypatch.setenv("NUMBAGRAD_CACHE_DIR", str(directory))
    with pytest.warns(RuntimeWarning, match="others can write"):
        assert compiler.compile_source("def kernel(table, lo, hi):\n    table[0] = 78\n")
    assert os.listdir(directory) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX owners")
def test_directory_of_another_user_is_refused(tmp_path, monkeypatch):
    owner = os.stat(tmp_path).st_uid
    if owner == 0:
        os.chown(tmp_path, 12345, -1)
        owner = 12345
    monkeypatch.setattr(cache.os, "geteuid", lambda: owner + 1)
    with pytest.raises(CacheError, match="another user"):
        DiskCache(str(tmp_path), 1)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(CacheError, match="cannot use"):
        DiskCache(str(tmp_path / "cache"), 1)


def test_least_recently_used_goes_first(tmp_path):
    store = DiskCache(str(tmp_path / "cache"), 3500)
    for age, key in ((40, "a"), (30, "b"), (20, "c")):
        store.put(key, bytes(1000), "")
        name = os.path.join(store.path, key + ".o")
        moment = time.time() - age
        for path in (name, store.source_path(key)):
            os.utime(path, (moment, moment))
    assert store.get("a") is not None  # the oldest, but now the one used last
    store.put("d", bytes(1000), "")
    kept = [key for key in "abcd" if store.get(key) is not None]
    assert kept == ["a", "c", "d"]
    assert not os.path.exists(store.source_path("b"))


def test_an_entry_larger_than_the_cache_is_kept_until_the_next(tmp_path):
    store = DiskCache(str(tmp_path / "cache"), 100)
    store.put("a", bytes(1000), "")
    assert store.get("a") is not None
    store.put("b", bytes(1000), "")
    assert store.get("a") is None and store.get("b") is not None
