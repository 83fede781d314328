"""Saved diagnoses that hold what nothing wrote."""

import functools
import json
from pathlib import Path
from random import Random

from tests.fuzz.sound_files import ESCAPE, views, write


@functools.cache
def baseline() -> str:
    """The JSON text of a sound diagnosis of `views`."""
    from phasejax import diagnose

    x, y, labels = views()
    return diagnose(x, y, labels, k=2, fit=False, predicted_scores=False).to_json()


def odd_baseline(rng: Random, folder: Path) -> str:
    """A saved diagnosis with numbers, types, names or text that nothing wrote."""
    text = baseline()
    match rng.randrange(8):
        case 0:
            text = rng.choice(
                (
                    "[" * 100_000,
                    '{"a":' * 100_000,
                    "",
                    "null",
                    "[]",
                    "{}",
                    "3",
                    '"content"',
                    "\x00",
                    '{"method": "content"}',
                    '{"method": "moments"}',
                    '{"method": ["content"]}',
                    "9" * 5000,
                    "NaN",
                    '{"method": "content", "k": 1e400}',
                )
            )
        case 1:
            start = rng.randrange(len(text))
            text = text[:start] + text[start + rng.choice((1, 10, 10**6)) :]
        case _:
            saved = json.loads(text)
            for _ in range(rng.choice((1, 1, 2, 5))):
                _change_one(rng, saved)
            text = json.dumps(saved)
    return write(folder / "baseline.json", text.encode("utf-8", "surrogatepass"))


def _change_one(rng, node):
    """Put something else in one place of nested lists and dictionaries, or take it away."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.25:
            break
        node = node[key]
    if rng.random() < 0.2:
        del node[key]
        return
    node[key] = rng.choice(
        (
            None,
            0,
            -1,
            10**30,
            1e308,
            float("inf"),
            float("nan"),
            "nan",
            "inf",
            "",
            ESCAPE,
            [],
            {},
            [[]],
            True,
            0.5,
            "x" * 10_000,
            2**63,
            -(10**9),
            [None],
            {"": 1},
            [1] * 1000,
            "\ud800",
            1e-320,
        )
    )
