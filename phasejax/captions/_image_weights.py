"""Pretrained weights of image networks from a local .safetensors file with the names that timm and torchvision use."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_regular_file, reading
from phasejax.captions._resnet import Convolution, ResNet
from phasejax.io._table import import_reader

# What a file may hold beside the network: the layer of its own classes, and PyTorch's count of batches.
_LEFT_OUT_LAYERS, _LEFT_OUT_END = ("fc.", "head."), ".num_batches_tracked"


@checked
def load_image_weights(network: nnx.Module, path: str | Path) -> None:
    """Replace the parameters and running averages of a ResNet by those of a file; its embedding layer stays as it is.

    Names are timm's (`conv1.weight`, `bn1.running_mean`, `layer1.0.conv1.weight`, `layer2.0.downsample.0.weight`), and
    kernels are in PyTorch's order (out, in, rows, columns). A layer of classes in the file (`fc.`, `head.`) is left
    out. Nothing is changed where something does not fit.

    Args:
        network: a `ResNet` of the file's depth, width and norm; a 7 x 7 first kernel needs one of `size` 64 or more.
        path: FILE.safetensors.

    Raises:
        ValueError: no `ResNet`; a file that is missing or can not be read; a tensor that is missing, one too many, or
            one of another shape.
    """
    if not isinstance(network, ResNet):
        raise ValueError(f"network: expected a ResNet, got {type(network).__name__}")
    tensors = _tensors(path)
    places = dict(timm_names(network))
    _check_names(path, tensors, places)
    found = {name: _in_our_order(path, name, tensors[name], variable) for name, variable in places.items()}
    for name, variable in places.items():
        variable[...] = jnp.asarray(found[name], jnp.float32)


def timm_names(network: ResNet) -> Iterator[tuple[str, nnx.Variable]]:
    """The parameters and running averages of a ResNet but for its embedding layer, with timm's names."""
    yield from _layer("conv1", network.stem)
    yield from _layer("bn1", network.stem_norm)
    for stage, blocks in enumerate(network.stages, start=1):
        for number, block in enumerate(blocks):
            prefix = f"layer{stage}.{number}"
            for place, (convolution, norm) in enumerate(zip(block.convolutions, block.norms, strict=True), start=1):
                yield from _layer(f"{prefix}.conv{place}", convolution)
                yield from _layer(f"{prefix}.bn{place}", norm)
            if block.shortcut is not None:
                yield from _layer(f"{prefix}.downsample.0", block.shortcut)
                yield from _layer(f"{prefix}.downsample.1", block.shortcut_norm)


def _layer(name: str, layer: Any) -> Iterator[tuple[str, nnx.Variable]]:
    if isinstance(layer, Convolution):
        yield f"{name}.weight", layer.kernel
        return
    norm = layer.layer
    yield f"{name}.weight", norm.scale
    yield f"{name}.bias", norm.bias
    if isinstance(norm, nnx.BatchNorm):
        yield f"{name}.running_mean", norm.mean
        yield f"{name}.running_var", norm.var


def _tensors(path: str | Path) -> dict[str, np.ndarray]:
    """All tensors of a file by name, but for those of its own classes."""
    check_regular_file(path)
    reader = import_reader("safetensors", "safetensors", str(path))
    with reading(str(path), "a complete .safetensors file"), reader.safe_open(path, framework="numpy") as opened:
        names = [name for name in opened.keys()  # noqa: SIM118
                 if not name.startswith(_LEFT_OUT_LAYERS) and not name.endswith(_LEFT_OUT_END)]
        with reading(str(path), "numbers"):  # of a type that NumPy knows
            return {name: np.asarray(opened.get_tensor(name), np.float32) for name in names}


def _check_names(path: str | Path, tensors: Mapping[str, np.ndarray], places: Mapping[str, nnx.Variable]) -> None:
    for names, what in ((places.keys() - tensors.keys(), "without"), (tensors.keys() - places.keys(), "with also")):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"path: expected the {len(places)} tensors of this network, named as timm names them, got "
                             f"{path} {what} {min(names)}{more}")


def _in_our_order(path, name, tensor, variable):
    kernel = variable[...].ndim == 4
    expected = tuple(np.array(variable[...].shape)[[3, 2, 0, 1]]) if kernel else variable[...].shape
    if tensor.shape != expected:
        shape = tuple(int(side) for side in expected)
        raise ValueError(f"path: expected {name} of shape {shape}, got {tensor.shape} in {path}")
    if not np.all(np.isfinite(tensor)):
        raise ValueError(f"path: expected finite numbers, got others in {name} of {path}")
    return tensor.transpose(2, 3, 1, 0) if kernel else tensor
