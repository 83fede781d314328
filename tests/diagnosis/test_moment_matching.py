"""The simulated statistics against rows and closed forms, and the search for the model behind them."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax import SpikedModel, delta_ca, delta_cp
from phasejax.diagnosis import _estimates, _moment_matching, _posterior, diagnose
from phasejax.diagnosis._moment_matching import label_directions, match_moments
from phasejax.diagnosis._precision import usable_groups
from phasejax.diagnosis._simulator import (
    PRIOR,
    Design,
    log_ratios,
    model_of_parameters,
    observed_statistics,
    pooled,
    simulated_statistics,
)
from phasejax.simulation import bartlett_factor, population_covariances
from phasejax.theory import delta_cp_reverse
from tests.diagnosis.simulated import D, K, N

# Parameters in the order of `PRIOR`: two decaying signals, a quarter of the nuisance uncorrelated, noisy labels.
U = np.array([-0.5, -2.0, 0.3, 0.2, 1.1, 1.5, 0.2, 0.25])
DESIGN = Design(d_x=9, d_y=7, q=2, k=2, n=299, labelled=299)
# What tests of `diagnose` have, so that its programs are compiled once.
SQUARE = Design(d_x=D, d_y=D, q=2, k=K, n=N - 1, labelled=N - 1)
observed = jax.jit(observed_statistics, static_argnums=1)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def rows(rng, u, design, n):
    """x, y and labels drawn row by row, as the model's text says, in NumPy."""
    m = jax.tree.map(np.asarray, model_of_parameters(jnp.asarray(u), design))
    k, p = design.k, min(design.d_x, design.d_y) - design.k
    s = rng.standard_normal((n, k))
    x = np.hstack([s * m.kappa + rng.standard_normal((n, k)) * np.sqrt(m.gamma_x),
                   rng.standard_normal((n, design.d_x - k)) * np.sqrt(m.nuisance_x)])
    white = x[:, k:k + p] / np.sqrt(m.nuisance_x[:p])
    v = rng.standard_normal((n, design.d_y - k))
    v[:, :p] = m.nu * white + np.sqrt(1 - m.nu**2) * v[:, :p]
    y = np.hstack([s * m.kappa + rng.standard_normal((n, k)) * np.sqrt(m.gamma_y), v * np.sqrt(m.nuisance_y)])
    share = 1 / (1 + np.exp(-u[list(PRIOR).index("logit_label")]))
    t = np.sqrt(share) * s[:, :design.q] + np.sqrt(1 - share) * rng.standard_normal((n, design.q))
    return x, y, t


def statistics_of_rows(x, y, t):
    """All statistics of two label columns, by symmetric square roots and SVDs instead of Cholesky factors."""
    xx, yy, tt, xy, xt, yt = x.T @ x, y.T @ y, t.T @ t, x.T @ y, x.T @ t, y.T @ t

    def root(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return vectors / np.sqrt(values) @ vectors.T

    c, b, r, d_x, d_y = root(xx) @ xy @ root(yy), root(xx) @ xy, root(yy) @ xy.T, x.shape[1], y.shape[1]
    t_x, t_y = root(xx) @ xt @ root(tt), root(yy) @ yt @ root(tt)
    scale_x, scale_y = np.trace(xx) / d_x, np.trace(yy) / d_y
    found = [np.log(np.mean(np.sum(view**2, 0)) / scale**2)
             for view, scale in ((xx, scale_x), (yy, scale_y))]
    for matrix, scale in ((c, 1), (b, scale_y), (r, scale_x)):
        power = np.linalg.svd(matrix, compute_uv=False) ** 2 / scale
        means = [np.mean(power**i) for i in range(5)]
        found += [np.log(means[i] / means[i - 1]) for i in range(1, 5)]
    found += [np.log(np.sum(t_x**2) / 2), np.log(np.sum(t_y**2) / 2), np.trace(t_x.T @ c @ t_y) / 2]
    for seen, matrix, scale in ((t_x, c, 1), (t_y, c.T, 1), (t_x, b, scale_y), (t_y, r, scale_x)):
        once = matrix.T @ seen
        twice = matrix @ once
        least = np.linalg.eigvals(np.linalg.solve(seen.T @ seen, once.T @ once / scale)).real.min()
        found += [np.log(np.sum(once**2) / np.sum(seen**2) / scale), np.log(np.sum(twice**2) / np.sum(once**2) / scale),
                  np.log(least)]
    found += [np.log(np.sum((yt @ root(tt)) ** 2) / np.sum(t_y**2) / scale_y),
              np.log(np.sum((xt @ root(tt)) ** 2) / np.sum(t_x**2) / scale_x)]
    return np.array(found)


def test_observed_statistics_are_those_of_the_definitions():
    x, y, t = rows(np.random.default_rng(0), U, DESIGN, 300)
    stacked = np.hstack([x, y, t])
    np.testing.assert_allclose(observed(stacked.T @ stacked, DESIGN), statistics_of_rows(x, y, t), rtol=1e-9,
                               atol=1e-9)


@pytest.mark.slow
def test_simulated_statistics_have_the_distribution_of_rows():
    """400 draws each, n = 299: means within 4.5 standard errors, standard deviations within 20 % (4 s.e.)."""
    keys = jax.random.split(jax.random.key(1), 400)
    ours = np.asarray(jax.lax.map(lambda key: simulated_statistics(
        jnp.asarray(U), bartlett_factor(key, 299, DESIGN.size), None, DESIGN), keys))
    rng = np.random.default_rng(2)
    theirs = np.array([statistics_of_rows(*rows(rng, U, DESIGN, 299)) for _ in range(400)])
    error = np.sqrt((ours.var(0) + theirs.var(0)) / 400)
    assert np.abs((ours.mean(0) - theirs.mean(0)) / error).max() < 4.5
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.2)


