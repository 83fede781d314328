"""What the JSON of every diagnosis has in common: a schema with a version, and the same keys whatever the method.

The keys are described in docs/json.md. A reader that knows the version finds every key there; what a method does not
estimate is null. The version rises when a key changes its meaning or goes.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from phasejax._core.serialise import plain, schema

_COLUMNS = ("quantity", "k", "source", "value", "low", "high")

KEYS = (
    # The answer.
    "verdict", "recommendation", "regime", "unlimited_regime", "likeliest", "objective", "uses", "seen", "warnings",
    # The data and what was asked.
    "method", "n", "labelled", "groups", "d_x", "d_y", "label_columns", "kind", "k", "k_estimated", "directions",
    "confidence", "computed_on",
    # Method content.
    "shared", "content", "scores", "spectra", "confounders", "fit",
    # Methods moments and spectral.
    "estimates", "probabilities", "reverse_probability", "reduced_chi2", "sensitivity", "predicted_scores", "draws",
    "delta_ca", "delta_cp", "delta_cp_reverse", "ca", "cp", "cp_reverse",
    # Method spectral.
    "pls", "r_ca", "r_cp", "composite_delta_ca", "composite_delta_cp", "kappa", "nu", "gamma_x", "gamma_y",
    "nuisance_x", "nuisance_y", "dominance_x", "dominance_y",
)


def document(version: str, found: dict[str, Any]) -> dict[str, Any]:
    """Everything that a diagnosis found under the keys of every diagnosis, as plain Python objects.

    Args:
        version: of the package that made the diagnosis.
        found: values by key; those that are left out become None.
    """
    return {**schema("phasejax.diagnosis", 1), "phasejax_version": version, **dict.fromkeys(KEYS), **plain(found)}


def table(rows: Iterable[tuple[str, int | None, str, Any]]) -> pd.DataFrame:
    """Estimates of a diagnosis as a table, one in each row.

    Args:
        rows: of each estimate the quantity, the number of components that it is for, what it was estimated from, and
            the estimate: a number, or what has a value, low and high.
    """
    return pd.DataFrame([(quantity, k, source, *(getattr(one, part, None) for part in ("value", "low", "high")))
                         if hasattr(one, "value") else (quantity, k, source, one, None, None)
                         for quantity, k, source, one in rows], columns=pd.Index(_COLUMNS)).astype({"k": "Int64"})
