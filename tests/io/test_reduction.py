"""Columns that others determine, and views with more columns than rows.

Situations, with public reports of the same kind: all levels of a category, copies and constants (cca_zoo #126,
scikit-learn #6002), thousands of columns on a few hundred rows (google-research #833).
"""

import re

import numpy as np
import pytest

from phasejax.io import Moments, Table
from phasejax.io import _reduction as reduction
from phasejax.io._reduction import PrincipalComponents, fit_width, independent_columns, reduce_to_rank

RNG = np.random.default_rng(0)
N = 400
PLAIN = RNG.standard_normal((N, 6))
CATEGORY = np.eye(4)[RNG.integers(0, 4, N)]


def rank(view):
    scaled = (view - view.mean(0)) / np.where(np.ptp(view, 0) > 0, view.std(0), 1)
    return np.linalg.matrix_rank(scaled, rtol=1e-6)


def with_category(view):
    return np.column_stack([view, CATEGORY])


VIEWS = {
    "one-hot": (with_category(PLAIN), 9, "1 of 10 columns left out: . is a combination of others"),
    "two one-hot blocks": (np.column_stack([CATEGORY, np.eye(3)[RNG.integers(0, 3, N)], PLAIN]), 11,
                           "2 of 13 columns left out: ., . are combinations of others"),
    "copies": (PLAIN[:, [0, 1, 0, 2, 1, 0]], 3, "3 of 6 columns left out: ., ., . are combinations of others"),
    "constant": (np.insert(PLAIN, 2, 7.3, 1), 6, "1 of 7 columns left out: 2 does not vary"),
    "constant but for rounding": (np.insert(PLAIN, 2, 0.1 + 1e-17 * RNG.standard_normal(N), 1), 6,
                                  "1 of 7 columns left out: 2 does not vary"),
    "both": (np.column_stack([np.zeros(N), PLAIN[:, 0], np.ones(N), -3 * PLAIN[:, 0]]), 1,
             "3 of 4 columns left out: 0, 2 do not vary; . is a combination of others"),
    "sums in single precision": (np.float32(RNG.dirichlet(np.ones(5), N)), 4, "1 of 5 columns left out: . is a "),
    "sparse counts": ((RNG.random((N, 30)) < 0.02) * RNG.integers(1, 9, (N, 30)), 30, None),
    "full rank": (PLAIN, 6, None),
    "nearly a copy": (np.column_stack([PLAIN, PLAIN[:, 0] + 1e-3 * RNG.standard_normal(N)]), 7, None),
}


@pytest.mark.parametrize("name", VIEWS)
def test_redundant_columns_are_left_out_and_named(name):
    view, expected, message = VIEWS[name]
    reduced, note = reduce_to_rank("x", view)
    assert reduced.shape == (len(view), expected)
    assert rank(reduced) == expected
    # The columns are those of the view, in order, and span what all of them span.
    places = [np.flatnonzero(np.all(view == column[:, None], axis=0))[0] for column in reduced.T]
    assert all(np.diff(places) > 0)
    if name != "constant but for rounding":
        assert rank(np.column_stack([reduced, view])) == expected
    if message is None:
        assert reduced is view
        assert note is None
    else:
        pattern = message.replace(".", r"\d+")
        assert note is not None
        assert len(note.splitlines()) == 1
        assert re.match(f"x: {pattern}", note), note


@pytest.mark.parametrize("name", VIEWS)
def test_what_is_left_out_does_not_depend_on_units(name):
    view, _, _ = VIEWS[name]
    view = np.float64(view)
    kept = independent_columns(Moments.of(view), 1e-7)
    units = 10.0 ** np.resize([-9, 3, 0, 5, -2, 7, -5], view.shape[1])
    for changed in (view * 1e-17, view * 1e17, view * units, -view):
        np.testing.assert_array_equal(independent_columns(Moments.of(changed), 1e-7), kept)
    if name != "constant but for rounding":  # a shift makes other columns such
        np.testing.assert_array_equal(independent_columns(Moments.of(view + 100), 1e-7), kept)


def test_columns_are_called_by_their_names():
    names = ["mass", "radius", *(f"type {level}" for level in "ABCD"), "constant"]
    view = np.column_stack([PLAIN[:, :2], CATEGORY, np.ones(N)])
    assert reduce_to_rank("y", view, names)[1].startswith("y: 2 of 7 columns left out: constant does not vary; type ")
    many = reduce_to_rank("x", np.tile(PLAIN[:, :1], 20))[1]
    assert many.endswith(" and 11 more are combinations of others")


def test_a_table_is_read_in_blocks_and_keeps_its_columns():
    view, calls = with_category(PLAIN), []

    def read(start, stop):
        calls.append((start, stop))
        return view[start:stop]

    reduced, note = reduce_to_rank("x", Table("x.npy", view.shape, view.dtype, read))
    assert isinstance(reduced, Table)
    assert reduced.shape == (N, 9)
    np.testing.assert_array_equal(reduced.rows(10, 20), reduce_to_rank("x", view)[0][10:20])
    assert note == reduce_to_rank("x", view)[1]


def test_nearly_dependent_columns_are_left_with_full_rank():
    """Smooth spectra: singular values fall by 1e12, so that ranks depend on a tolerance; what is kept is stable."""
    grid = np.linspace(0, 1, 60)
    view = RNG.standard_normal((N, 60)) * np.exp(-np.arange(60) / 2) @ np.cos(np.pi * np.outer(np.arange(60), grid))
    kept = independent_columns(Moments.of(view))
    scaled = view[:, kept] - view[:, kept].mean(0)
    values = np.linalg.svd(scaled / scaled.std(0), compute_uv=False) ** 2 / N
    assert 5 < len(kept) < 60
    assert values[-1] > len(kept) * 2e-14


