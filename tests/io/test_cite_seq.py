"""CITE-seq in AnnData files: feature types, counts wherever they are, and donors that are held out."""

import sys

import numpy as np
import pandas as pd
import pytest

from phasejax.io import centred_log_ratio, highly_variable_genes, log_normalise, read_cite_seq
from tests.published_layout import cells, write_cells

pytest.importorskip("anndata")


@pytest.fixture(autouse=True)
def _unchecked(monkeypatch):
    """Without the process that looks through each new file for damage, which has tests of its own."""
    monkeypatch.setattr("phasejax.io._hdf5.check_hdf5", lambda file, name: None)


def test_cells_are_preprocessed_and_donors_held_out(tmp_path):
    counts, kinds, obs = cells()
    found = read_cite_seq(write_cells(tmp_path / "bmmc.h5ad", counts, kinds, obs), genes=10)
    kept = (obs["cell_type"] != "rare").to_numpy()
    assert found.targets["cell_type"].tolist() == obs["cell_type"][kept].tolist()
    assert set(found.nuisance) == {"donor", "batch", "site"}
    assert found.nuisance["batch"].tolist() == obs["batch"][kept].tolist()
    donors = obs["DonorNumber"][kept].to_numpy()
    of = {part: set(donors[found.rows(part)]) for part in ("train", "validation", "test")}
    assert [len(one) for one in of.values()] == [4, 1, 1]
    assert len(set.union(*of.values())) == 6
    np.testing.assert_array_equal(donors[:, None] == donors, found.groups[:, None] == found.groups)
    np.testing.assert_allclose(found.y, centred_log_ratio(counts[kept, 40:]), rtol=1e-6)
    genes = highly_variable_genes(counts[kept][found.rows("train"), :40], 10)
    np.testing.assert_allclose(found.x, log_normalise(counts[kept, :40])[:, genes], rtol=1e-6)
    assert any(note.startswith("1 type of fewer than 20 cells left out: rare") for note in found.notes)
    assert found.ids["cell"][0] == obs.index[kept][0]


@pytest.mark.parametrize("where", ["X", "raw_counts", "raw"])
def test_counts_are_found_and_other_spellings_too(tmp_path, where):
    counts, kinds, obs = cells()
    plain = read_cite_seq(write_cells(tmp_path / "plain.h5ad", counts, kinds, obs), genes=10)
    other = ["Gene Expression" if kind == "GEX" else "Antibody Capture" for kind in kinds]
    obs = obs.rename(columns={"cell_type": "celltype", "DonorNumber": "donor_id"})
    file = tmp_path / "other.h5ad"
    if where == "raw":
        import anndata

        whole = anndata.AnnData(counts, obs=obs, var=pd.DataFrame({"feature_types": other},
                                                                   index=[f"f{i}" for i in range(48)]))
        whole.raw = whole.copy()
        whole.X = np.log1p(counts)
        whole.write_h5ad(file)
    else:
        in_x = where == "X"
        write_cells(file, counts, other, obs, layer=None if in_x else where, x=counts if in_x else None)
    found = read_cite_seq(file, genes=10)
    np.testing.assert_array_equal(found.x, plain.x)
    np.testing.assert_array_equal(found.y, plain.y)
    np.testing.assert_array_equal(found.split, plain.split)


def test_donors_of_each_part_may_be_said(tmp_path):
    counts, kinds, obs = cells()
    file = write_cells(tmp_path / "x.h5ad", counts, kinds, obs.assign(part=np.repeat(
        ["train", "val", "test"], 60), mixed=["train", "val", "test"] * 60))
    by_donor = read_cite_seq(file, split={"train": [0, 1], "val": [2, 3], "test": ["4", "5"]}, genes=5)
    by_column = read_cite_seq(file, split="part", genes=5)
    np.testing.assert_array_equal(by_donor.split, by_column.split)
    for split, message in (
            ("mixed", "x.h5ad: expected every donor in one part of the split, got donor 0 in test, train, validation"),
            ({"train": [0, 1, 4], "validation": [2, 3], "test": [4, 5]},
             "split: expected every donor in one part, got donor 4 in both train and test"),
            ({"train": [0, 1], "validation": [2], "test": [4, 5]}, "expected every donor of .* got none for 3"),
            ({"train": [0, 1, 2, 3, 4, 5]}, "split: expected cells to train, .* got none for validation, test"),
            ({"train": [0, 1], "validation": [2, 3], "test": [4, 5, 9]}, "expected donors out of 0, 1, .* got 9"),
            ({"training set": [0]}, "split: expected donors of train, validation and test"), ("no", "called no, got")):
        with pytest.raises(ValueError, match=message):
            read_cite_seq(file, split=split)


def test_an_embedding_takes_the_place_of_genes(tmp_path):
    counts, kinds, obs = cells()
    file, kept = write_cells(tmp_path / "x.h5ad", counts, kinds, obs), (obs["cell_type"] != "rare").to_numpy()
    embedding = np.random.default_rng(0).standard_normal((180, 7))
    for rows in (slice(None), kept):
        np.save(tmp_path / "e.npy", embedding[rows])
        np.testing.assert_allclose(read_cite_seq(file, rna=tmp_path / "e.npy").x, embedding[kept], rtol=1e-6)
    np.save(tmp_path / "e.npy", embedding[:-3])
    with pytest.raises(ValueError, match=r"e.npy: expected numbers with a row for each of 180 cells, or "):
        read_cite_seq(file, rna=tmp_path / "e.npy")


def test_what_is_no_cite_seq_is_refused(tmp_path, monkeypatch):
    counts, kinds, obs = cells()

    def refused(message, counts=counts, kinds=kinds, obs=obs, layer: str | None = "counts", **options):
        with pytest.raises(ValueError, match=message) as caught:
            read_cite_seq(write_cells(tmp_path / "x.h5ad", counts, kinds, obs, layer=layer), **options)
        assert "\n" not in str(caught.value)

    refused("x.h5ad: expected counts, .* in layers/counts or X, got .* in X; are they normalised", layer=None)
    refused("x.h5ad: expected features of the type ADT .* got GEX", kinds=["GEX"] * 48)
    refused(r"x.h5ad: expected a column of obs with the donor \(DonorNumber", obs=obs.drop(columns="DonorNumber"))
    refused("x.h5ad: expected a column of obs with the donor called who, got", donor="who")
    refused("expected at least 3 donors, to train, validate and test on, got 2", obs=obs.assign(
        DonorNumber=np.arange(180) % 2))
    refused("expected at least 2 types of 100 cells or more, got 0 of 4", least_cells=100)
    broken = counts.copy()
    broken[170, 3] = np.nan
    refused("x.h5ad:layers/counts: expected finite values, got 1", counts=broken)
    with pytest.raises(ValueError, match=r"none.h5ad: expected a readable file"):
        read_cite_seq(tmp_path / "none.h5ad")
    monkeypatch.setitem(sys.modules, "anndata.io", None)
    with pytest.raises(ValueError, match=r"expected anndata to read it with, .*phasejax\[anndata\]"):
        read_cite_seq(tmp_path / "x.h5ad")
