"""Weights from files with timm's names: all names of 18 layers, a forward pass by NumPy, and files that do not fit."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from phasejax.captions import ResNet, load_image_weights
from phasejax.captions._image_weights import timm_names
from phasejax.captions._resnet import DEPTHS
from tests.captions.test_convolution import by_scipy

WIDTH = 4


def norm_of(name, channels, rng):
    return {f"{name}.weight": rng.uniform(0.5, 2, channels), f"{name}.bias": rng.standard_normal(channels),
            f"{name}.running_mean": rng.standard_normal(channels), f"{name}.running_var": rng.uniform(0.5, 2, channels),
            f"{name}.num_batches_tracked": np.array(7)}


def tensors_of(blocks, rng):
    """The tensors of a network of two-layer blocks as timm names and orders them, with a layer of ten classes."""
    found = {"fc.weight": np.ones((10, 8)), "fc.bias": np.ones(10)}
    found["conv1.weight"] = rng.standard_normal((WIDTH, 3, 7, 7))
    found |= norm_of("bn1", WIDTH, rng)
    for stage, count in enumerate(blocks, start=1):
        out = WIDTH << (stage - 1)
        for number in range(count):
            into, name = (out // 2 if stage > 1 and not number else out), f"layer{stage}.{number}"
            for place, channels in ((1, into), (2, out)):
                found[f"{name}.conv{place}.weight"] = rng.standard_normal((out, channels, 3, 3)) / channels
                found |= norm_of(f"{name}.bn{place}", out, rng)
            if into != out:
                found[f"{name}.downsample.0.weight"] = rng.standard_normal((out, into, 1, 1))
                found |= norm_of(f"{name}.downsample.1", out, rng)
    return {name: np.asarray(tensor, np.float32 if tensor.ndim else np.int64) for name, tensor in found.items()}


def features(tensors, images):
    """What a network of one block in each of two stages makes of images, outside of training."""
    def convolved(name, values, stride=1):
        return by_scipy(values, tensors[f"{name}.weight"].transpose(2, 3, 1, 0).astype(float), stride)

    def normed(name, values):
        weight, bias, mean, var = (tensors[f"{name}.{end}"].astype(float)
                                   for end in ("weight", "bias", "running_mean", "running_var"))
        return weight * (values - mean) / np.sqrt(var + 1e-5) + bias

    values = np.maximum(normed("bn1", convolved("conv1", images, 2)), 0)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    side = values.shape[1] // 2
    values = np.stack([[padded[:, 2 * i:2 * i + 3, 2 * j:2 * j + 3].max((1, 2)) for j in range(side)]
                       for i in range(side)]).transpose(2, 0, 1, 3)
    for name, stride in (("layer1.0", 1), ("layer2.0", 2)):
        inner = np.maximum(normed(f"{name}.bn1", convolved(f"{name}.conv1", values, stride)), 0)
        shortcut = values
        if stride > 1:
            shortcut = normed(f"{name}.downsample.1", convolved(f"{name}.downsample.0", values, 2))
        values = np.maximum(normed(f"{name}.bn2", convolved(f"{name}.conv2", inner)) + shortcut, 0)
    return values.mean((1, 2))


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setitem(DEPTHS, 18, ((1, 1), False))
    return ResNet(18, size=64, width=WIDTH, rngs=nnx.Rngs(0))


@pytest.fixture
def tensors():
    return tensors_of((1, 1), np.random.default_rng(0))


def test_a_file_gives_its_network(network, tensors, tmp_path):
    save_file(tensors, tmp_path / "resnet.safetensors")
    load_image_weights(network, tmp_path / "resnet.safetensors")
    images = np.random.default_rng(1).standard_normal((2, 16, 16, 3))
    graph, state = nnx.split(network)
    found = nnx.jit(lambda state, x: nnx.merge(graph, state)(x))(state, jnp.float32(images))
    np.testing.assert_allclose(found, features(tensors, images), rtol=1e-3, atol=1e-3)


def test_names_and_shapes_of_18_layers():
    made = nnx.eval_shape(lambda: ResNet(18, size=64, width=WIDTH, rngs=nnx.Rngs(0)))
    expected = {name: tensor.shape for name, tensor in tensors_of((2, 2, 2, 2), np.random.default_rng(0)).items()
                if not name.startswith("fc.") and not name.endswith("num_batches_tracked")}
    assert len(expected) == 20 + 20 * 4  # convolutions, and four vectors for each normalisation
    found = {name: variable.shape for name, variable in timm_names(made)}
    assert {name: (s if len(s) == 1 else (s[3], s[2], s[0], s[1])) for name, s in found.items()} == expected


@pytest.mark.parametrize(("change", "message"), [
    (lambda t: t.pop("bn1.running_var"), "got .*without bn1.running_var$"),
    (lambda t: [t.pop("conv1.weight"), t.pop("bn1.bias")], "without bn1.bias and 1 more"),
    (lambda t: t.update({"layer2.1.conv1.weight": np.ones(3)}), "with also layer2.1.conv1.weight"),
    (lambda t: t.update({"conv1.weight": np.ones((4, 3, 3, 3))}),
     r"expected conv1.weight of shape \(4, 3, 7, 7\), got \(4, 3, 3, 3\)"),
    (lambda t: t.update({"bn1.bias": np.full(4, np.nan)}), "expected finite numbers, got others in bn1.bias")])
def test_files_that_do_not_fit_change_nothing(network, tensors, tmp_path, change, message):
    change(tensors)
    before = np.array(network.stem.kernel[...])
    save_file(tensors, tmp_path / "resnet.safetensors")
    with pytest.raises(ValueError, match=message):
        load_image_weights(network, tmp_path / "resnet.safetensors")
    np.testing.assert_array_equal(network.stem.kernel[...], before)


def test_files_that_can_not_be_read(network, tmp_path):
    path = tmp_path / "cut.safetensors"
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: expected a readable file"):
        load_image_weights(network, path)
    path.write_bytes(b"\x40\0\0\0\0\0\0\0{")
    with pytest.raises(ValueError, match=r"expected a complete \.safetensors file"):
        load_image_weights(network, path)
    with pytest.raises(ValueError, match="network: expected a ResNet, got Linear"):
        load_image_weights(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), path)
