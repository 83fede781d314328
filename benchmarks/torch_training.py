"""The training step of the nonlinear experiments (K26, section 4) in plain PyTorch, in float32 on the CPU."""

from collections.abc import Callable

import torch
from torch import nn


def encoder(channels: int) -> nn.Module:
    """The encoder of K26, appendix B, for images of 64 x 64 pixels."""
    layers = []
    for inputs, outputs in ((channels, 32), (32, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 256), nn.ReLU(), nn.Linear(256, 128))


def decoder(channels: int) -> nn.Module:
    """The mirror image of `encoder`."""
    layers = [nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 1024), nn.ReLU(), nn.Unflatten(1, (64, 4, 4))]
    for inputs, outputs in ((64, 64), (64, 32), (32, 32)):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1))


def head() -> nn.Module:
    """The projection head between an embedding and the alignment loss."""
    return nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 32))


def vicreg(z_x: torch.Tensor, z_y: torch.Tensor) -> torch.Tensor:
    """The VICReg loss with the weights of K26: 25, 25 and 1."""
    total = 25 * nn.functional.mse_loss(z_x, z_y)
    for z in (z_x, z_y):
        z = z - z.mean(0)
        c = z.T @ z / (len(z) - 1)
        off_diagonal = c.pow(2).sum() - c.diagonal().pow(2).sum()
        total = total + 25 * torch.relu(1 - torch.sqrt(c.diagonal() + 1e-4)).mean() + off_diagonal / z.shape[1]
    return total


def trainer(objective: str, channels: int, learning_rate: float) -> Callable[[torch.Tensor, torch.Tensor], float]:
    """A function of a batch (x, y) that takes one step of Adam and returns the loss, for "CA" (VICReg) or "CP"."""
    if objective == "CA":
        x_side, y_side = nn.Sequential(encoder(channels), head()), nn.Sequential(encoder(channels), head())
    else:
        x_side, y_side = encoder(channels), decoder(channels)
    optimiser = torch.optim.Adam([*x_side.parameters(), *y_side.parameters()], learning_rate)

    def step(x, y):
        optimiser.zero_grad()
        loss = vicreg(x_side(x), y_side(y)) if objective == "CA" else nn.functional.mse_loss(y_side(x_side(x)), y)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step
