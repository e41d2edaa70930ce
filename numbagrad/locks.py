"""Locks that a forked child finds free."""

from __future__ import annotations

import os
from typing import Any, Protocol, TypeVar


class _Lock(Protocol):
    def acquire(self) -> Any: ...
    def release(self) -> Any: ...


Lock = TypeVar("Lock", bound=_Lock)


def free_in_child(lock: Lock) -> Lock:
    """Make a fork wait until no other thread holds `lock`: none would release it in the child.

    A fork takes the locks in the reverse of the order in which they were given here, so one under
    which others are taken is to be given after those.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
