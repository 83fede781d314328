"""Stereo pairs made one by one on the CPU, as the items of a PyTorch data set, in the way of K26's code."""

import math

import torch
from torch.nn.functional import affine_grid, grid_sample


def pair(images: torch.Tensor, jitter: float, noise: float) -> tuple[torch.Tensor, torch.Tensor, int]:
    """A random pair of views of one of the images, of shape (shapes, c, s, s), and its number."""
    shape = int(torch.randint(len(images), ()))
    position = torch.rand(2) - 0.5
    views = [view(images[shape], position + torch.tensor([offset, 0.0]), jitter) for offset in (-0.2, 0.2)]
    x, y = (torch.clamp(clean + scale * torch.randn_like(clean), 0, 1)
            for clean, scale in zip(views, (0.1, noise), strict=True))
    return x, y, shape


def view(image: torch.Tensor, shift: torch.Tensor, jitter: float) -> torch.Tensor:
    """The image moved by the shift and the jitter, and turned by an angle with the jitter's deviation."""
    moved = shift + jitter * torch.randn(2)
    turn = float(jitter * torch.randn(()))
    cos, sin = math.cos(turn), math.sin(turn)
    theta = torch.tensor([[cos, sin, -float(moved[0])], [-sin, cos, -float(moved[1])]])
    grid = affine_grid(theta[None], [1, *image.shape], align_corners=False)
    return grid_sample(image[None], grid, padding_mode="zeros", align_corners=False)[0]


def batch(images: torch.Tensor, n: int, jitter: float, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """n pairs stacked into two tensors, as a data loader does."""
    pairs = [pair(images, jitter, noise) for _ in range(n)]
    return torch.stack([x for x, _, _ in pairs]), torch.stack([y for _, y, _ in pairs])
