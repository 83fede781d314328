"""CITE-seq: counts against what is known of negative binomial ones, expected views against counts, regimes."""

import math

import jax
import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from phasejax import Regime
from phasejax.instruments import (
    CITE_PRESETS,
    CiteSeq,
    instrument_moments,
    instrument_regime,
    instrument_sensitivity,
    observe,
    simulate_cells,
)
from phasejax.instruments._cite_cells import count_cells
from phasejax.instruments._cite_states import cell_states, mean_counts

SMALL = CiteSeq(genes=7, proteins=5, programs=2, donors=4, proportions=(0.5, 0.3, 0.2), rna_depth=60.0, adt_depth=40.0,
                rna_donor=0.6, adt_donor=0.5, donor_imbalance=0.8, rna_cycle=0.4, adt_cycle=0.4, cycle_common=0.7,
                rna_batch=0.3, adt_batch=0.4)
# Nothing but noise in RNA: its genes are correlated only because each cell's counts are divided by their sum.
ALIKE = SMALL.replace(rna_depth=400.0, rna_overdispersion=0.1, rna_programs=0.0, rna_donor=0.0, rna_cycle=0.0,
                      rna_batch=0.0)


def states_of(experiment, n, seed=0):
    rng = np.random.default_rng(seed)
    return cell_states(experiment, rng.random((n, 2)), rng.standard_normal((n, experiment.normal_numbers)), drawn=True)


def test_variance_and_zeros_follow_the_mean():
    """Counts of one mean in every cell: variance mu + phi mu^2, zeros (1 + phi mu)^(-1/phi); 20,000 cells, 5 s.e."""
    n, phi, means = 20_000, 0.5, np.array([0.1, 1.0, 4.0, 30.0, 30.0, 30.0, 30.0])
    experiment = SMALL.replace(rna_overdispersion=phi)
    cells = count_cells(np.random.default_rng(1), experiment, states_of(experiment, n), np.tile(means, (n, 1)),
                        np.ones((n, 5)))
    squared = (cells.rna - means)**2
    assert np.all(np.abs(squared.mean(0) - means - phi * means**2) < 5 * squared.std(0) / np.sqrt(n))
    zeros = (1 + phi * means)**(-1 / phi)
    assert np.all(np.abs((cells.rna == 0).mean(0) - zeros) < 5 * np.sqrt(zeros * (1 - zeros) / n) + 1e-9)
    np.testing.assert_allclose(cells.x, np.log1p(1e4 * cells.rna / cells.rna.sum(1, keepdims=True)))
    np.testing.assert_allclose(np.exp(cells.y), (1 + cells.protein) / np.exp(
        np.log1p(cells.protein).mean(1, keepdims=True)))


def test_proteins_are_bimodal_where_foreground_stands_out():
    """Sarle's coefficient, above 5/9 for two modes and below for one."""
    def coefficients(foreground):
        cells = simulate_cells(2, 2000, CiteSeq(proteins=8, genes=4, adt_depth=4000.0, foreground=foreground,
                                                adt_programs=8.0))
        logs = np.log1p(cells.protein)
        share = (logs > logs.mean(0)).mean(0)
        return ((skew(logs)**2 + 1) / kurtosis(logs, fisher=False))[(share > 0.2) & (share < 0.8)]

    assert len(coefficients(40.0)) >= 3
    assert np.all(coefficients(40.0) > 5 / 9)
    assert np.all(coefficients(1.0) < 5 / 9)


def test_depth_donors_and_types_are_those_asked_for():
    """Mean total of RNA, shares of types and donors given the type; 20,000 cells, within 5 s.e."""
    n, cells = 20_000, simulate_cells(3, 20_000, SMALL)
    totals = cells.rna.sum(1)
    assert abs(totals.mean() - 60) < 5 * totals.std() / np.sqrt(n)
    for one, share in enumerate(SMALL.proportions):
        rows = cells.cell_type == one
        assert abs(rows.mean() - share) < 5 * np.sqrt(share * (1 - share) / n)
        odds = 0.8 * SMALL.fixed.type_contrast[one] * SMALL.fixed.donor_scores[:, 0]
        expected = np.exp(odds) / np.exp(odds).sum()
        found = np.bincount(cells.donor[rows], minlength=4) / rows.sum()
        assert np.all(np.abs(found - expected) < 5 * np.sqrt(expected * (1 - expected) / rows.sum()))
    assert np.array_equal(cells.batch, cells.donor % 2)


