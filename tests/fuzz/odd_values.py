"""Values that arguments of public functions do not stand for, or hardly, by the kind of argument."""

import math
from random import Random
from typing import Any

import numpy as np

from tests.fuzz.sound_files import ESCAPE, views


def _fails(*_):
    raise KeyError("inside a user's function")


_OF_NONE = {
    "groups": "array",
    "labelled": "rows",
    "pca": "whole",
    "components": "whole",
    "block": "whole",
    "n": "whole",
    "memory": "text",
    "lam": "real",
    "loadings": "array",
    "basis": "array",
    "basis_x": "array",
    "basis_y": "array",
    "id_column": "text",
    "k": "whole",
    "d_y": "whole",
    "name": "text",
    "sources": "names",
    "store": "path",
    "figure": "skip",
    "weight_decays": "skip",
}


def kind_of(name, good):
    """What kind of values an argument takes, by its name and by a value that works."""
    if name in ("labelled", "fold"):
        return "rows"
    if name in ("x", "y", "labels") and isinstance(good, np.ndarray):
        return "array"
    if name == "path":
        return "path"
    match good:
        case None:
            return _OF_NONE.get(name, "skip")
        case bool():
            return "skip"
        case int():
            return "whole"
        case float():
            return "real"
        case str():
            return "text"
        case np.ndarray():
            return "array"
        case list() | tuple() if good and all(isinstance(one, str) for one in good):
            return "names"
        case list() | tuple() | range() if good and all(isinstance(one, int) for one in good):
            return "wholes"
        case dict():
            return "axes"
    return "function" if callable(good) and name == "function" else "skip"


def odd_value(rng: Random, kind: str) -> Any:
    """Something that an argument of a kind does not stand for, or hardly."""
    x, _, labels = views()
    whole = (
        None,
        1.5,
        -1,
        0,
        10**12,
        2**64,
        2**70,
        -(2**63) - 1,
        "a",
        "",
        math.nan,
        math.inf,
        [1],
        np.float32(0.5),
        np.int64(2),
        np.array(2),
        2.0,
        10**400,
        "3",
    )
    real = (
        None,
        "a",
        math.nan,
        math.inf,
        -math.inf,
        -1,
        0,
        2,
        1e300,
        -1e300,
        1e-320,
        [0.5],
        np.float32(0.5),
        10**400,
        1j,
        np.array(0.5),
        "0.5",
    )
    text = (None, "", "nonsense", ESCAPE, 3, 0.5, [], "n" * 10_000, "a\nb", b"x", ["a"], True)
    arrays = (
        None,
        "text",
        5,
        math.nan,
        [],
        [None],
        [[None]],
        [["a"]],
        x[:5],
        x[:0],
        x[:, :0],
        x[0],
        x[None],
        x.astype(str),
        x + 1j,
        np.full((60, 4), np.nan),
        np.full((60, 4), np.inf),
        labels,
        labels.astype(str),
        labels.astype(object),
        np.array(["a", None] * 30, object),
        np.arange(60) * 10**17,
        np.array([object()] * 60),
        np.zeros((60, 4, 2)),
        x * 1e200,
        x * 1e-200,
        np.ones((60, 4)),
        np.zeros((60, 4)),
        np.array(2.0),
        labels.astype("M8[s]"),
        np.eye(60),
        np.eye(60)[:, :4],
        np.zeros(0),
        [1.0, "a"],
        [1, 2, 3],
        {"a": 1},
        x > 0,
        np.array([2**63] * 60, np.uint64),
        np.array([f"c{row}" for row in range(60)]),
        np.arange(60.0),
        -labels,
        np.zeros((0, 0)),
        x[:1],
        x.tolist(),
        [10**400] * 60,
        np.array([[ESCAPE]] * 60),
        np.full((60, 4), 1e308),
        np.r_[x[:59], [[math.nan] * 4]],
    )
    match kind:
        case "whole":
            return rng.choice(whole)
        case "real":
            return rng.choice(real)
        case "text":
            return rng.choice(text)
        case "path":
            return rng.choice(
                (None, "", "none/x.json", "/dev/zero", ".", 5, "a\x00b.json", "n" * 300 + ".json", ESCAPE)
            )
        case "names":
            return rng.choice(
                (None, [], [None], "text", ["nonsense"], 5, [1.5], [[]], {"a": 1}, ["a", "a"], [ESCAPE], "", math.nan)
            )
        case "wholes":
            return rng.choice(
                (
                    None,
                    [],
                    [None],
                    "text",
                    5,
                    [1.5],
                    [0],
                    [-1],
                    [2**70],
                    [[1]],
                    [10**12],
                    ["a"],
                    [2, 1],
                    [1, 1],
                    math.nan,
                    [math.nan],
                )
            )
        case "rows":
            return rng.choice(
                (
                    None,
                    [],
                    [0, 0],
                    [-1],
                    [60],
                    [10**12],
                    [0.5],
                    "text",
                    labels.astype(str),
                    np.arange(120),
                    [None],
                    [[0]],
                    np.arange(60) % 2 == 0,
                    5,
                    [2**70],
                    [math.nan],
                )
            )
        case "axes":
            return rng.choice(
                (
                    None,
                    {},
                    {"kappa": []},
                    {"kappa": [None]},
                    {"kappa": ["a"]},
                    {"none": [1.0]},
                    {"kappa": np.zeros((2, 2))},
                    {"kappa": [math.nan]},
                    {"kappa": [math.inf]},
                    {"kappa": 1.0},
                    {"kappa": "text"},
                    {1: [1.0]},
                    {None: [1.0]},
                    "kappa",
                    5,
                    ["kappa"],
                    {"k": [1.5]},
                    {"n": [10.5]},
                    {"kappa": range(2)},
                    {"kappa": np.linspace(0, 1, 3).astype(str)},
                    {"kappa": [1j]},
                    {"kappa": [10**400]},
                    {"kappa": [-1.0]},
                    {"d": [10**12]},
                    {"kappa": np.broadcast_to(1.0, 10**12)},
                    {"n": [0]},
                    {"n": [10**15]},
                    {ESCAPE: [1.0]},
                    {"seed": [1]},
                    {"kappa": {}},
                )
            )
        case "function":
            return rng.choice(
                (
                    None,
                    "text",
                    5,
                    lambda cell: "text",
                    _fails,
                    lambda cell: None,
                    lambda cell: np.zeros(3),
                    lambda: 1.0,
                    lambda cell: object(),
                    lambda cell: cell.none,
                    lambda cell: 1 / 0,
                    lambda cell: [1.0, "a"],
                    lambda cell: float(cell.model.kappa[0]),
                    lambda cell: 1j,
                    lambda cell: cell.model,
                    lambda cell: np.nan,
                    print,
                    lambda cell: bool(cell.model.kappa[0] > 0),
                    type,
                )
            )
        case _:
            return rng.choice(arrays)
