"""Whatever draws takes a seed where it takes a random key, and refuses anything else by name."""

import jax
import numpy as np
import pytest

from phasejax import SpikedModel
from phasejax.information import shared_unique_bits, tanh_network
from phasejax.simulation import bartlett_factor, random_basis, sample_covariances, sample_pairs

MODEL = SpikedModel.homogeneous(k=1, d=3, kappa=1.0, nu=0.2)
DRAWN = {"random_basis": lambda key: random_basis(key, 3), "tanh_network": lambda key: tanh_network(key, 1),
         "shared_unique_bits": lambda key: shared_unique_bits(key, 2)}
SLOW = {"bartlett_factor": lambda key: bartlett_factor(key, 5, 3),
        "sample_pairs": lambda key: sample_pairs(key, MODEL, 4),
        "sample_covariances": lambda key: sample_covariances(key, MODEL, 6)}


@pytest.mark.parametrize("draw", [*DRAWN.values(), *(pytest.param(draw, marks=pytest.mark.slow)
                                                    for draw in SLOW.values())], ids=[*DRAWN, *SLOW])
def test_a_seed_is_the_key_made_of_it(draw):
    expected = jax.tree.leaves(draw(jax.random.key(5)))
    for seed in (5, np.int64(5)):
        for found, of_key in zip(jax.tree.leaves(draw(seed)), expected, strict=True):
            np.testing.assert_array_equal(found, of_key)
    with pytest.raises(ValueError, match=r"^key: expected a random key or a whole number from 0 to "):
        draw(-1)
