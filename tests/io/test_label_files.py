"""Files of labels in random forms, against an independent reader that is told how each is written."""

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from phasejax.io import match_rows
from tests.io.label_files import LABEL_KINDS, outcome, write_random_labels


def check_random_labels(folder, seeds):
    """No label is another than in the file; what cannot be read is refused. Returns the outcomes of readable files."""
    found = Counter()
    for seed in seeds:
        file = write_random_labels(folder, seed)
        result = outcome(file)
        assert result == "refused" if file.faults else result != "wrong", file.described
        found[result] += not file.faults
    return found


def test_random_files_of_labels_are_read_as_written_or_refused(tmp_path):
    found = check_random_labels(tmp_path, range(100))
    assert found["read"] > 0.8 * (found["read"] + found["refused"])


@pytest.mark.slow
def test_many_random_files_of_labels_are_read_as_written_or_refused(tmp_path):
    found = check_random_labels(tmp_path, range(1000, 1500))
    assert found["read"] > 0.8 * (found["read"] + found["refused"])


def test_a_label_of_another_row_counts_as_wrong(tmp_path):
    """The independent reader notices rows in another order, a shifted identifier and another label."""
    told = 0
    for seed in range(40):
        file = write_random_labels(tmp_path, seed)
        if file.index is None or file.faults or outcome(file) != "read" or file.about["labels"] in LABEL_KINDS[:7]:
            continue
        told += 1
        shifted = replace(file, index=pd.Index([*file.index[1:], file.index[0]]))
        assert shifted.expected() != file.expected()
        assert outcome(shifted) == "read"
        assert outcome(replace(file, about={**file.about, "id_place": file.about["label_place"]})) == "wrong"
    assert told > 2


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_identifiers_of_labels_that_repeat_are_refused_where_rows_have_some(tmp_path, ending):
    frame = pd.DataFrame({"object_id": [1, 2, 2, 4], "class": ["a", "b", "a", "b"]})
    path = tmp_path / f"labels.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    x, y = (pd.DataFrame({"a": [0.5, 1.5, 2.5, 3.5]}, index=[4, 3, 2, 1]) for _ in "xy")
    with pytest.raises(ValueError, match="labels: expected identifiers that all differ, got 2 in 2 rows"):
        match_rows(x, y, f"{path}:class")
    assert match_rows(x.to_numpy(), y.to_numpy(), f"{path}:class").labels.ravel().tolist() == ["a", "b", "a", "b"]
