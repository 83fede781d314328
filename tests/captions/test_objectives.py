"""Losses of captions and of CLIP against NumPy, and what each objective is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from phasejax.captions import CaptionArchitecture, CaptionBatch, build_networks, caption_loss, clip_loss
from phasejax.captions._objectives import OBJECTIVES, loss
from phasejax.deep.losses import vicreg
from tests.captions.conftest import output

SMALL = CaptionArchitecture(size=8, vocabulary=9, length=4, classes=3, image_encoder="convolutional", width=2,
                            text_width=8, text_layers=0, embedding=4)


def batch_of(n, architecture=SMALL, seed=0):
    rng, a = np.random.default_rng(seed), architecture
    tokens = rng.integers(1, a.vocabulary, (n, a.length))
    tokens[np.arange(a.length) >= rng.integers(1, a.length + 1, n)[:, None]] = 0
    return CaptionBatch(images=jnp.float32(rng.standard_normal((n, a.size, a.size, 3))), tokens=jnp.int32(tokens),
                        labels=jnp.int32(rng.integers(0, a.classes, n)))


def test_caption_loss_is_the_mean_over_words():
    rng = np.random.default_rng(0)
    logits, tokens = rng.standard_normal((3, 4, 5)), np.array([[1, 4, 0, 0], [2, 0, 0, 0], [3, 3, 1, 2]])
    each = [-log_softmax(logits[i, t])[tokens[i, t]] for i in range(3) for t in range(4) if tokens[i, t]]
    assert len(each) == 7
    np.testing.assert_allclose(caption_loss(jnp.float32(logits), tokens), np.mean(each), rtol=1e-5)
    np.testing.assert_allclose(caption_loss(jnp.float32(logits), tokens, 10.0), np.sum(each) / 10, rtol=1e-5)
    assert caption_loss(jnp.float32(logits), np.zeros((3, 4), int)) == 0


@pytest.mark.parametrize(("log_scale", "scale"), [(1.5, np.exp(1.5)), (np.log(99), 99.0), (7.0, 100.0)])
def test_clip_s_loss_has_a_scale_of_100_at_most(log_scale, scale):
    z = np.random.default_rng(1).standard_normal((2, 6, 3))
    x, y = z / np.linalg.norm(z, axis=-1, keepdims=True)
    logits = scale * x @ y.T
    expected = -np.mean(np.diag(log_softmax(logits, axis=1)) + np.diag(log_softmax(logits, axis=0))) / 2
    found = jax.jit(clip_loss)(*jnp.float32(z), log_scale)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_row_of_zeros_has_no_direction_and_no_gradient():
    z = jnp.float32(np.random.default_rng(2).standard_normal((2, 6, 3))).at[0, 2].set(0)
    ones = z.at[0, 2].set(1)
    value, slopes = jax.jit(jax.value_and_grad(lambda z: clip_loss(z[0], z[1], 1.0)))(z)
    np.testing.assert_allclose(value, clip_loss(ones[0], ones[1], 1.0), rtol=1e-6)
    assert np.all(np.isfinite(slopes))
    assert not np.any(slopes[0, 2])
    assert np.all(slopes[0, 3] != 0)


@pytest.fixture(scope="module")
def found():
    """Networks, loss and parts of every objective on a batch."""
    made = {}
    for objective in OBJECTIVES:
        networks = build_networks(objective, SMALL, nnx.Rngs(0))
        graph, state = nnx.split(networks)
        value = jax.jit(lambda s, b, objective=objective, graph=graph: loss(
            objective, nnx.merge(graph, s), b, lam=0.5, train=True))(state, batch_of(6))
        made[objective] = networks, *value
    return made


def test_objectives_train_the_networks_they_need(found):
    assert {name: set(networks) for name, (networks, _, _) in found.items()} == {
        "vicreg": {"image_encoder", "text_encoder"}, "infonce": {"image_encoder", "text_encoder", "log_scale"},
        "cp": {"image_encoder", "caption_decoder"}, "cp_reverse": {"text_encoder", "pixel_decoder"},
        "joint": {"image_encoder", "text_encoder", "caption_decoder"}, "supervised": {"image_encoder", "classifier"}}


def test_losses_of_the_objectives(found):
    batch = batch_of(6)

    def codes(name):
        networks = found[name][0]
        return [output(networks[key], rows) for key, rows in
                (("image_encoder", batch.images), ("text_encoder", batch.tokens)) if key in networks]

    for name in OBJECTIVES:
        networks, value, parts = found[name]
        z = codes(name)
        if name == "supervised":
            logits = np.asarray(output(networks["classifier"], z[0]))
            expected = -np.mean(log_softmax(logits, axis=1)[np.arange(6), batch.labels])
        elif name == "cp_reverse":
            expected = np.mean((np.asarray(output(networks["pixel_decoder"], z[0])) - batch.images) ** 2)
        elif name == "infonce":
            expected = clip_loss(*z, np.log(1 / 0.07))
            np.testing.assert_allclose(parts["temperature"], 0.07, rtol=1e-5)
        elif name == "vicreg":
            expected = vicreg(*z).total
            np.testing.assert_allclose(parts["invariance"], vicreg(*z).invariance, rtol=1e-4)
        else:
            predicted = caption_loss(output(networks["caption_decoder"], z[0]), batch.tokens)
            expected = predicted if name == "cp" else predicted + 0.5 * vicreg(*z).total
        np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="image_encoder: expected one of resnet18, resnet50, vit, convolutional, got"):
        CaptionArchitecture(size=8, vocabulary=9, length=4, classes=3, image_encoder="resnet34")
    with pytest.raises(ValueError, match="objective: expected one of vicreg, infonce, cp, cp_reverse, joint"):
        build_networks("deepcca", SMALL, nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"width: expected .*, got 0"):
        CaptionArchitecture(size=8, vocabulary=9, length=4, classes=3, width=0)
