"""Information structure of two modalities, and how alignment emerges from it or is imposed on it.

T25 stands for Tjandrasuwita et al., *Understanding the Emergence of Multimodal Representation Alignment*,
arXiv 2502.16282; F26 for Fang, Zhang and Chan, *To Align or Not to Align*, arXiv 2511.12121.
"""

from phasejax._lazy import lazily

# Where each public name lives; nothing is imported before it is asked for.
_HOME = {
    "EMERGENCE_PRESETS": "emergence",
    "STRENGTH_PRESETS": "strength",
    "Decomposition": "decomposition",
    "Emergence": "emergence",
    "EstimatedDecomposition": "estimates",
    "Information": "bits",
    "Rows": "bits",
    "SharedUniqueBits": "bits",
    "Strength": "strength",
    "TanhNetwork": "bits",
    "best_strength": "strength",
    "correlation_with_accuracy": "emergence",
    "decompose": "decomposition",
    "draw_rows": "bits",
    "estimate_decomposition": "estimates",
    "joint_table": "bits",
    "mutual_information": "bits",
    "pair_table": "bits",
    "run_emergence": "emergence",
    "run_strength": "strength",
    "shared_unique_bits": "bits",
    "tanh_network": "bits",
}
__all__ = list(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