@pytest.mark.slow
def test_rows_without_labels_are_simulated_too():
    """As above, 120 rows of 299 with labels; and all rows with labels is the limit of one without."""
    design = Design(9, 7, 2, 2, 299, 120)
    keys = jax.random.split(jax.random.key(1), 400)

    def one(key):
        first, second = jax.random.split(key)
        return simulated_statistics(jnp.asarray(U), bartlett_factor(first, 120, design.size),
                                    bartlett_factor(second, 179, 16), design)

    ours, rng, theirs = np.asarray(jax.lax.map(one, keys)), np.random.default_rng(2), []
    for _ in range(400):
        stacked = np.hstack(rows(rng, U, design, 299))
        labelled, views = stacked[:120], stacked[120:, :16]
        theirs.append(observed(pooled(labelled.T @ labelled / 120, views.T @ views / 179, 120 / 299), design))
    theirs = np.array(theirs)
    assert np.abs((ours.mean(0) - theirs.mean(0)) / np.sqrt((ours.var(0) + theirs.var(0)) / 400)).max() < 4.5


def test_ratios_are_those_of_the_model():
    for u in (U, np.r_[U[:6], 0.0, 0.0]):
        model = model_of_parameters(jnp.asarray(u), DESIGN)
        expected = np.log([delta_ca(model), delta_cp(model), delta_cp_reverse(model)])
        # The smooth edge of the profile takes a little from the largest correlation.
        np.testing.assert_allclose(log_ratios(jnp.asarray(u), DESIGN), expected, atol=0.01)


@pytest.mark.parametrize("uncorrelated", [0.0, 0.3, 0.95])
def test_ratios_are_those_of_the_parameters(uncorrelated):
    """Proposition 3.1 written out with nu itself, which the smooth edge does not touch, whatever share it leaves."""
    gamma_x, gamma_y, nu, nuisance_x, nuisance_y, _, decay, _ = U
    nu, weakest = 1 / (1 + np.exp(-nu)), (1 - decay) ** 2
    of_x, of_y = weakest + np.exp(gamma_x), weakest + np.exp(gamma_y)
    expected = np.log([weakest / np.sqrt(of_x * of_y) / nu, weakest / np.sqrt(of_x) / nu / np.exp(nuisance_y / 2),
                       weakest / np.sqrt(of_y) / nu / np.exp(nuisance_x / 2)])
    found = log_ratios(jnp.asarray(np.r_[U[:7], uncorrelated]), DESIGN)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_without_uncorrelated_nuisance_all_of_it_is_correlated_alike():
    u = jnp.asarray(np.r_[U[:7], 0.0])
    np.testing.assert_allclose(model_of_parameters(u, DESIGN).nu, jax.nn.sigmoid(u[2]), rtol=1e-12)


def test_units_and_rotations_change_no_statistic():
    x, y, t = rows(np.random.default_rng(3), U, DESIGN, 300)
    rng = np.random.default_rng(4)
    turned_x = 7 * x @ np.linalg.qr(rng.standard_normal((9, 9)))[0]
    turned_y = 0.01 * y @ np.linalg.qr(rng.standard_normal((7, 7)))[0]
    mixed = t @ rng.standard_normal((2, 2))
    before, after = (np.hstack(views) for views in ((x, y, t), (turned_x, turned_y, mixed)))
    np.testing.assert_allclose(observed(after.T @ after, DESIGN), observed(before.T @ before, DESIGN), atol=1e-9)


