"""Calls of public functions with one or two arguments that do not fit."""

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.fuzz.odd_values import kind_of, odd_value
from tests.fuzz.public_functions import Call, calls

_SLOW = (
    "diagnose",
    "diagnose_again",
    "shared_signal",
    "label_content",
    "fair_scores",
    "scores_over_k",
    "predict_scores",
    "sweep",
    "_swept",
    "_first_check",
    "compare_representations",
    "train",
    "train_grid",
    "train_info_nce",
    "run_imposed_alignment",
    "run_emergent_alignment",
    "pilot_embeddings",
    "estimate_decomposition",
    "nearest_boundary",
    "sensitivity",
    "finite_sample",
    "render",
    "stereo_dsprites",
    "svcca",
    "plot_phase_diagram",
    "plot_diagnosis",
    "write_report",
)
# What stands for a kind of object that no argument of this package is.
_WRONG = (
    None,
    object(),
    int,
    ...,
    lambda: None,
    {"a": 1},
    {1, 2},
    1j,
    True,
    b"x",
    [[1], [2, 3]],
    10**400,
    np.array(2),
    np.zeros(0),
    np.zeros((2, 2, 2)),
    np.array(["a", "b"]),
    np.array([1, None], object),
    np.ma.masked_array([1.0, 2.0], [True, False]),
    Decimal("0.5"),
    Path("nothing"),
    range(3),
    "a\nb",
)


def odd_call(rng: Random, quick: bool = False) -> tuple[Call, dict[str, Any]]:
    """A function, and its arguments with one or two exchanged. Models and results of this package are left alone.

    Args:
        rng: source of all choices.
        quick: whether only functions are chosen that compile no large program.
    """
    call = rng.choice([call for call in calls() if not (quick and call.name in _SLOW)])
    names = tuple(call.arguments)
    chosen = rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2))))
    return call, {name: _odd(rng, name, call.arguments[name]) for name in chosen}


def _odd(rng, name, good):
    kind = kind_of(name, good)
    return rng.choice(_WRONG) if kind == "skip" or rng.random() < 0.4 else odd_value(rng, kind)
