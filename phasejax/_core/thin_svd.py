"""The singular value decomposition of NumPy arrays, which ends for every finite matrix."""

import numpy as np
import scipy.linalg
from jaxtyping import Float


def thin_svd(matrix: Float[np.ndarray, "p q"]
             ) -> tuple[Float[np.ndarray, "p r"], Float[np.ndarray, "r"], Float[np.ndarray, "r q"]]:
    """Left singular vectors, singular values from the largest on, and right singular vectors as rows, r = min(p, q).

    NumPy divides and conquers, which fails on some matrices with many values near zero ("SVD did not converge") and
    succeeds on their multiples. The older iteration, a few times slower, takes these.

    >>> left, values, right = thin_svd(np.array([[0.0, 2.0], [0.0, 0.0], [1.0, 0.0]]))
    >>> values.tolist(), np.abs(left @ np.diag(values) @ right).tolist()
    ([2.0, 1.0], [[0.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    """
    try:
        return np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        return scipy.linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
