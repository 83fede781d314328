"""Moments of logarithms of counts, against sums over the counts' distribution."""

import jax
import numpy as np
import pytest
from scipy.stats import nbinom

from phasejax.instruments._count_moments import log_count_moments

PROGRAM = jax.jit(log_count_moments)


@pytest.mark.parametrize(("means", "weights", "phi", "scale"), [
    ((0.05, 1.0), (1.0, 0.0), 1.0, 10.0), ((3.0, 1.0), (1.0, 0.0), 0.3, 10.0), ((400.0, 1.0), (1.0, 0.0), 0.1, 1.0),
    ((0.7, 1.0), (1.0, 0.0), 4.0, 0.2), ((0.5, 30.0), (0.7, 0.3), 0.4, 3.0), ((0.0, 5.0), (0.5, 0.5), 0.01, 1.0)])
def test_moments_are_those_of_the_distribution(means, weights, phi, scale):
    counts = np.arange(20_000)
    share = sum(weight * nbinom.pmf(counts, 1 / phi, 1 / (1 + phi * mean))
                for mean, weight in zip(means, weights, strict=True))
    logs = np.log1p(scale * counts)
    mean = share @ logs
    with jax.enable_x64(True):
        found = PROGRAM(np.array(means), np.array(weights), phi, scale)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found.variance, share @ (logs - mean)**2, rtol=3e-5)
    np.testing.assert_allclose(found.with_count, share @ ((logs - mean) * counts), rtol=1e-5)
    np.testing.assert_allclose(found.slope, share @ (scale * counts / (1 + scale * counts)), rtol=1e-5)


def test_derivatives_are_those_of_the_distribution():
    """By the mean, the overdispersion and the scale, against central differences of the sums."""
    counts = np.arange(3000)

    def variance(mean, phi, scale):
        share, logs = nbinom.pmf(counts, 1 / phi, 1 / (1 + phi * mean)), np.log1p(scale * counts)
        return share @ logs**2 - (share @ logs)**2

    at, step = (2.0, 0.5, 3.0), 1e-4
    with jax.enable_x64(True):
        found = jax.jit(jax.grad(lambda mean, phi, scale: log_count_moments(
            mean[None], np.ones(1), phi, scale).variance, argnums=(0, 1, 2)))(*map(jax.numpy.asarray, at))
    for place, value in enumerate(found):
        ends = [variance(*(one + sign * step * (number == place) for number, one in enumerate(at))) for sign in (1, -1)]
        np.testing.assert_allclose(value, (ends[0] - ends[1]) / (2 * step), rtol=1e-5)