def test_mean_counts_follow_the_formula():
    """Gene by gene and protein by protein, for each of 5 cells."""
    e, states = SMALL, states_of(SMALL, 5)
    rna, off, on, likely = mean_counts(e, states)
    known = e.fixed
    level = [math.exp(e.expression_spread * one) for one in known.gene_levels]
    unbound = [math.exp(e.background_spread * one) for one in known.protein_levels]
    odds = [e.positive_odds + one for one in known.protein_odds]
    carried = sum(b * (1 + (e.foreground - 1) / (1 + math.exp(-o))) for b, o in zip(unbound, odds, strict=True))
    for i in range(5):
        u, w = known.donor_scores[states.donor[i]]
        v = e.donor_common * u + math.sqrt(1 - e.donor_common**2) * w
        batch, (own_x, own_y), z = known.batch_scores[states.batch[i]], states.cycle[i], states.programs[i]
        fold = [math.exp(e.rna_programs * known.gene_programs[g] @ z + e.rna_donor * u * known.gene_donor[g]
                         + e.rna_batch * batch * known.gene_batch[g] + e.rna_cycle * own_x * known.gene_cycle[g])
                for g in range(e.genes)]
        total = sum(a * b for a, b in zip(level, fold, strict=True))
        for g in range(e.genes):
            share = 0.95 * level[g] * fold[g] / total + 0.05 * level[g] / sum(level)
            np.testing.assert_allclose(rna[i, g], states.depth[i, 0] * share)
        for p in range(e.proteins):
            shift = math.exp(e.adt_donor * v * known.protein_donor[p] + e.adt_batch * batch * known.protein_batch[p]
                             + e.adt_cycle * own_y * known.protein_cycle[p])
            ambient = 0.05 * (1 + (e.foreground - 1) / (1 + math.exp(-odds[p])))
            for found, times in ((off, 1), (on, e.foreground)):
                np.testing.assert_allclose(found[i, p], states.depth[i, 1] * unbound[p] / carried
                                           * (0.95 * times * shift + ambient))
            np.testing.assert_allclose(likely[i, p], 1 / (1 + math.exp(-odds[p] - e.adt_programs
                                                                     * known.protein_programs[p] @ z)))


def test_expected_views_of_one_cell_are_those_of_its_counts():
    """Mean and covariance of 40,000 counts of one cell, within 5 s.e. and, for RNA, what is second order in 1/total."""
    n = 40_000
    experiment = SMALL.replace(rna_depth=400.0)
    state = jax.tree.map(lambda leaf: leaf[3], states_of(experiment, 8))
    with jax.enable_x64(True):
        x, spread, mean_y, variance_y = jax.jit(CiteSeq.log_counts)(experiment, state)
    rna, off, on, likely = mean_counts(experiment, state)
    rng = np.random.default_rng(4)
    cells = count_cells(rng, experiment, states_of(experiment, n), np.tile(rna, (n, 1)),
                        np.where(rng.random((n, 5)) < likely, on, off))
    ratios, mean_y, variance_y = experiment.fixed.log_ratios, np.asarray(mean_y), np.asarray(variance_y)
    expected = {"y": (mean_y @ ratios, ratios.T * variance_y @ ratios)}
    slope, shared = np.asarray(x.slope), np.asarray(x.with_count)
    across = np.outer(slope, shared - float(spread) * slope / 2)
    expected["x"] = np.asarray(x.mean), np.diag(x.variance) - across - across.T
    for name, views, order in (("y", cells.y @ ratios, 0.0), ("x", cells.x, float(spread))):
        mean, covariance = expected[name]
        centred = views - views.mean(0)
        products = centred[:, :, None] * centred[:, None]
        scale = np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
        assert np.all(np.abs(views.mean(0) - mean) < 5 * views.std(0) / np.sqrt(n) + order)
        assert np.all(np.abs(products.mean(0) - covariance) < 5 * products.std(0) / np.sqrt(n) + order * scale)


