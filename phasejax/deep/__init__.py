"""Nonlinear experiments: encoders trained on rendered or measured pairs (K26, section 4)."""

import importlib

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


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME[name]
    module = importlib.import_module(f"{__name__}.{home or name}")
    return module if home is None else getattr(module, name)


def __dir__():
    return sorted(__all__)
