"""Confounders: read in several forms, joined to rows as groups are, and encoded as columns."""

import re

import numpy as np
import pandas as pd
import pytest

from phasejax.io import match_rows
from phasejax.io._confounders import confounders_of_rows, encode_confounders, named_confounders

IDS = [f"s{i}" for i in (3, 1, 4, 0, 5, 2, 7, 6)]
X = pd.DataFrame(np.arange(16.0).reshape(8, 2) ** 2, index=IDS, columns=["a", "b"])
META = pd.DataFrame({"site": list("uvuvuvuv"), "age": np.arange(8) + 0.5}, index=sorted(IDS))


def joined(confounders, **options):
    matched = match_rows(X, X.iloc[::-1], labels=np.arange(8.0))
    return confounders_of_rows(named_confounders(confounders), matched, **options)


def test_text_and_numbers_of_a_data_frame_are_joined_by_identifier():
    _, columns = joined(META)
    assert columns["site"].tolist() == META.site[IDS].tolist()
    assert columns["age"].tolist() == META.age[IDS].tolist()
    _, of_column = joined(META.reset_index(names="sample_id"))
    assert of_column["age"].tolist() == columns["age"].tolist()


def test_values_without_identifiers_are_those_of_the_rows_of_x():
    matched = match_rows(X, X.iloc[[6, 2, 5]])  # in the order of x: rows 2, 5, 6
    given = named_confounders({"plate": np.arange(8), "gain": np.arange(8.0) / 3})
    found, columns = confounders_of_rows(given, matched)
    assert columns["plate"].tolist() == [2, 5, 6]
    assert "confounders: no identifiers, so they are paired with the rows of x by position" in found.notes


def test_rows_without_a_confounder_are_refused_or_left_out_with_their_labels():
    gap = META.site.where(META.index != "s4", "")
    with pytest.raises(ValueError, match="confounders: expected a value in every row, got 1 of 8 without, the first in "
                                         r"row 2 \(missing 'drop' leaves"):
        joined(gap)
    matched, columns = joined(gap, missing="drop")
    assert len(columns["site"]) == len(matched.x) == len(matched.y) == 7
    assert matched.labels.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert matched.rows.tolist() == [0, 1, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(matched.x, np.delete(X.to_numpy(), 2, 0))


def test_what_is_a_class_and_what_counts_linearly():
    n = 60
    found = encode_confounders({
        "text": np.array(["a", "b", "c"])[np.arange(n) % 3], "flag": np.arange(n) % 4 == 0, "plate": np.arange(n) // 10,
        "counts": np.arange(n) * 7, "whole": np.arange(n) % 3 * 1.0, "age": np.linspace(1e9, 1e9 + 1, n)})
    assert found.levels == (3, 2, 6, 0, 3, 0)
    assert found.words() == ("text (3 levels), flag (2 levels), plate (6 levels), counts (real), whole (3 levels), "
                             "age (real)")
    np.testing.assert_allclose(found.known[:, [11, 15]].std(0), 1)
    assert found.rank == 1 + 2 + 1 + 5 + 1  # "whole" repeats "text", and "age" repeats "counts"
    pairs = {tuple(row) for row in np.column_stack([np.arange(n) % 3, np.arange(n) % 4 == 0, np.arange(n) // 10])}
    assert len(np.unique(found.cells)) == len(pairs)


@pytest.mark.parametrize(("columns", "message"), [
    ({"site": np.array(["u"] * 8)}, "confounders: expected at least 2 levels, got only u in site"),
    ({"age": np.full(8, 2.5)}, "confounders: expected values that vary, got only 2.5 in age"),
    ({"age": np.array([1, 2, np.inf, 4])}, "confounders: expected finite numbers, got inf in age"),
    ({"donor": np.array(list("abcdefgh"))}, "confounders: expected levels of 2 rows or more on average, got 8 in the 8 "
                                            "rows of donor"),
    ({f"c{i}": np.random.default_rng(i).standard_normal(8) for i in range(4)},
     "confounders: expected at most half as many columns as the 8 rows, got 4")])
def test_confounders_that_cannot_be_removed_are_refused(columns, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        encode_confounders(columns)


@pytest.mark.parametrize(("values", "message"), [
    (np.arange(5), "confounders: expected 8 rows, one for each row of x, got 5"),
    (pd.Series(["u", "v"], index=["q1", "q2"]), "confounders: expected identifiers that the rows have too, got none")])
def test_confounders_of_other_rows_are_refused(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        joined(values)