def joint_of(rng, u, design):
    stacked = np.hstack(rows(rng, u, design, design.n + 1))
    return np.cov(stacked.T)


@pytest.mark.slow
def test_the_model_is_found_again():
    """Eight data sets, n = 600, d = 12: log ratios within 4 posterior standard deviations, and right on the whole."""
    design = SQUARE
    u = np.r_[U[:6], 0.0, 0.0]
    truth = np.asarray(log_ratios(jnp.asarray(u), design))
    scores = []
    for seed in range(8):
        found = match_moments(joint_of(np.random.default_rng(seed), u, design), design, draws=1000)
        scores.append((np.median(found.log_ratios, 0) - truth) / found.log_ratios.std(0))
        assert found.reduced_chi2 < 3
        assert found.draws.shape == (1000, len(PRIOR))
    assert np.abs(scores).max() < 4
    assert np.abs(np.mean(scores, 0)).max() < 1.5


def test_the_same_seed_gives_the_same_posterior():
    joint = joint_of(np.random.default_rng(0), U, SQUARE)
    first, second = (match_moments(joint, SQUARE, draws=200) for _ in range(2))
    np.testing.assert_array_equal(first.draws, second.draws)


def quadratic(rng, **at):
    """Q of ten statistics that depend linearly on the parameters, with its minimum where `at` says or near 0."""
    mean, sd = (np.array(column) for column in zip(*PRIOR.values(), strict=True))
    jacobian = rng.standard_normal((10, 8))
    least = rng.standard_normal(8)
    for name, value in at.items():
        least[list(PRIOR).index(name)] = value
    # The gradient at the least is zero: J' (z - z0 - J u) = (u - m) / s^2.
    target = jacobian @ least + np.linalg.pinv(jacobian.T) @ ((least - mean) / sd**2)
    piece = _posterior.LaplaceApproximation(_posterior.Linearisation(np.zeros(8), np.zeros(10), jacobian), target,
                                            np.eye(10))
    np.testing.assert_allclose(piece.minimum, least, atol=1e-9)
    return piece, lambda u: np.sum((target - jacobian @ u) ** 2) + np.sum(((u - mean) / sd) ** 2)


def test_families_count_with_their_evidence():
    """Against quadrature over the two bounded parameters, six integrated exactly; 4000 draws: s.e. below 0.01."""
    rng = np.random.default_rng(6)
    piece, _ = quadratic(rng, decay=0.05, uncorrelated=0.15)
    _, families = _posterior.mixture([piece] * 5, 10, rng)

    covariance = np.linalg.inv(piece.precision)[6:, 6:]  # marginal: the six others are integrated out
    sd = np.array([spread for _, spread in PRIOR.values()])
    a, b = np.linspace(0, 0.7, 1401), np.linspace(0, 0.95, 1901)
    away = np.stack(np.meshgrid(a, b, indexing="ij"), -1) - piece.minimum[6:]
    density = np.exp(-np.einsum("abi,ij,abj->ab", away, np.linalg.inv(covariance), away) / 2)
    half_normal = 2 / (sd[6:] * np.sqrt(2 * np.pi))
    expected = np.array([half_normal.prod() * np.trapezoid(np.trapezoid(density, b), a),
                         half_normal[1] * np.trapezoid(density[0], b), half_normal[0] * np.trapezoid(density[:, 0], a),
                         density[0, 0]])
    np.testing.assert_allclose(families, expected / expected.sum(), atol=0.03)


def test_a_piece_is_q_itself_where_the_statistics_are_linear():
    """Its least value, and the integral with two parameters at 0 against the one without any by Gaussian algebra."""
    rng = np.random.default_rng(8)
    piece, q = quadratic(rng)
    np.testing.assert_allclose(piece.least, q(piece.minimum), rtol=1e-9)
    mean, covariance, log_integral = piece.given_zero((6, 7))
    # exp(-Q/2) over the free six: its value at their best point times the width of a Gaussian.
    width = np.linalg.slogdet(2 * np.pi * covariance[:6, :6])[1]
    np.testing.assert_allclose(log_integral, -q(mean) / 2 + width / 2, rtol=1e-9)
    np.testing.assert_allclose(mean[6:], 0)


