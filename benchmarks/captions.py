"""Training on images and captions, data included, beside a plain PyTorch loop with the same networks.

Both sides train a ResNet-18 of an eighth of the published width and Transformers of one layer, in float32, on batches
of 32 emoji of 64 pixels, from bytes in memory to new parameters: once as they are, once with three groups of styles and
a blur. Ours draws them in its compiled step; the PyTorch loop has its dataset draw them image by image with NumPy and
SciPy, by as many threads as there are cores. All sides are timed in turn within one process. Speeds are medians over
rounds, ratios medians of the ratios within each round. On a GPU the published networks at 224 pixels are timed too, in
bfloat16, with images as they come from the loader.
"""

import importlib.util
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from benchmarks.report import Row, row
from phasejax._core.devices import cores
from phasejax.captions import CaptionNuisance, load_batches, load_emoji, present
from phasejax.captions._architecture import CaptionArchitecture
from phasejax.captions._objectives import OBJECTIVES
from phasejax.captions._pairs import CaptionPairs
from phasejax.captions._present import DEVIATION, MEAN
from phasejax.captions._training_step import CaptionTraining

_BATCH, _SIZE, _LENGTH, _LEVEL = 32, 64, 16, 0.5
_SIZES: dict[str, Any] = {"width": 8, "text_width": 64, "text_layers": 1, "text_heads": 2, "embedding": 64}
_STEPS = 4  # in a row, between two looks at the clock
# The paper's runs: trainings of 50 epochs on COCO's 117,266 images at three levels of distortion, five seeds each.
_PAPER_ROWS, _PAPER_EPOCHS, _PAPER_CELLS = 117_266, 50, 15
# Dense products in bfloat16 that a device does in a second at its best, by a part of its name.
_PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}


def run(rounds: int = 9) -> list[Row]:
    """Time steps of every objective, ours and PyTorch's in turn, `rounds` times; then the loader alone."""
    pairs = load_emoji(size=_SIZE, length=_LENGTH)
    rows, makers = [row("machine", "cores", cores(), "1")], {"phasejax": _ours, "PyTorch": _torch}
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its rows are left out (pip install torch)")
        del makers["PyTorch"]
    for objective in OBJECTIVES:
        for level, images in ((0.0, "as they are"), (_LEVEL, "distorted")):
            times = _in_turn({side: make(pairs, objective, level) for side, make in makers.items()}, rounds)
            case = f"{objective}, images {images}"
            rows += [row(f"{side} {case}", "samples_per_second", _BATCH / np.median(values), "1/s")
                     for side, values in times.items()]
            if len(times) > 1:
                # Of the same round, since other programs may slow down single rounds.
                ratio = np.median(times["PyTorch"] / times["phasejax"])
                rows.append(row(f"phasejax {case}", "speed_over_pytorch", ratio, "1"))
    rows.append(row("loader alone", "samples_per_second", _loader_rate(pairs, _BATCH), "1/s"))
    return [*rows, *_on_gpu()]


