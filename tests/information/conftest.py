"""What the tests of information share: labels of every redundancy, and mutual information as a sum over states."""

import jax
import numpy as np
import pytest

from phasejax.information import SharedUniqueBits, shared_unique_bits

KEY = jax.random.key(3)


@pytest.fixture(scope="session")
def models() -> dict[int, SharedUniqueBits]:
    """The label of T25 at every redundancy."""
    return {r: shared_unique_bits(KEY, r) for r in range(9)}


def kl_information(table: np.ndarray) -> float:
    """I(x, y; t) of a table p(x, y, t) as a relative entropy, term by term."""
    return sum(p * np.log(p / (table[x, y].sum() * table[:, :, t].sum()))
               for (x, y, t), p in np.ndenumerate(table) if p > 1e-300)
