"""How aligned are two representations of the same n samples: metrics, their significance, one table of all.

Every metric is a function of x (n, d_x) and y (n, d_y), rows that pair, and returns a number. PRH stands for Huh,
Cheung, Wang and Isola, *The Platonic Representation Hypothesis*, 2024, T25 for Tjandrasuwita et al., *Understanding the
Emergence of Multimodal Representation Alignment*, arXiv 2502.16282.
"""

from phasejax._lazy import lazily

# Where each public name lives; nothing is imported before it is asked for.
_HOME = {
    "AlignmentTable": "table",
    "METRICS": "table",
    "Measured": "table",
    "align": "table",
    "cka": "kernels",
    "cknna": "kernels",
    "correlation_matrix_distance": "correlations",
    "cycle_knn": "neighbours",
    "edit_distance_knn": "neighbours",
    "lcs_knn": "neighbours",
    "mean_canonical_correlation": "correlations",
    "mutual_knn": "neighbours",
    "nearest_neighbours": "neighbours",
    "svcca": "correlations",
}
__all__ = list(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
