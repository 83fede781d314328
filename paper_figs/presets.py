"""How much of the papers' protocols a run of the figures covers: seconds, an evening on a laptop, or all of it."""

from dataclasses import dataclass

import jax
import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Preset:
    """Sizes of one run of the figures.

    Args:
        n: pairs in each sample of the linear figures.
        seeds: independent samples.
        thin: use every `thin`-th value of the papers' long sweeps.
        raster: cells along each side of the closed-form phase diagrams.
        frames: frames of the animation.
        trainings: seeds of the figure that trains linear encoders with InfoNCE.
        batch, max_steps: rows in each of that figure's gradient steps, and the most steps it takes.
        sizes: rows in all of the deep experiment at several sample sizes.
        experiment: name of the preset in `phasejax.deep.PRESETS` that figures of deep encoders run, and in
            `phasejax.information`'s presets that figures of imposed and emergent alignment run.
    """

    n: int
    seeds: int
    thin: int
    raster: int
    frames: int
    trainings: int = 20
    batch: int = 1024
    max_steps: int = 5000
    sizes: tuple[int, ...] = (10_000, 50_000, 100_000)
    experiment: str = "paper"

    def sweep(self, values: ArrayLike) -> np.ndarray:
        """The papers' sweep values, or an even subset that keeps both ends."""
        values = np.asarray(values, float)
        count = -(-(len(values) - 1) // self.thin) + 1
        return values[np.round(np.linspace(0, len(values) - 1, count)).astype(int)]

    def key(self) -> jax.Array:
        """The key of every figure: results are the same on every run."""
        return jax.random.key(0)


PRESETS = {
    "quick": Preset(n=5000, seeds=3, thin=3, raster=200, frames=24, trainings=3, batch=512, max_steps=1200,
                    sizes=(3000, 6000, 12_000), experiment="quick"),
    "laptop": Preset(n=5000, seeds=5, thin=2, raster=400, frames=40, trainings=5, sizes=(2500, 5000, 10_000),
                     experiment="laptop"),
    "paper": Preset(n=5000, seeds=10, thin=1, raster=600, frames=60),
}
