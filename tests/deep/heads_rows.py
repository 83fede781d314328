"""Rows and one small training of heads for all tests that need some: few compiled programs serve them all."""

from functools import lru_cache

import numpy as np

from phasejax.deep import TrainedHeads, train_heads

N, GROUP = 240, np.repeat(np.arange(24), 10)
_RNG = np.random.default_rng(0)
SHARED = _RNG.standard_normal((N, 2))
X = np.c_[SHARED + 0.3 * _RNG.standard_normal((N, 2)), 3 * _RNG.standard_normal((N, 4))]
Y = np.c_[SHARED + 0.3 * _RNG.standard_normal((N, 2)), _RNG.standard_normal((N, 3))]
KIND = (SHARED[:, 0] > 0).astype(int)
AGE = np.where(np.arange(N) % 5 == 0, np.nan, SHARED[:, 1])
SPLIT = np.repeat(["train", "validation", "test"], [150, 50, 40])
# The same sizes everywhere.
SMALL = {"bottleneck": 2, "widths": (6,), "seeds": 2, "epochs": 12, "patience": 3, "batch": 50, "learning_rate": 0.02}


@lru_cache
def trained() -> TrainedHeads:
    """All objectives, a class and a real value with missing ones, and a nuisance that is the same in whole groups."""
    return train_heads(X, Y, {"kind": KIND, "age": AGE}, groups=GROUP, split=SPLIT, nuisance={"donor": GROUP // 4},
                       grid={"alpha": [0.2, 0.8]}, **SMALL)
