"""Small decompositions on one thread of the linear algebra library.

A decomposition of a few hundred columns is thousands of short steps. Threads that wait for each other after each step
save little on an idle machine, and on a busy one take many times as long as a single thread.
"""

import contextlib
import threading
from collections.abc import Iterator
from functools import cache

from threadpoolctl import ThreadpoolController

# Columns up to which a decomposition is small.
_SMALL = 1000
_lock, _inside, _entered = threading.Lock(), 0, contextlib.ExitStack()


@contextlib.contextmanager
def one_thread(columns: int) -> Iterator[None]:
    """Inside, the library works on one thread if there are few columns.

    The setting is that of the whole process: the first to come in makes it, and the last to leave takes it back.

    Args:
        columns: of the larger of the matrices that will be decomposed.
    """
    global _inside
    if columns > _SMALL:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _entered.enter_context(_controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _entered.close()


@cache
def _controller():
    """Made once, since it looks through all libraries of the process."""
    return ThreadpoolController()
