r"""How much each source of scores counts: the sources disagree, and do not err alike.

A source that errs with variance v counts in proportion to 1 / v, as in any mean of measurements of unequal precision.
On the pairs for choosing constants of `benchmarks.decision`, differences between two objectives were off, root mean
square, by 0.12 in linear scores, 0.09 in lifted ones and 0.04 in those of a pilot of two trainings (one pair apart,
whose networks end in either of two ways), so that they count as 1 : 2 : 8 beside each other. Closed forms alone err
alike, and count alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

SOURCES = ("linear", "lifted", "pilot")
_BESIDE_A_PILOT = {"linear": 1.0, "lifted": 2.0, "pilot": 8.0}


def weights_of(sources: Sequence[str]) -> Float[np.ndarray, "sources"]:
    """What each of some sources counts, summing to their number.

    >>> weights_of(("lifted", "pilot")).round(2).tolist(), weights_of(("linear", "lifted")).tolist()
    ([0.4, 1.6], [1.0, 1.0])
    """
    weights = np.array([_BESIDE_A_PILOT.get(one, 1.0) if "pilot" in sources else 1.0 for one in sources])
    return weights * (len(weights) / weights.sum())


def mean_over(sources: Sequence[str], by_source: Mapping[str, Any], name: str) -> Any:
    """The mean of a score, or of its draws, over some sources that have it.

    Args:
        sources: those that count.
        by_source: by source and name a number or draws.
        name: of the score.
    """
    return np.average([by_source[one][name] for one in sources], axis=0, weights=weights_of(sources))