@pytest.mark.parametrize("experiment", [SMALL, ALIKE])
def test_population_covariances_are_those_of_many_cells(experiment):
    """20,000 cells counted, within 5 s.e. (and 2 % of both spreads for even points and the total of RNA)."""
    n = 20_000
    sample, moments = observe(5, experiment, n), instrument_moments(experiment, rows=2048)
    types = (np.asarray(sample.labels["cell_type"])[:, None] == np.arange(2)).astype(float)
    parts = {"x": np.asarray(sample.x), "y": np.asarray(sample.y), "labels": types}
    parts = {name: part - part.mean(0) for name, part in parts.items()}
    for name, (a, b) in {"xx": "xx", "xy": "xy", "yy": "yy", "x_labels": ("x", "labels"),
                         "y_labels": ("y", "labels")}.items():
        a, b = parts[a], parts[b]
        products = a[:, :, None] * b[:, None]
        allowed = 5 * products.std(0) / np.sqrt(n) + 0.02 * np.outer(a.std(0), b.std(0))
        assert np.all(np.abs(products.mean(0) - np.asarray(getattr(moments, name))) < allowed), name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["both", "ca_only", "cp_only", "neither"])
def test_presets_are_in_their_regimes(name):
    found = instrument_regime(CITE_PRESETS[name], rows=1024)
    assert found.regime.value.lower().replace(" ", "_") == name
    for objective in ("ca", "cp"):
        assert abs(np.log(found.delta[objective])) > 0.05
        assert (found.delta[objective] > 1) == (found.content[objective] > 0.8)


@pytest.mark.parametrize(("fields", "message"), [
    ({"rna_depth": -1.0}, "rna_depth: expected a number of at least 1 .*got -1"),
    ({"proportions": (0.5, 0.6)}, r"proportions: expected at least 2 positive numbers that sum to 1, got .* sum 1.1"),
    ({"proportions": (1.5, -0.5)}, "proportions: expected positive numbers that sum to 1, got"),
    ({"programs": 9, "proteins": 8}, "programs: expected at most 8 as there are proteins, got 9"),
    ({"batches": 7, "donors": 6}, "batches: expected at most 6 as there are donors, got 7"),
    ({"adt_ambient": 1.0}, "adt_ambient: expected a number of at least 0 and of at most 0.99, got 1"),
    ({"cycle_common": float("nan")}, "cycle_common: expected a number .*got nan")])
def test_bad_experiments_are_one_line(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        CiteSeq(**fields)
    assert "\n" not in str(caught.value)


def test_no_cells_are_refused():
    with pytest.raises(ValueError, match="n: expected a whole number of at least 1, got 0"):
        simulate_cells(0, 0, SMALL)


def test_cells_of_a_key_are_the_same_again_and_others_of_another():
    first, again, other = (simulate_cells(key, 50, SMALL) for key in (7, 7, 8))
    assert np.array_equal(first.rna, again.rna)
    assert not np.array_equal(first.rna, other.rna)


@pytest.mark.slow
def test_nothing_shared_is_no_regime():
    """Without the programs in RNA only the donors' composition is shared, which is next to nothing."""
    found = instrument_regime(CITE_PRESETS["both"].replace(rna_programs=0.0), rows=1024)
    assert found.regime is Regime.NEITHER
    assert found.shared < 0.01
    assert "nothing to recover" in found.summary()


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    """Elasticities of the ratios and slopes of the content by every parameter, against central differences."""
    rows, step = 400, 1e-4
    found = instrument_sensitivity(SMALL, rows=rows)
    for name in CiteSeq.parameters():
        value = float(getattr(SMALL, name))
        low, high = (instrument_regime(SMALL.replace(**{name: value * np.exp(sign * step)}), rows=rows)
                     for sign in (-1, 1))
        for objective in ("ca", "cp", "cp_reverse"):
            slope = (np.log(high.delta[objective]) - np.log(low.delta[objective])) / (2 * step)
            np.testing.assert_allclose(found.elasticities[objective][name], slope, rtol=1e-4, atol=1e-6)
            slope = (high.content[objective] - low.content[objective]) / (2 * step)
            np.testing.assert_allclose(found.content[objective][name], slope, rtol=1e-4, atol=1e-6)
