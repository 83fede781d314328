"""A step of training: AdamW by NumPy, accumulation, running averages, several devices, and states on disk."""

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from phasejax.captions import CaptionTraining
from phasejax.captions._objectives import loss
from phasejax.captions._resnet import DEPTHS
from phasejax.deep._checkpoints import Checkpoints
from tests.captions.conftest import output
from tests.captions.test_objectives import SMALL, batch_of
from tests.support import QUICK_TO_COMPILE, ROOT

KEY = jax.random.key(0)


def copied(state):
    """A step takes the memory of the state that it is given."""
    return jax.tree.map(jnp.array, state)


@pytest.fixture(scope="module")
def infonce():
    """Four steps of a training of ten, with the state before each; the decay is strong enough to be seen."""
    training = CaptionTraining("infonce", SMALL, steps=10, learning_rate=0.01, weight_decay=0.5,
                               prepare=lambda batch, key: replace(batch, images=2 * batch.images))
    states, metrics = [training.start(KEY)], []
    for number in range(4):
        state, found = training.step(copied(states[-1]), batch_of(8, seed=number), KEY)
        states.append(state)
        metrics.append(found)
    return training, states, metrics


def test_all_steps_are_one_program(infonce):
    assert infonce[0]._compiled_step._cache_size() == 1


def test_steps_are_those_of_adamw_on_a_cosine(infonce):
    training, states, metrics = infonce

    @jax.jit
    def gradient(params, batch):
        return jax.value_and_grad(lambda p: loss(
            "infonce", nnx.merge(training._graph_definition, p, states[0].statistics, copy=True),
            replace(batch, images=2 * batch.images), lam=1.0, train=True)[0])(params)

    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(states[0].params)]
    first, second = (np.zeros(len(paths)).astype(object) for _ in range(2))
    for number in range(4):
        value, slopes = gradient(states[number].params, batch_of(8, seed=number))
        rate = 0.01 * (1 + np.cos(np.pi * number / 10)) / 2
        np.testing.assert_allclose(metrics[number]["loss"], value, rtol=1e-5)
        np.testing.assert_allclose(metrics[number]["learning_rate"], rate, rtol=1e-5)
        squares = sum(np.sum(np.square(np.asarray(leaf, float))) for leaf in jax.tree.leaves(slopes))
        np.testing.assert_allclose(metrics[number]["gradient_norm"], np.sqrt(squares), rtol=1e-4)
        assert metrics[number]["finite"]
        for place, leaves in enumerate(zip(*(jax.tree.leaves(tree) for tree in (
                slopes, states[number].params, states[number + 1].params)), strict=True)):
            slope, before, after = (np.asarray(leaf, float) for leaf in leaves)
            first[place] = 0.9 * first[place] + 0.1 * slope
            second[place] = 0.999 * second[place] + 0.001 * slope**2
            moved = first[place] / (1 - 0.9 ** (number + 1))
            moved = moved / (np.sqrt(second[place] / (1 - 0.999 ** (number + 1))) + 1e-8)
            decay = 0.0 if "log_scale" in paths[place] else 0.5
            np.testing.assert_allclose(after, before - rate * (moved + decay * before), rtol=2e-3, atol=2e-5)
    assert sum("log_scale" in path for path in paths) == 1
    assert int(states[-1].step) == 4


def test_the_learned_temperature_stops_at_a_hundredth(infonce):
    training, states, _ = infonce
    networks = training.networks(states[-1])
    networks["log_scale"][...] = jnp.array(9.0)
    after, metrics = training.step(copied(training.with_networks(states[-1], networks)), batch_of(8), KEY)
    np.testing.assert_allclose(training.networks(after)["log_scale"][...], np.log(100), rtol=1e-5)
    np.testing.assert_allclose(metrics["temperature"], 0.01, rtol=1e-5)


def test_a_state_on_disk_goes_on_as_if_never_left(infonce, tmp_path):
    training, states, _ = infonce
    Checkpoints(tmp_path, "a training").save(int(states[2].step), states[2])
    step, found = Checkpoints(tmp_path, "a training").restore(training.start(jax.random.key(5)))
    assert step == 2
    again, _ = training.step(training.to_devices(found), batch_of(8, seed=2), KEY)
    jax.tree.map(np.testing.assert_array_equal, again, states[3])


