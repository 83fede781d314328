"""A training step on images and captions in plain PyTorch, with the networks of `phasejax.captions`, on the CPU."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

from benchmarks.torch_training import vicreg


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, added to their input."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width),
                                  nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Identity() if stride == 1 and channels == width else nn.Sequential(
            nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(images) + self.shortcut(images))


def resnet18(size: int, width: int, outputs: int) -> nn.Module:
    """`phasejax.captions.ResNet` of 18 layers with batch normalisation."""
    large = size >= 64
    layers: list[nn.Module] = [nn.Conv2d(3, width, 7 if large else 3, 2 if large else 1, 3 if large else 1, bias=False),
                               nn.BatchNorm2d(width), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 2, 1)] if large else []
    channels = width
    for stage in range(4):
        for place in range(2):
            layers.append(Block(channels, width << stage, 2 if stage and not place else 1))
            channels = width << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))


def transformer(width: int, layers: int, heads: int) -> nn.Module:
    """Transformer layers with normalisation before their parts."""
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)


class TextEncoder(nn.Module):
    """`phasejax.captions.TextEncoder`."""

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int, outputs: int):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        self.layers, self.head = transformer(width, layers, heads), nn.Linear(width, outputs)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        empty = tokens == 0
        places = self.layers(self.words(tokens) + self.positions, src_key_padding_mask=empty)
        kept = (~empty)[..., None]
        return self.head((places * kept).sum(1) / kept.sum(1).clamp(min=1))


class CaptionDecoder(nn.Module):
    """`phasejax.captions.CaptionDecoder`."""

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int, inputs: int):
        super().__init__()
        self.code, self.positions = nn.Linear(inputs, width), nn.Parameter(torch.randn(length, width) * 0.02)
        self.layers, self.words = transformer(width, layers, heads), nn.Linear(width, vocabulary)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return self.words(self.layers(self.code(codes)[:, None] + self.positions))


def pixel_decoder(size: int, width: int, inputs: int) -> nn.Module:
    """`phasejax.captions.PixelDecoder`."""
    side, doublings = size, 0
    while side % 2 == 0 and side >= 8:
        side, doublings = side // 2, doublings + 1
    channels = [min(width << place, 256) for place in reversed(range(doublings))] + [3]
    layers: list[nn.Module] = [nn.Linear(inputs, side * side * channels[0]), nn.Unflatten(1, (channels[0], side, side))]
    for inputs_here, outputs in pairwise(channels):
        layers += [nn.ReLU(), nn.ConvTranspose2d(inputs_here, outputs, 4, 2, 1)]
    return nn.Sequential(*layers)


def caption_trainer(objective: str, sizes: dict[str, int], learning_rate: float
                    ) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], float]:
    """A function of images (n, 3, s, s), tokens and labels that takes one step of AdamW and returns the loss.

    Args:
        objective: vicreg, infonce, cp, cp_reverse, joint or supervised.
        sizes: size, width, vocabulary, length, text_width, text_layers, text_heads, embedding, classes, decoder_width.
        learning_rate: of AdamW.
    """
    s = sizes
    text = (s["vocabulary"], s["length"], s["text_width"], s["text_layers"], s["text_heads"], s["embedding"])
    parts = nn.ModuleDict()
    if objective != "cp_reverse":
        parts["images"] = resnet18(s["size"], s["width"], s["embedding"])
    if objective in ("vicreg", "infonce", "cp_reverse", "joint"):
        parts["texts"] = TextEncoder(*text)
    if objective in ("cp", "joint"):
        parts["words"] = CaptionDecoder(*text)
    if objective == "cp_reverse":
        parts["pixels"] = pixel_decoder(s["size"], s["decoder_width"], s["embedding"])
    if objective == "supervised":
        parts["classes"] = nn.Linear(s["embedding"], s["classes"])
    temperature = nn.Parameter(torch.tensor(14.3).log())
    optimiser = torch.optim.AdamW([*parts.parameters(), temperature], learning_rate, weight_decay=1e-4)

    def loss_of(images, tokens, labels):
        z = parts["images"](images) if "images" in parts else None
        t = parts["texts"](tokens) if "texts" in parts else None
        total = images.new_zeros(())
        if objective in ("vicreg", "joint"):
            total = total + vicreg(z, t)
        if objective == "infonce":
            scores = nn.functional.normalize(z) @ nn.functional.normalize(t).T * temperature.exp()
            right = torch.arange(len(scores))
            total = (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2
        if objective in ("cp", "joint"):
            words = parts["words"](z).flatten(0, 1)
            total = total + nn.functional.cross_entropy(words, tokens.flatten(), ignore_index=0)
        if objective == "cp_reverse":
            total = nn.functional.mse_loss(parts["pixels"](t), images)
        if objective == "supervised":
            total = nn.functional.cross_entropy(parts["classes"](z), labels)
        return total

    def step(images, tokens, labels):
        optimiser.zero_grad()
        loss = loss_of(images, tokens, labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step
