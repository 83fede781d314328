"""Small problems on one thread of the linear algebra library each, and several of them side by side.

A decomposition of a few hundred columns is thousands of short steps. Threads that wait for each other after each step
save little on an idle machine, and on a busy one take many times as long as a single thread.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from threadpoolctl import ThreadpoolController

# Columns up to which a problem is small.
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


@contextlib.contextmanager
def side_by_side(columns: int, tasks: int) -> Iterator[Callable]:
    """A `map` for small problems: as many at once as the library has threads, each on one, with results in order.

    Args:
        columns: of the larger of the matrices; if there are many, it is Python's own `map`.
        tasks: how many problems there will be.
    """
    threads = max((library["num_threads"] for library in _controller().info() if library["user_api"] == "blas"),
                  default=1)
    if columns > _SMALL or min(threads, tasks) < 2:
        yield map
        return
    with one_thread(columns), ThreadPoolExecutor(min(threads, tasks)) as pool:
        yield pool.map


@cache
def _controller():
    """Made once, since it looks through all libraries of the process."""
    return ThreadpoolController()
