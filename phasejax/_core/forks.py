"""Refusal to compute where JAX would wait for ever: in a process forked after JAX had started its threads.

A forked process has the memory of its parent and none of its threads. Where JAX was imported but had not computed
anything yet, it starts threads of its own, and all is well.
"""

import os
import sys

_started_before_fork = False


def check_not_forked() -> None:
    """Refuse to go on where JAX was in use when this process was forked.

    Raises:
        RuntimeError: naming what to do instead.
    """
    if _started_before_fork:
        raise RuntimeError('process: expected one in which JAX can run, got a fork of one in which it had run already; '
                           'start workers with multiprocessing.get_context("spawn"), "forkserver" or joblib\'s loky')


def _note_started() -> None:
    """In the parent, since a lock that another thread holds at the fork would stay locked in the child."""
    global _started_before_fork
    bridge = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)
    _about_to_fork[:] = [_started_before_fork or (started is not None and started())]


def _note_forked() -> None:
    global _started_before_fork
    _started_before_fork = _about_to_fork[0]


_about_to_fork = [False]
if hasattr(os, "register_at_fork"):  # absent on Windows, which does not fork
    os.register_at_fork(before=_note_started, after_in_child=_note_forked)
