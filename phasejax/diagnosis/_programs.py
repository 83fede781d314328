"""Compiled programs of moment matching, compiled side by side, once for each design, and kept.

A program works through its samples one after the other (`jax.lax.map`) and never on a batch of them: on the CPU a batch
of matrix factorisations can wait for ever (see `phasejax._core.linalg`). Compilation takes most of the time of a first
diagnosis. So there is one program for all white noise, whatever it is needed for, and none of a single operation;
and the longest compilation, that of the simulation, shares the cores with all others.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from phasejax._core.devices import cores
from phasejax._core.pytree import HostOrDevice
from phasejax.diagnosis._simulator import (
    PRIOR,
    Design,
    joint_covariance,
    log_ratios,
    observed_statistics,
    simulated_statistics,
)
from phasejax.simulation import bartlett_factor

# Samples in one call of a program: enough to outweigh the cost of a call, few enough to keep all cores busy.
SAMPLES_PER_CALL = 4
# Draws of the posterior whose separation ratios are computed in one call.
DRAWS_PER_CALL = 1000
# Samples that one random key can give.
_MOST_SAMPLES = 128


class WhiteNoise(NamedTuple):
    """Bartlett factors of several samples of white noise.

    Args:
        labelled: of (x, y, labels) over the rows with labels, shape (samples, s, s).
        others: of (x, y) over the rows without labels, shape (samples, d, d); None where there are none.
    """

    labelled: Float[HostOrDevice, "*m s s"]
    others: Float[HostOrDevice, "*m d d"] | None

    def sample(self, which: Int[HostOrDevice, "*c"]) -> "WhiteNoise":
        """The factors of one sample, or of several."""
        return jax.tree.map(lambda factors: factors[which], self)


@dataclass(frozen=True)
class Programs:
    """The programs of one design, as soon as each is compiled.

    Args:
        observed: joint covariance -> its statistics.
        noise: (seed, number of the data set or -1 for none, first sample, degrees of freedom of the labelled rows and
            of the others) -> `WhiteNoise` of `SAMPLES_PER_CALL` samples.
        simulated: (parameters of each simulation, `WhiteNoise` of all samples, which of them each simulation uses)
            -> statistics of `SAMPLES_PER_CALL` simulations.
        covariances: (parameters, `WhiteNoise`, share of the labelled rows) -> joint covariances of its samples.
        log_ratios: parameters of `DRAWS_PER_CALL` draws -> logarithms of the three separation ratios.
    """

    observed: Future[Callable]
    noise: Future[Callable]
    simulated: Future[Callable]
    covariances: Future[Callable]
    log_ratios: Future[Callable]


@lru_cache(16)
def compile_programs(design: Design, samples: int) -> Programs:
    """Begin to compile the programs of a design; returns at once.

    Args:
        design: dimensions and degrees of freedom.
        samples: of white noise that simulations choose from.
    """
    s, d, p = design.size, design.d_x + design.d_y, len(PRIOR)

    def noise(count) -> Any:
        return WhiteNoise(_numbers(count, s, s), _numbers(count, d, d) if design.n > design.labelled else None)

    def of_samples(us, noise, which):
        def one(simulation):
            u, sample = simulation
            white = noise.sample(sample)
            return simulated_statistics(u, white.labelled, white.others, design)

        return jax.lax.map(one, (us, which))

    def of_groups(u, noise, share):
        return jax.lax.map(lambda white: joint_covariance(u, white.labelled, white.others, share, design), noise)

    pool = ThreadPoolExecutor(cores())
    begin = partial(pool.submit, _compiled)
    programs = {  # the longest first
        "simulated": begin(of_samples, _numbers(SAMPLES_PER_CALL, p), noise(samples),
                           _numbers(SAMPLES_PER_CALL, kind=int)),
        "observed": begin(partial(observed_statistics, design=design), _numbers(s, s)),
        "noise": begin(partial(_white_noise, s=s, d=d, has_others=design.n > design.labelled),
                       *(_numbers(kind=int) for _ in range(5))),
        "covariances": begin(of_groups, _numbers(p), noise(SAMPLES_PER_CALL), _numbers()),
        "log_ratios": begin(jax.vmap(partial(log_ratios, design=design)), _numbers(DRAWS_PER_CALL, p))}
    pool.shutdown(wait=False)
    return Programs(**programs)


def _compiled(function, *shapes):
    with jax.enable_x64(True):  # a setting of each thread
        return jax.jit(function).lower(*shapes).compile()


def _numbers(*shape, kind=float) -> Any:
    return jax.ShapeDtypeStruct(shape, np.dtype(kind))


def _white_noise(seed: Int[Array, ""], number: Int[Array, ""], first: Int[Array, ""], labelled: Int[Array, ""],
                 others: Int[Array, ""], *, s: int, d: int, has_others: bool) -> WhiteNoise:
    key = jax.random.key(seed)
    key = jnp.where(number < 0, key, jax.random.fold_in(key, number))
    keys = jax.lax.dynamic_slice_in_dim(jax.random.split(key, _MOST_SAMPLES), first, SAMPLES_PER_CALL)

    def one(key):
        of_labelled, of_others = jax.random.split(key)
        return WhiteNoise(bartlett_factor(of_labelled, labelled, s),
                          bartlett_factor(of_others, others, d) if has_others else None)

    return jax.lax.map(one, keys)


def draw_white_noise(programs: Programs, design: Design, samples: int, seed: int, number: int = -1) -> WhiteNoise:
    """Independent samples of white noise on the device; the same seed and number give the same ones.

    Args:
        programs: of a design with the same columns.
        design: what the degrees of freedom are taken from.
        samples: at most 128.
        seed: of everything random.
        number: of a simulated data set, from 0; -1 for the samples that the search simulates from.
    """
    program = programs.noise.result()
    with jax.enable_x64(True):
        parts = [program(*map(np.int64, (seed, number, first, design.labelled, max(1, design.n - design.labelled))))
                 for first in range(0, samples, SAMPLES_PER_CALL)]
        return jax.tree.map(lambda *factors: jax.device_put(np.concatenate(list(map(np.asarray, factors)))[:samples]),
                            *parts)
