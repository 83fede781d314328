"""Data of the spiked model with two signals, drawn row by row, for all tests of the diagnosis.

One number of rows, columns and signals serves them all, so that the programs of a diagnosis are compiled once.
"""

import numpy as np

from phasejax import Regime

N, D, K = 600, 12, 2
# Signal strength, nuisance correlation and y's nuisance variance of a model well inside each regime: alignment needs
# nu < rho, prediction nu sqrt(nuisance_y) < tau.
CASES = {Regime.BOTH: (2.5, 0.2, 1.0), Regime.CA_ONLY: (2.5, 0.6, 40.0), Regime.CP_ONLY: (1.5, 0.95, 0.3),
         Regime.NEITHER: (1.0, 0.9, 20.0)}


def simulated(kappa, nu, nuisance_y, n=N, d=D, seed=0, gamma=0.5):
    """Views x and y, and the standardised signals as labels."""
    rng = np.random.default_rng(seed)
    s, u = rng.standard_normal((n, K)), rng.standard_normal((n, d - K))
    v = nu * u + np.sqrt(1 - nu**2) * rng.standard_normal((n, d - K))
    x = np.hstack([kappa * s + np.sqrt(gamma) * rng.standard_normal((n, K)), u])
    y = np.hstack([kappa * s + np.sqrt(gamma) * rng.standard_normal((n, K)), np.sqrt(nuisance_y) * v])
    return x, y, s
