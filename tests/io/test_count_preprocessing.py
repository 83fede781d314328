"""Preprocessing of counts against numbers of scanpy 1.11.5 and muon 0.1.9 on the same counts."""

import sys

import numpy as np
import pytest
import scipy.sparse

from phasejax.io import centred_log_ratio, highly_variable_genes, log_normalise
from phasejax.io._count_preprocessing import _normalised_dispersion


@pytest.fixture(scope="module")
def counts():
    """30 cells of 40 genes, one of which no cell has and one a single cell."""
    rng = np.random.default_rng(7)
    found = rng.negative_binomial(2, 0.3, (30, 40)) * rng.integers(0, 2, (30, 40))
    found = rng.poisson(found * np.exp(rng.standard_normal(40)))
    found[:, 5] = 0
    found[:, 11] = 0
    found[3, 11] = 1
    assert found.sum() == 3389
    return found


def test_log_normalisation_is_scanpys(counts):
    for given in (counts, scipy.sparse.csr_matrix(counts), scipy.sparse.csc_array(counts)):
        found = log_normalise(given)
        assert scipy.sparse.issparse(found) == scipy.sparse.issparse(given)
        found = found.toarray() if scipy.sparse.issparse(found) else found
        np.testing.assert_allclose(found[2, [2, 7]], [7.1316985104669115, 4.741765063166549])
        assert found.sum() == pytest.approx(2646.5689571579983)


def test_variable_genes_are_scanpys(counts):
    for given in (counts, scipy.sparse.csr_matrix(counts)):
        assert highly_variable_genes(given, 10).tolist() == [1, 13, 17, 19, 20, 22, 25, 26, 27, 28]
    np.testing.assert_allclose(
        _normalised_dispersion(counts)[:8],
        [-0.8787123882775508, 1.3405547126551143, -0.7072323233544223, 0.7706491834389869, 0.7818084427273105, np.nan,
         -0.8975219190583803, -1.3050006347774985])
    np.testing.assert_array_equal(highly_variable_genes(counts, 10**4), np.setdiff1d(np.arange(40), [5, 11, 32]))


def test_genes_do_not_depend_on_the_order_of_cells_or_on_depth(counts):
    rng = np.random.default_rng(0)
    deeper = counts[rng.permutation(30)] * rng.integers(1, 9, (30, 1))
    np.testing.assert_array_equal(highly_variable_genes(deeper, 10), highly_variable_genes(counts, 10))


def test_centred_log_ratios_are_muons(counts):
    few = counts[:6, :8]
    for flavour, axis, row in (
            ("stoeckius", 0, [-0.7675283643313486, 1.2231698466519902, -0.41415110829799995, 0.0]),
            ("stoeckius", 1, [-0.3744665341942489, 2.621265739359742, -0.3744665341942489, -0.3744665341942489]),
            ("seurat", 0, [0.0, 1.4417396054881868, 0.0, 0.0]), ("seurat", 1, [0.0, 2.6437224607169227, 0.0, 0.0])):
        np.testing.assert_allclose(centred_log_ratio(few, flavour, axis=axis)[1, :4], row, atol=1e-14)
    np.testing.assert_array_equal(centred_log_ratio(scipy.sparse.csr_matrix(few)), centred_log_ratio(few))


def test_scanpy_is_asked_for_where_it_is_missing(counts, monkeypatch):
    monkeypatch.setitem(sys.modules, "scanpy", None)
    with pytest.raises(ValueError, match=r"flavour: expected scanpy and scikit-misc for seurat_v3, got .*phasejax\[sc"):
        highly_variable_genes(counts, 10, "seurat_v3")


@pytest.mark.parametrize(("bad", "message"), [
    ([[1, -1], [0, 2]], "counts: expected no negative numbers, got -1"),
    ([[1, np.nan], [0, 2]], "counts: expected finite numbers, got 1 that are not"),
    ([1, 2], r"counts: expected cells and genes, got shape \(2,\)"), ([["a"]], "counts: expected numbers, got")])
def test_what_is_no_count_is_refused(bad, message):
    for function in (log_normalise, centred_log_ratio, highly_variable_genes):
        with pytest.raises(ValueError, match=message):
            function(bad)