def test_embeddings_are_those_of_the_networks(infonce):
    training, states, _ = infonce
    networks, batch = training.networks(states[-1]), batch_of(8)
    for embed, name, rows in ((training.embed_images, "image_encoder", batch.images),
                              (training.embed_texts, "text_encoder", batch.tokens)):
        np.testing.assert_allclose(embed(states[-1], rows), output(networks[name], rows), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("objective", ["cp", "cp_reverse"])
def test_parts_of_a_batch_add_up_to_its_step(objective):
    """Captions differ in length, so that a mean of the parts' means would be another number."""
    found = []
    for parts in (1, 4):
        training = CaptionTraining(objective, SMALL, steps=10, accumulate=parts)
        found.append(training.step(training.start(KEY), batch_of(8), KEY))
    (whole, metrics), (added, of_parts) = found
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose(of_parts[name], metrics[name], rtol=1e-5)
    # Adam's first step divides a gradient by itself: its first moments tell more than the parameters.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7), added.optimiser, whole.optimiser)


def test_running_averages_are_recorded_and_used(monkeypatch):
    monkeypatch.setitem(DEPTHS, 18, ((1,), False))
    architecture = replace(SMALL, image_encoder="resnet18", norm="batch")
    training = CaptionTraining("supervised", architecture, steps=10, accumulate=2)
    batch, start = batch_of(8), training.start(KEY)
    stem = training.networks(start)["image_encoder"].stem
    parts = [np.asarray(output(stem, batch.images[part::2]), float).mean((0, 1, 2)) for part in (0, 1)]
    state, _ = training.step(copied(start), batch, KEY)
    expected = 0.9 * (0.1 * parts[0]) + 0.1 * parts[1]
    np.testing.assert_allclose(training.networks(state)["image_encoder"].stem_norm.layer.mean[...], expected, rtol=1e-4,
                               atol=1e-6)
    one_row = jax.tree.map(lambda leaf: leaf[:1], batch)  # its value does not depend on the other rows
    alone, together = (training.embed_images(state, images) for images in (one_row.images, batch.images))
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-4, atol=1e-6)
    assert np.isfinite(training.losses(state, batch, KEY)["loss"])


def test_what_can_not_be_trained_is_refused():
    with pytest.raises(ValueError, match="objective: expected one of vicreg"):
        CaptionTraining("ntxent", SMALL, steps=1)
    with pytest.raises(ValueError, match="size: expected a power of 2 times 4 to 16"):
        CaptionTraining("cp_reverse", replace(SMALL, size=100), steps=1)
    training = CaptionTraining("cp", SMALL, steps=1, accumulate=3)
    with pytest.raises(ValueError, match=r"batch: expected a multiple of 3 rows \(1 devices times 3 parts\), got 8"):
        training.step(training.start(KEY), batch_of(8), KEY)
    with pytest.raises(ValueError, match="objective: expected one with an encoder of tokens, got 'cp'"):
        training.embed_texts(training.start(KEY), jnp.zeros((2, 4), jnp.int32))


# A batch on eight devices beside one: batch normalisation, and VICReg in the joint objective, see all rows of a part.
_DEVICES = """
import jax, numpy as np
from dataclasses import replace
from phasejax.captions import CaptionTraining
from phasejax.captions._resnet import DEPTHS
from tests.captions.test_objectives import SMALL, batch_of
DEPTHS[18] = ((1,), False)
assert jax.device_count() == 8
key, architecture, found = jax.random.key(0), replace(SMALL, image_encoder="resnet18", norm="batch"), []
for devices in (jax.devices(), jax.devices()[:1]):
    training = CaptionTraining("joint", architecture, steps=10, accumulate=2, devices=devices)
    state, metrics = training.step(training.to_devices(training.start(key)), batch_of(16), key)
    found.append((metrics, state.statistics, state.optimiser))
    assert len(jax.tree.leaves(state.params)[0].sharding.device_set) == len(devices)
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-6), *found)
print("equal")
"""


@pytest.mark.slow
def test_eight_devices_take_the_step_of_one():
    environment = os.environ | {"XLA_FLAGS": f"{QUICK_TO_COMPILE} --xla_force_host_platform_device_count=8"}
    done = subprocess.run([sys.executable, "-c", _DEVICES], cwd=ROOT, env=environment, capture_output=True, text=True,
                          timeout=300)
    assert done.stdout == "equal\n", done.stderr
