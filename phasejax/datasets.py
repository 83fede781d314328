"""Real paired data that comes with scikit-learn, for examples and tests that need no download."""

from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int


class PairedData(NamedTuple):
    """Two views of the same n things, with their labels.

    Args:
        x, y: the views, shapes (n, d_x) and (n, d_y).
        labels: class of each thing, shape (n,).
    """

    x: Float[np.ndarray, "n d_x"]
    y: Float[np.ndarray, "n d_y"]
    labels: Int[np.ndarray, "n"]


def load_digit_halves() -> PairedData:
    """Left and right halves of 1797 images of handwritten digits, labelled with the digit.

    The 8 x 8 images of scikit-learn's digits, with intensities from 0 to 16, are cut into two views of 8 x 4
    pixels. Pixels that are blank in every image are left out, which leaves 30 on the left and 31 on the right.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.

    >>> x, y, labels = load_digit_halves()
    >>> x.shape, y.shape, labels.shape
    ((1797, 30), (1797, 31), (1797,))
    """
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    digits = cast(Bunch, load_digits())
    left, right = digits.images[:, :, :4].reshape(-1, 32), digits.images[:, :, 4:].reshape(-1, 32)
    return PairedData(left[:, np.ptp(left, 0) > 0], right[:, np.ptp(right, 0) > 0],
                      digits.target.astype(np.int64))