def test_each_part_counts_with_the_integral_of_its_own_piece():
    """Where one part's Q is higher by 2 log 3 throughout, a third of the draws remains in it; 20,000 draws, 4 s.e."""
    rng = np.random.default_rng(9)
    piece, _ = quadratic(rng, decay=0.2, uncorrelated=0.4)
    higher = copy.copy(piece)
    higher.least = piece.least + 2 * np.log(3)
    inside, counts = [], []
    for pieces in ([piece] * 5, [piece, piece, higher, piece, piece]):
        drawn = _posterior.mixture(pieces, 20_000, rng)[0][:, 7]
        inside.append(np.sum((drawn >= 0.4) & (drawn < 0.6)))
        counts.append(np.sum((drawn > 0) & (drawn < 0.4)))
    odds = inside[0] / counts[0] / (inside[1] / counts[1])
    assert abs(np.log(odds / 3)) < 4 * np.sqrt(np.sum(1 / np.array(inside + counts))) + 0.05


def test_few_rows_widen_every_piece():
    """Variances within a piece grow by the factor: 20,000 draws of its unbounded parameters, 4 s.e. of 1%."""
    piece, _ = quadratic(np.random.default_rng(10), decay=0.35, uncorrelated=0.4)
    sd = [_posterior.mixture([piece] * 5, 20_000, np.random.default_rng(1), spread)[0][:, :6].std(0)
          for spread in (1.0, 1.5)]
    assert np.mean(sd[1] / sd[0]) == pytest.approx(np.sqrt(1.5), rel=0.04)


@pytest.mark.slow
def test_the_fewer_rows_the_wider(monkeypatch):
    """The factor that the pieces get: 1 + 1.25 (22 / n)^2 at d = 11."""
    given = []

    def recorded(pieces, draws, rng, spread):
        given.append(spread)
        return _posterior.mixture(pieces, draws, rng, spread)

    monkeypatch.setattr(_moment_matching, "mixture", recorded)
    for n in (33, 220):
        design = Design(11, 11, 1, 1, n, n)
        match_moments(joint_of(np.random.default_rng(0), np.r_[U[:6], 0.0, 0.0], design), design, draws=10)
    assert given == pytest.approx([1 + 1.25 * 4 / 9, 1 + 1.25 / 100])


@pytest.mark.slow
@pytest.mark.parametrize("correlated", [20, 39])
def test_millions_of_rows_are_not_surer_than_the_model(correlated):
    """n = 10^6 with a sharp edge that the model's profile does not have, and without: never surer than 1%."""
    d, n = 40, 10**6
    design = Design(d, d, 1, 1, n, n)
    model = SpikedModel.create([1.3], np.where(np.arange(d - 1) < correlated, 0.6, 0.0), gamma_x=1.0, gamma_y=0.2,
                               nuisance_x=1.0, nuisance_y=5.0, d=d)
    covariances = population_covariances(model)
    to_label = np.eye(1, d) * 1.3  # x's and y's columns with the standardised signal
    population = np.block([[covariances.xx, covariances.xy, to_label.T], [covariances.xy.T, covariances.yy, to_label.T],
                           [to_label, to_label, np.ones((1, 1))]])
    drawn = np.linalg.cholesky(population) @ np.asarray(bartlett_factor(jax.random.key(3), n, len(population)))
    found = match_moments(drawn @ drawn.T / n, design)
    for column, ratio in enumerate((delta_ca, delta_cp, delta_cp_reverse)):
        low, high = np.exp(np.quantile(found.log_ratios[:, column], [0.005, 0.995]))
        assert low <= float(ratio(model)) <= high
        assert high / low < 1.3
        assert found.log_ratios[:, column].std() > 0.0095


@pytest.mark.slow
def test_weak_correlation_leaves_its_spread_open():
    """nu = .22 in two fifths of the nuisance looks like less in all of it: in 8 data sets the 90% interval holds it."""
    design = Design(30, 30, 1, 2, 399, 399)
    u = np.array([-1.0, -1.5, -1.27, 0.0, 0.5, 1.5, 0.0, 0.6])
    held = [np.quantile(jax.nn.sigmoid(match_moments(
        joint_of(np.random.default_rng(seed), u, design), design, seed=seed).draws[:, 2]), [0.05, 0.95])
        for seed in range(8)]
    truth = jax.nn.sigmoid(u[2])
    # Of 8 intervals at level 0.9 fewer than 5 hold it once in 200 times.
    assert sum(low <= truth <= high for low, high in held) >= 5


