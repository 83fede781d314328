"""Nonlinear experiments: encoders trained on rendered or measured pairs (K26, section 4)."""

from phasejax._lazy import lazily

# Where each public name lives; nothing is imported before it is asked for.
_HOME = {
    "Architecture": "objectives",
    "Decoder": "networks",
    "Encoder": "networks",
    "Experiment": "experiment",
    "LinearHead": "networks",
    "MLP": "networks",
    "PRESETS": "experiment",
    "ProbeRows": "probes",
    "ProbeScores": "probes",
    "ProjectionHead": "networks",
    "Stereo": "stereo",
    "TrainedGrid": "grid",
    "Training": "training",
    "Views": "training",
    "draw": "stereo",
    "evaluate": "evaluation",
    "losses": None,
    "probe": "probes",
    "render": "stereo",
    "seed_interval": "probes",
    "stereo_dsprites": "stereo",
    "stereo_shapes3d": "stereo",
    "train_grid": "grid",
}
__all__ = list(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