def _in_turn(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of a step of each side in every round."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for take in sides.values():
        take()  # the first call compiles and allocates
    for _ in range(rounds):
        for name, take in sides.items():
            start = time.perf_counter()
            take()
            times[name].append((time.perf_counter() - start) / _STEPS)
    return {name: np.array(values) for name, values in times.items()}


def _ours(pairs: CaptionPairs, objective: str, level: float) -> Callable[[], object]:
    """A function that takes a few steps, from rows in the loader to new parameters, and waits for them."""
    architecture = CaptionArchitecture(size=_SIZE, vocabulary=len(pairs.vocabulary), length=_LENGTH,
                                       classes=len(pairs.label_names), **_SIZES)
    nuisance, key = CaptionNuisance("image" if level else "none", level=level), jax.random.key(0)
    training = CaptionTraining(objective, architecture, steps=10_000, devices=jax.local_devices()[:1],
                               prepare=lambda rows, key: present(key, rows, nuisance))
    state, batches = training.start(key), _endless(pairs)

    def take():
        nonlocal state
        for step in range(_STEPS):
            state, metrics = training.step(state, next(batches), jax.random.fold_in(key, step))
        return jax.block_until_ready(metrics)

    return take


def _endless(pairs: CaptionPairs, batch: int = _BATCH):
    """Batches of one epoch after another."""
    epoch = 0
    while True:
        yield from load_batches(pairs, batch, epoch=epoch)
        epoch += 1


def _torch(pairs: CaptionPairs, objective: str, level: float) -> Callable[[], object]:
    """A function that takes as many steps with PyTorch, from the same bytes."""
    import torch

    from benchmarks.numpy_styles import present as presented
    from benchmarks.torch_captions import caption_trainer

    step = caption_trainer(objective, {"size": _SIZE, "vocabulary": len(pairs.vocabulary), "length": _LENGTH,
                                       "classes": len(pairs.label_names), "decoder_width": _SIZES["width"] // 2,
                                       **_SIZES}, 1e-3)
    tokens, labels = (torch.from_numpy(np.array(part, np.int64)) for part in (pairs.tokens[:, 0], pairs.labels))
    everything = torch.from_numpy(pairs.images.transpose(0, 3, 1, 2).copy())
    mean, deviation = (torch.from_numpy(part)[:, None, None] for part in (MEAN, DEVIATION))
    rng, pool = np.random.default_rng(0), ThreadPoolExecutor(cores())

    def images_of(rows):
        if not level:
            return (everything[rows].float() / 255 - mean) / deviation
        drawn = pool.map(lambda row, own: presented(pairs.images[row], level, own), rows.tolist(), rng.spawn(len(rows)))
        return torch.from_numpy(np.stack(list(drawn)))

    def take():
        for _ in range(_STEPS):
            rows = torch.randint(len(pairs), (_BATCH,))
            loss = step(images_of(rows), tokens[rows], labels[rows])
        return loss

    return take


def _on_gpu(steps: int = 20) -> list[Row]:
    """The published networks at 224 pixels in bfloat16, the share of the device's products, and the paper's time."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        print("no GPU here: the rows at 224 pixels in bfloat16 are left out")
        return []
    pairs, batch, rows, total = load_emoji(size=224, length=64), 256, [], 0.0
    peak = next((value for name, value in _PEAK.items() if name in device.device_kind), None)
    for objective in OBJECTIVES:
        architecture = CaptionArchitecture(size=224, vocabulary=10_000, length=64, classes=80, precision="bfloat16")
        nuisance, key = CaptionNuisance("image", level=_LEVEL), jax.random.key(0)
        training = CaptionTraining(objective, architecture, steps=10_000, devices=[device],
                                   prepare=lambda rows, key, nuisance=nuisance: present(key, rows, nuisance))
        batches, state = _endless(pairs, batch), training.start(key)
        # Operations of the networks alone, as the compiler counts them, without the distortions.
        seen = jax.eval_shape(lambda rows, nuisance=nuisance, key=key: present(key, rows, nuisance), next(batches))
        plain = CaptionTraining(objective, architecture, steps=10_000, devices=[device])
        counted = jax.jit(plain._step).lower(jax.eval_shape(plain.start, key), seen, key).cost_analysis() or {}
        for _ in range(3):
            state, metrics = training.step(state, next(batches), key)
        jax.block_until_ready(metrics)
        start = time.perf_counter()
        for _ in range(steps):
            state, metrics = training.step(state, next(batches), key)
        jax.block_until_ready(metrics)
        seconds = (time.perf_counter() - start) / steps
        case = f"{device.device_kind} {objective}, 224 px, bfloat16"
        rows.append(row(case, "samples_per_second", batch / seconds, "1/s"))
        if peak is not None and counted.get("flops"):
            rows.append(row(case, "flop_utilisation", counted["flops"] / seconds / peak, "1"))
        hours = _PAPER_ROWS * _PAPER_EPOCHS * _PAPER_CELLS * seconds / batch / 3600
        rows.append(row(case, "paper_15_trainings", hours, "h"))
        total += hours
    rows += [row("loader alone, 224 px", "samples_per_second", _loader_rate(pairs, batch), "1/s"),
             row("all objectives of the paper", "projected_time", total, "h")]
    return rows


def _loader_rate(pairs: CaptionPairs, batch: int) -> float:
    """Rows that the loader hands over in a second, without any training."""
    start, count = time.perf_counter(), 0
    for rows in load_batches(pairs, batch):
        count += len(jax.block_until_ready(rows).labels)
    return count / (time.perf_counter() - start)
