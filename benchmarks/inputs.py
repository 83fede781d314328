"""What is read from random files of tables and labels, beside what is in them.

A thousand files as people write them: separators, decimal commas, encodings, comments, compression, indices,
identifiers that look like numbers, missing values, classes of every type. Each is read twice: by phasejax, which is
told nothing but the rows that labels belong to, and by a reader that is told how the file was written (the arrays
themselves for tables, Python's `csv` module for labels). A file that is refused in one line is no wrong number; one
that is read differently is.
"""

import tempfile
import warnings
from collections import Counter
from pathlib import Path

from benchmarks.report import Row, row
from tests.io import label_files, text_files


def run(files: int = 500) -> list[Row]:
    """How many files are read as written, refused, and read wrongly.

    Args:
        files: of tables, and of labels.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tables = Counter()
        for seed in range(files):
            table = text_files.write_random_table(Path(folder), seed)
            tables["tables", text_files.outcome(table)] += 1
        labels = Counter()
        for seed in range(files):
            file = label_files.write_random_labels(Path(folder), seed)
            outcome = label_files.outcome(file)
            cases = [f"labels, {file.about['labels']}", f"labels, identifiers {file.about['ids']}"]
            labels.update((case, outcome) for case in (["labels, damaged"] if file.faults else ["labels", *cases]))
    for found in (tables, labels):
        for case in sorted({case for case, _ in found}):
            rows += [row(case, outcome, found[case, outcome], "files") for outcome in ("read", "refused", "wrong")]
    return rows