@pytest.mark.slow
def test_heavy_tails_scatter_more_than_gaussian_rows():
    """Ten data sets each, 20 groups: the mean ratio is 1 for Gaussian rows within 4 s.e., well above for t."""
    design, found = Design(9, 9, 2, 2, 399, 399), {}
    for name in ("Gaussian", "t"):
        ratios = []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            stacked = np.hstack(rows(rng, U, design, 400))
            if name == "t":  # one factor per row: heavy tails in all columns at once
                stacked *= np.sqrt(5 / rng.chisquare(5, (400, 1)))
            without = np.stack([np.cov(np.delete(stacked, np.arange(g, 400, 20), 0).T) for g in range(20)])
            ratios.append(match_moments(np.cov(stacked.T), design, without=without, draws=10,
                                        seed=seed).overdispersion)
        found[name] = np.array(ratios)
    gaussian = found["Gaussian"]
    assert abs(gaussian.mean() - 1) < 4 * gaussian.std() / np.sqrt(10)
    assert found["t"].mean() > 1.5


def test_groups_that_hold_all_that_varies_in_a_direction_are_known_in_any_coordinates():
    """A column of x is 0 but in three rows of group 4; another of y in one row each of groups 2 and 3, which remain."""
    rng, groups = np.random.default_rng(0), np.arange(200) % 20
    x, y = rng.standard_normal((200, 9)), 1e6 * rng.standard_normal((200, 7))
    x[:, 3] = y[:, 2] = 0
    x[[4, 24, 64], 3], y[[2, 3], 2] = 1e-3, 1.0
    expected = np.arange(20) != 4
    for rotated in (False, True):
        turns = [np.linalg.qr(rng.standard_normal((d, d)))[0] if rotated else np.eye(d) for d in (9, 7)]
        stacked = np.c_[x @ turns[0], y @ turns[1], rng.standard_normal((200, 2))]
        without = np.stack([np.cov(stacked[groups != group].T) for group in range(20)])
        np.testing.assert_array_equal(usable_groups(np.cov(stacked.T), without, DESIGN), expected)


def test_more_classes_than_can_be_simulated_are_an_error_at_once():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 612, 4))
    with pytest.raises(ValueError, match=r"^labels: expected at most 100 independent columns .* got 101$"):
        diagnose(x, y, np.arange(612) % 102, method="moments")


def test_data_that_no_model_describes_are_known():
    """Heavy-tailed nuisance variances: the reduced chi-squared is far above that of the model's own data."""
    joint = joint_of(np.random.default_rng(0), U, SQUARE)
    scale = np.concatenate([10.0 ** np.linspace(-3, 3, D), 10.0 ** np.linspace(3, -3, D), [1, 1]])
    assert match_moments(joint * np.outer(scale, scale), SQUARE, draws=200).reduced_chi2 > 30


def test_label_directions_are_counted():
    """Two directions carry signal; of white noise the test at level 0.01 finds more than one in about 1 of 100."""
    rng = np.random.default_rng(5)
    x, y, t = rows(rng, U, DESIGN, 2000)
    columns = np.hstack([t, rng.standard_normal((2000, 3))])
    columns = np.linalg.qr(columns - columns.mean(0))[0] * np.sqrt(1999)
    assert label_directions(np.cov(np.hstack([x, y, columns]).T), 9, 7, 5, 2000) == 2
    many = [label_directions(np.cov(rng.standard_normal((300, 21)).T), 9, 7, 5, 300) for _ in range(100)]
    assert np.mean(np.array(many) > 1) < 0.06


@pytest.mark.parametrize(("statistic", "count"), [(54.0, 2), (53.0, 1)])
def test_the_second_direction_counts_from_its_quantile_on(statistic, count):
    """After one direction (9 - 1)(5 - 1) = 32 degrees of freedom are left: the 0.99 quantile is 53.49."""
    joint = np.eye(9 + 7 + 5)
    factor = 300 - 1 - (9 + 5 + 1) / 2
    joint[0, 16] = joint[16, 0] = 0.9
    joint[1, 17] = joint[17, 1] = np.sqrt(1 - np.exp(-statistic / factor))
    assert label_directions(joint, 9, 7, 5, 300) == count


def test_scales_have_their_sampling_error():
    """Mean variances of 2000 samples of 40 rows against 4000 draws: spreads agree to 10 % (4 s.e. are 8 %)."""
    rng, spread = np.random.default_rng(7), np.array([3.0, 1.0, 0.5, 0.2])
    samples = rng.standard_normal((2000, 40, 4)) * np.sqrt(spread)
    means = np.mean(samples**2, axis=(1, 2))
    draws = _estimates._scales(rng, np.diag(spread), 40, 4000)
    np.testing.assert_allclose(draws.std(), means.std(), rtol=0.1)
    np.testing.assert_allclose(np.median(draws), spread.mean(), rtol=0.02)
