"""All metrics under one signature."""

from collections.abc import Callable
from functools import partial

from phasejax.alignment.correlations import correlation_matrix_distance, mean_canonical_correlation, svcca
from phasejax.alignment.kernels import cka, cknna
from phasejax.alignment.neighbours import cycle_knn, edit_distance_knn, lcs_knn, mutual_knn

# Functions of (x, y), every other choice at its default.
METRICS: dict[str, Callable] = {
    "mutual_knn": mutual_knn,
    "cycle_knn": cycle_knn,
    "lcs_knn": lcs_knn,
    "edit_distance_knn": edit_distance_knn,
    "cka": cka,
    "cka_unbiased": partial(cka, unbiased=True),
    "cka_rbf": partial(cka, kernel="rbf"),
    "cka_rbf_unbiased": partial(cka, kernel="rbf", unbiased=True),
    "cknna": cknna,
    "svcca": svcca,
    "mean_canonical_correlation": mean_canonical_correlation,
    "correlation_matrix_distance": correlation_matrix_distance,
}
# For these alignment is a low value.
DISTANCES = frozenset({"correlation_matrix_distance"})
