"""Does the diagnosis say the same of the same data? On the real pairs of `benchmarks.decision`, with 300 labels.

Without a pilot all that is drawn (folds, permutations, random features, bootstrap) is the same at every call, and does
not depend on how rows are sorted. To draw anew one row is left out, another one each time, without a label where there
are such rows: what then changes is chance. With a pilot all rows are diagnosed with other seeds, from which networks
start.

Shown are shares of the pairs of which all diagnoses say the same: the best of every comparison, whether it is decided
and sure, the regime at n, every word of the summary with the numbers left out. Of all choices, one for each comparison
and diagnosis, it is shown how many are that of the first diagnosis, and how many are decided for another one though the
first is decided too; and of scores, how many lie within the first one's interval.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks import decision_pairs
from benchmarks.decision import COMPARISONS, with_labels
from benchmarks.report import Row, row
from phasejax import __version__, diagnose
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis._representations import NAMES

_REAL = ("digits", "tables", "patches", "folder")
_NUMBER = re.compile(r"-?\d*\.?\d+%?")


def run(names: Sequence[str] | None = None, seeds: int = 8, kinds: Sequence[Literal["a row less", "pilot"]] =
        ("a row less", "pilot"), k: int = 8, m: int = 300, store: Path | None = None,
        progress: bool | ProgressCallback = False) -> list[Row]:
    """Rows for diagnoses without a pilot that lack a row each, and for those with a pilot and other seeds.

    Args:
        names: of pairs; all real ones whose data are there when left out.
        seeds: their number, and that of diagnoses without a pilot, of which the first has all rows.
        kinds: which of the two.
        k: width, or the most that views of few columns allow.
        m: labelled rows.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        progress: False, True for a bar, or a callback that is called after every part.
    """
    if names is None:
        names = [name for name, source in decision_pairs.available().items() if source.group in _REAL]
    points = list(product(kinds, names, range(seeds)))
    parts = compute_parts(points, lambda kind, name, seed: _said(name, kind, seed, k, m),
                          settings=json.dumps([__version__, k, m]), store=store, progress=progress, precision=None,
                          workers=1, task="decision_seeds")
    found = dict(zip(points, parts, strict=True))
    return [entry for kind in kinds
            for entry in _agreement(kind, names, {name: [found[kind, name, seed] for seed in range(seeds)]
                                                  for name in names})]


def _said(name: str, kind: str, seed: int, k: int, m: int) -> Mapping[str, Any]:
    """Choices, regime, words and scores of one diagnosis."""
    given = with_labels(decision_pairs.load(name), m)
    x, y, labelled, labels = given.x, given.y, given.rows, given.labels
    if kind == "a row less" and seed:
        unlabelled = np.setdiff1d(np.arange(len(x)), labelled)
        kept = np.arange(len(x)) != np.random.default_rng(seed).choice(unlabelled if unlabelled.size else labelled)
        x, y, labels, places = x[kept], y[kept], labels[kept[labelled]], np.cumsum(kept) - 1
        labelled = places[labelled[kept[labelled]]]
    widest = min(x.shape[1], y.shape[1]) - 1
    found: Any = diagnose(x, y, labels, labelled=labelled, label_kind=given.kind, k=min(k, widest), fit=False,
                          pilot=kind == "pilot", seed=seed)
    choices = [found.best(among) for among in COMPARISONS.values()]
    scores = [found.scores[0].score(one) for one in NAMES]
    return {"names": [choice.name for choice in choices], "decided": [choice.decided for choice in choices],
            "sure": [choice.sure for choice in choices], "regime": str(found.regime),
            "words": _NUMBER.sub("#", found.summary()),
            "scores": [(score.value, score.low, score.high) for score in scores]}


def _agreement(kind, names, said) -> list[Row]:
    """How often all diagnoses of a pair say the same, and numbers stay within the first one's intervals."""
    what = {"a row less": "without a pilot, a row less", "pilot": "with a pilot, other seeds"}[kind]
    rows, several = [], {"best": ("names",), "best and decided": ("names", "decided"),
                         "best, decided and sure": ("names", "decided", "sure"), "regime": ("regime",),
                         "words of the summary": ("words",)}
    for title, fields in several.items():
        same = [all(np.array_equal(one[field], found[0][field]) for one in found for field in fields)
                for found in said.values()]
        rows.append(row(f"{what}, {title}", "same_of_pairs", np.mean(same), "share"))
        for name, unchanged in zip(names, same, strict=True):
            if not unchanged:
                print(f"{what}, {title}: {name} differs", flush=True)
    best, decided = (np.array([[one[field] for one in found] for found in said.values()])
                     for field in ("names", "decided"))  # pairs, diagnoses, comparisons
    same = best[:, 1:] == best[:, :1]
    scores = np.array([[one["scores"] for one in found] for found in said.values()])  # pairs, diagnoses, names, three
    within = (scores[:, 1:, :, 0] >= scores[:, :1, :, 1]) & (scores[:, 1:, :, 0] <= scores[:, :1, :, 2])
    return [*rows, row(f"{what}, best", "same_of_choices", same.mean(), "share"),
            row(f"{what}, best and decided", "same_of_choices",
                (same & (decided[:, 1:] == decided[:, :1])).mean(), "share"),
            row(f"{what}, decided for another one", "share_of_choices",
                (~same & decided[:, 1:] & decided[:, :1]).mean(), "share"),
            row(f"{what}, scores", "within_first_interval", within.mean(), "share"),
            row(f"{what}, pairs", "pairs", len(said), "1")]
