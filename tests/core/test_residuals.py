"""Residuals given known columns, against projections and against what rows with known covariance must give."""

import numpy as np
import pytest

from phasejax._core.residuals import GroupResiduals, ScalarResiduals, basis_of, explained_share, residuals_of


def known(n=40, seed=0):
    """Indicators of three levels, of two levels, and a real value: a constant and four more dimensions."""
    rng = np.random.default_rng(seed)
    return np.column_stack([np.eye(3)[rng.integers(3, size=n)], np.eye(2)[rng.integers(2, size=n)],
                            rng.standard_normal(n)])


def test_residuals_are_those_of_the_projection_with_slopes_from_the_training_rows():
    rng, columns = np.random.default_rng(1), known()
    rows, training = rng.standard_normal((40, 2, 3)) + 7, np.arange(40) < 25
    design = np.column_stack([np.ones(40), columns[:, 1:3], columns[:, 4], columns[:, 5]])  # reference levels left out
    flat = rows.reshape(40, -1)
    expected = flat - design @ np.linalg.lstsq(design[training], flat[training], rcond=None)[0]
    np.testing.assert_allclose(residuals_of(rows, columns, training), expected.reshape(rows.shape), atol=1e-10)
    assert basis_of(columns).shape == (40, 5)
    age = columns[:, 5:] + 40
    line = np.polynomial.polynomial.polyfit(age[:25, 0], flat[:25], 1)
    np.testing.assert_allclose(residuals_of(flat, age, training), flat - line[0] - age * line[1], atol=1e-9)


def test_a_level_without_training_rows_counts_as_the_average_of_the_others():
    level = np.repeat(np.arange(3), 4)
    rows = np.array([0.0, 10.0, 50.0])[level][:, None]
    found = residuals_of(rows, np.eye(3)[level], level < 2)
    np.testing.assert_allclose(found[:, 0], np.array([0.0, 0.0, 45.0])[level], atol=1e-10)


def test_scalar_residuals_have_the_covariance_of_the_errors_and_lie_near_their_rows():
    columns = known()
    residuals = ScalarResiduals.of(columns)
    transform = residuals.transform(np.eye(40))
    np.testing.assert_allclose(transform @ transform.T, np.eye(35), atol=1e-12)
    np.testing.assert_allclose(transform @ columns, 0, atol=1e-10)
    np.testing.assert_allclose(transform.sum(1), 0, atol=1e-10)
    assert np.diag(transform[:, residuals.kept]).min() > 0.8


def test_permuting_kept_rows_of_a_level_permutes_their_residuals():
    rng = np.random.default_rng(2)
    level, other = np.arange(30) % 3, np.arange(30) // 10
    residuals = ScalarResiduals.of(np.hstack([np.eye(3)[level], np.eye(3)[other]]))
    kept = residuals.kept
    cell = kept[(level[kept] == 1) & (other[kept] == 1)]
    order = np.arange(30)
    order[cell] = np.roll(cell, 1)
    rows = rng.standard_exponential((30, 2))
    place = np.full(30, -1)
    place[kept] = np.arange(len(kept))
    np.testing.assert_allclose(residuals.transform(rows[order]), residuals.transform(rows)[place[order[kept]]],
                               atol=1e-10)


def test_residuals_of_groups_leave_out_as_many_groups_as_the_columns_have_dimensions():
    rng = np.random.default_rng(3)
    groups, batch = np.repeat(np.arange(8), 3), np.repeat(np.eye(2), 12, axis=0)
    varying = rng.standard_normal(24)
    residuals = GroupResiduals.of(np.column_stack([batch, varying]), groups)
    transform = residuals.transform(np.eye(24))
    assert residuals.kept.shape == (15,)
    np.testing.assert_allclose(transform @ np.column_stack([batch, varying]), 0, atol=1e-10)
    means = np.kron(np.eye(5), np.full((1, 3), 1 / 3)) @ transform
    np.testing.assert_allclose(means @ means.T, np.eye(5) / 3, atol=1e-12)  # the variance of a mean of three rows


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_the_explained_share_has_no_bias_from_the_number_of_columns(effect):
    shares = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        level = np.arange(40) % 10
        rows = rng.standard_normal((40, 5)) + effect * rng.standard_normal((10, 5))[level]
        shares.append(explained_share(rows, np.eye(10)[level]))
    # With effects of unit variance half of the variance is theirs, up to the spread of ten of them; four standard
    # errors over 60 data sets, and that of Snedecor's ratio, below .03.
    assert abs(np.mean(shares) - effect / 2) < 4 * np.std(shares) / 60**0.5 + 0.03 * effect
