"""Leading eigenvectors of many small symmetric matrices on the CPU: ours, and LAPACK one matrix after the other.

Both are compiled programs that compute the same k eigenvectors of the same matrices. They are run in turns, and
processor time is counted, since a sweep keeps every core busy with a program of its own; medians are shown. The
matrices come in blocks of 32, as in a sweep on the CPU, whose working set stays in the second-level cache, and all in
one batch, which does not.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks.report import Row, row
from phasejax._core.linalg import top_k_eigenspace

# 20 is the dimension of the sweeps of the paper's figures, 64 the largest that is not left to LAPACK.
_DIMENSIONS, _K = (5, 10, 16, 20, 30, 50, 64), 3
_GROUPINGS = {"blocks of 32": 32, "one batch": None}


def run(count: int = 2048, rounds: int = 9, dimensions: Sequence[int] = _DIMENSIONS) -> list[Row]:
    """Time the k = 3 leading eigenvectors of random symmetric matrices in float64.

    Args:
        count: number of matrices, a multiple of 32.
        rounds: how often both programs are run, in turns.
        dimensions: of the matrices.

    Returns:
        Processor time per matrix of ours and of LAPACK, and LAPACK's time over ours.
    """
    rows = []
    with jax.enable_x64(True):
        for d, (grouping, block) in product(dimensions, _GROUPINGS.items()):
            matrices = _matrices(count, d, block or count)
            programs = {"phasejax": _compiled(jax.vmap(_leading_side_by_side), matrices),
                        "LAPACK": _compiled(partial(jax.lax.map, _leading_by_lapack), matrices)}
            times: dict[str, list[float]] = {name: [] for name in programs}
            for _ in range(rounds):
                for name, program in programs.items():
                    start = time.process_time()
                    jax.block_until_ready(program(matrices))
                    times[name].append(time.process_time() - start)
            median = {name: float(np.median(seconds)) / count * 1e6 for name, seconds in times.items()}
            case = f"d = {d}, k = {_K}, {grouping}"
            rows += [row(f"{case}, {name}", "time_per_matrix", value, "us") for name, value in median.items()]
            rows.append(row(case, "lapack_time_over_ours", median["LAPACK"] / median["phasejax"], "1"))
    return rows


def _matrices(count: int, d: int, block: int) -> Float[Array, "blocks block d d"]:
    rows = np.random.default_rng(d).standard_normal((count // block, block, d, d + 3))
    return jnp.asarray(rows @ np.swapaxes(rows, -1, -2))


def _leading_side_by_side(matrix: Float[Array, "d d"]) -> Float[Array, "d k"]:
    return top_k_eigenspace(matrix, _K)


def _leading_by_lapack(matrix: Float[Array, "d d"]) -> Float[Array, "d k"]:
    return jnp.linalg.eigh(matrix)[1][:, ::-1][:, :_K]


def _compiled(of_block: Callable, matrices: Array) -> Callable:
    return jax.jit(lambda blocks: jax.lax.map(of_block, blocks)).lower(matrices).compile()
