"""Similarity metrics as published: PyTorch with whole n x n matrices, sorts of whole rows and Python loops.

They are what `benchmarks.similarity` compares phasejax with.
"""

import numpy as np
import torch


def neighbours(features, k):
    """The k rows nearest to each row by the inner product, from a full sort."""
    similarity = features @ features.T
    similarity.fill_diagonal_(-torch.inf)
    return similarity.argsort(dim=1, descending=True)[:, :k]


def mutual_knn(x, y, k):
    n, rows = len(x), torch.arange(len(x))[:, None]
    masks = []
    for near in (neighbours(x, k), neighbours(y, k)):
        mask = torch.zeros(n, n)
        mask[rows, near] = 1.0
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(1) / k).mean())


def cycle_knn(x, y, k):
    returned = neighbours(x, k)[neighbours(y, k)].reshape(len(x), -1)
    return float((returned == torch.arange(len(x))[:, None]).any(1).float().mean())


def longest_common(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, u in enumerate(a):
        for j, v in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if u == v else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def edit_distance(a, b):
    above = list(range(len(b) + 1))
    for i, u in enumerate(a):
        row = [i + 1]
        for j, v in enumerate(b):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (u != v)))
        above = row
    return above[-1]


def lcs_of_lists(near_x, near_y):
    lengths = [longest_common(a, b) for a, b in zip(near_x, near_y, strict=True)]
    return float(np.mean(lengths) / near_x.shape[1])


def edit_similarity_of_lists(near_x, near_y):
    distances = [edit_distance(a, b) for a, b in zip(near_x, near_y, strict=True)]
    return float(1 - np.mean(distances) / near_x.shape[1])


def lcs_knn(x, y, k):
    return lcs_of_lists(neighbours(x, k).numpy(), neighbours(y, k).numpy())


def edit_similarity_knn(x, y, k):
    return edit_similarity_of_lists(neighbours(x, k).numpy(), neighbours(y, k).numpy())


def hsic_biased(k, other):
    centring = torch.eye(len(k), dtype=k.dtype) - 1 / len(k)
    return torch.trace(k @ centring @ other @ centring)


def hsic_unbiased(k, other):
    n, k, other = len(k), k.clone().fill_diagonal_(0), other.clone().fill_diagonal_(0)
    return ((k * other.T).sum() + k.sum() * other.sum() / ((n - 1) * (n - 2)) - 2 * (k @ other).sum() / (n - 2)
            ) / (n * (n - 3))


def cka(x, y, *, hsic, widths=None):
    """CKA with linear kernels, or with Gaussian kernels of the given widths."""
    kernels = [v @ v.T for v in (x, y)] if widths is None else [
        torch.exp(-torch.cdist(v, v) ** 2 / (2 * width**2)) for v, width in zip((x, y), widths, strict=True)]
    return float(hsic(*kernels) / torch.sqrt(hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1])))


def cknna(x, y, k):
    kernels, masks = [v @ v.T for v in (x, y)], []
    for kernel in kernels:
        near = kernel.clone().fill_diagonal_(-torch.inf).topk(k, dim=1).indices
        masks.append(torch.zeros_like(kernel).scatter_(1, near, 1))

    def local(a, b):
        mask = masks[a] * masks[b]
        return hsic_unbiased(mask * kernels[a], mask * kernels[b])

    return float(local(0, 1) / torch.sqrt(local(0, 0) * local(1, 1)))


def leading(view, components):
    """The leading left singular vectors of the centred view, from the whole decomposition."""
    return torch.linalg.svd(view - view.mean(0), full_matrices=False)[0][:, :components]


def svcca(x, y, components):
    return float(torch.linalg.svdvals(leading(x, components).T @ leading(y, components)).mean())


def mean_canonical_correlation(x, y):
    bases = [torch.linalg.qr(view - view.mean(0))[0] for view in (x, y)]
    return float(torch.linalg.svdvals(bases[0].T @ bases[1]).mean())


def correlation_matrix_distance(x, y):
    units = [torch.nn.functional.normalize(view - view.mean(0), dim=1) for view in (x, y)]
    matrices = [unit @ unit.T for unit in units]
    return float(1 - (matrices[0] * matrices[1]).sum() / (matrices[0].norm() * matrices[1].norm()))
