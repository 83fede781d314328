"""What decides the digits that a worker computes, so that workers that would give others can be refused.

A sweep's cells are computed by the same instructions everywhere only if all workers compile the same program for the
same instruction set. The number of cores is no part of it: a block of cells is computed by one thread. It is one for
trainings, whose sums are shared out to threads.
"""

import hashlib
import os
import platform
import socket
import sys
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from phasejax._core.devices import cores
from phasejax._core.provenance import computed_on

# Flags that say how many devices there are or what is written for debugging change no number.
_NO_PART = ("--xla_force_host_platform_device_count", "--xla_dump")
# Instruction sets on which the order of sums and the rounding of products depend.
_INSTRUCTIONS = ("avx", "fma", "amx", "sse4", "sve", "sme", "asimd", "neon")
# What must be alike where the results are collected, too: the program is traced there, and the results belong to it.
OF_PROGRAM = ("phasejax", "jax", "jaxlib", "python", "platform", "XLA_FLAGS")
_LINEAR_ALGEBRA = 12  # side of the matrices of the reference block


@lru_cache(1)
def worker_profile() -> dict[str, str]:
    """Versions, flags, kind of device and of processor of this process, and the bits of a small reference block.

    >>> sorted(worker_profile())
    ['XLA_FLAGS', 'bits', 'device', 'jax', 'jaxlib', 'phasejax', 'platform', 'processor', 'python']
    """
    return program_profile() | {"device": jax.local_devices()[0].device_kind, "processor": _processor(),
                                "bits": _reference_bits()}


def profile_with_cores() -> dict[str, str]:
    """`worker_profile`, and the cores on which the digits of trainings depend."""
    return worker_profile() | {"cores": str(cores())}


def program_profile() -> dict[str, str]:
    """The part of `worker_profile` that must be alike in the process that asks for the work."""
    here = computed_on()
    flags = sorted(flag for flag in here.get("XLA_FLAGS", "").split() if not flag.startswith(_NO_PART))
    return {"phasejax": here["phasejax"], "jax": here["jax"], "jaxlib": version("jaxlib"),
            "python": ".".join(map(str, sys.version_info[:2])), "platform": here["platform"],
            "XLA_FLAGS": " ".join(flags) or "none"}


def worker_name() -> str:
    """Host and process, as messages name a worker."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def difference(one: dict[str, str], other: dict[str, str]) -> str:
    """What differs between two profiles in words, the first one's first; empty if nothing does.

    >>> difference({"jax": "0.10.2", "bits": "ab"}, {"jax": "0.12.0", "bits": "ab"})
    'jax 0.10.2 and 0.12.0'
    """
    found = []
    for name in one:
        mine, its = one[name], other.get(name, "none")
        if mine != its:
            if name == "processor":  # what both can do is long and beside the point
                mine, its = (" ".join(sorted({*a.split()} - {*b.split()})) or "no others"
                             for a, b in ((mine, its), (its, mine)))
                found.append(f"instructions of the processor {mine} and {its}")
            else:
                found.append(f"{name} {mine} and {its}")
    return ", ".join(found)


def _processor() -> str:
    """Kind of processor and the instruction sets that matter here."""
    kind = {platform.machine() or "unknown"}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return " ".join({*kind, platform.processor() or "unknown"})
    flags = next((line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))),
                 [])
    return " ".join(sorted(kind | {flag for flag in flags if flag.startswith(_INSTRUCTIONS)}))


@partial(jax.jit, static_argnums=0)
def _reference_block(size, shift):
    """Sums, products, functions and eigenvectors of fixed numbers, which round differently on unlike workers."""
    rows = jnp.arange(1.0, 64 * size + 1) + shift
    values = jnp.sin(rows).reshape(64, size)
    gram = values.T @ values / 64
    spectrum, vectors = jnp.linalg.eigh(gram)
    return jnp.concatenate([jnp.exp(values).sum(0), jnp.log(rows[:size]), spectrum, (vectors @ gram).ravel(),
                            jnp.linalg.inv(gram + jnp.eye(size)).ravel(), jnp.sqrt(rows).sum()[None]])


def _reference_bits() -> str:
    digest = hashlib.sha256()
    for double in (False, True):
        with jax.enable_x64(double):
            # The shift is an argument, so that nothing is computed while the program is compiled.
            digest.update(np.asarray(_reference_block(_LINEAR_ALGEBRA, 0.25)).tobytes())
    return digest.hexdigest()[:16]