def test_of_wide_views_only_constants_are_left_out():
    wide = np.column_stack([RNG.standard_normal((20, 40)), np.ones(20), np.zeros(20)])
    reduced, note = reduce_to_rank("x", wide)
    np.testing.assert_array_equal(reduced, wide[:, :40])
    assert note == "x: 2 of 42 columns left out: 40, 41 do not vary"
    with pytest.raises(ValueError, match=r"^x: expected columns that vary, got 2 constant$"):
        reduce_to_rank("x", np.ones((9, 2)))
    with pytest.raises(ValueError, match=r"^x: expected finite"):
        reduce_to_rank("x", np.full((2, 9), np.nan))


# Principal components


def oracle(rows, k, standardise):
    centred = rows - rows.mean(0)
    centred = centred / centred.std(0) if standardise else centred
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :k] * values[:k], values[:k] ** 2 / np.sum(values**2)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("shape", [(60, 8), (8, 60), (30, 30)])
def test_components_are_those_of_the_singular_value_decomposition(shape, standardise):
    rows = np.random.default_rng(1).standard_normal(shape) * np.geomspace(1, 5, shape[1])
    found = PrincipalComponents.fit(rows, 3, standardise=standardise)
    scores, explained = oracle(rows, 3, standardise)
    signs = np.sign(np.sum(found.transform(rows) * scores, axis=0))
    np.testing.assert_allclose(found.transform(rows), scores * signs, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.explained, explained, rtol=1e-9)
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(3), atol=1e-12)
    others = np.random.default_rng(2).standard_normal((4, shape[1]))
    np.testing.assert_allclose(found.transform(np.vstack([rows, others]))[-4:], found.transform(others), rtol=1e-12)
    wrong, _ = oracle(rows, 3, not standardise)
    assert not np.allclose(np.abs(found.transform(rows)), np.abs(wrong), rtol=1e-3)
    assert found.note("x").startswith(f"x: {shape[1]} columns reduced to 3 principal components with ")


def test_large_views_are_approximated(monkeypatch):
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((200, 4)) @ rng.standard_normal((4, 150)) * 3 + rng.standard_normal((200, 150))
    exact = PrincipalComponents.fit(rows, 4)
    monkeypatch.setattr(reduction, "_EXACT", 100)
    found = PrincipalComponents.fit(rows, 4)
    np.testing.assert_allclose(found.transform(rows), exact.transform(rows), rtol=1e-6, atol=1e-6)
    assert not np.array_equal(found.basis, exact.basis)


def test_components_do_not_depend_on_units():
    rows = with_category(PLAIN)
    for standardise, units in ((True, 10.0 ** np.resize([-9, 3, 0, 5], 10)), (True, 1e160), (False, 1e-160)):
        first, second = (PrincipalComponents.fit(view, 4, standardise=standardise) for view in (rows, rows * units))
        scores = [found.transform(view) for found, view in ((first, rows), (second, rows * units))]
        np.testing.assert_allclose(scores[1] / (1 if standardise else units), scores[0], rtol=1e-9, atol=1e-9)


def test_constant_columns_have_no_part_in_components():
    rows = np.insert(PLAIN, 2, 1e9, 1)
    found, plain = PrincipalComponents.fit(rows, 3), PrincipalComponents.fit(PLAIN, 3)
    np.testing.assert_allclose(found.transform(rows), plain.transform(PLAIN), rtol=1e-9)
    assert np.all(found.basis[2] == 0)
    rows[:, 2] += 1  # another constant in other rows
    assert np.isfinite(found.transform(rows)).all()


@pytest.mark.parametrize(("rows", "k", "message"), [
    (PLAIN, 7, "pca: expected at most 6 components of 400 rows and 6 columns that vary, got 7"),
    (PLAIN[:4], 4, "pca: expected at most 3 components of 4 rows and 6 columns that vary, got 4"),
    (with_category(PLAIN), 10, "pca: expected at most 9 components, the rank of the rows, got 10"),
    (PLAIN, 0, "pca: expected a whole number of at least 1, got 0"),
])
def test_more_components_than_there_are_is_refused(rows, k, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        PrincipalComponents.fit(rows, k)


def test_widths_leave_three_rows_for_each_column():
    for n, d_x, d_y in ((300, 20_000, 20_000), (300, 20_000, 10), (10, 4000, 300), (301, 40, 302), (7, 7, 7)):
        k_x, k_y = fit_width(n, d_x, d_y)
        assert 1 <= k_x <= d_x
        assert 1 <= k_y <= d_y
        assert n >= 3 * (k_x + k_y)
    assert fit_width(300, 299, 10) == (299, 10)
    with pytest.raises(ValueError, match=r"^n: expected at least 6 rows"):
        fit_width(5, 9, 9)


def test_wide_views_never_need_a_matrix_of_all_columns(monkeypatch):
    rows = np.float32(np.random.default_rng(4).standard_normal((300, 20_000)))
    sizes, found_by = [], reduction._leading_eigenvectors
    monkeypatch.setattr(reduction, "_leading_eigenvectors",
                        lambda matrix, k: sizes.append(len(matrix)) or found_by(matrix, k))
    found = PrincipalComponents.fit(rows, 50)
    assert found.transform(rows).shape == (300, 50)
    assert sizes == [300]
