"""Plots that several packages share: colours that every reader can tell apart."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from phasejax.plotting import OBJECTIVE_COLOURS, REGIME_COLOURS

# How readers with each kind of colour vision see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
VISION = {"normal": np.eye(3),
          "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                         [-0.003882, -0.048116, 1.051998]],
          "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                           [-0.011820, 0.042940, 0.968881]],
          "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                         [0.004733, 0.691367, 0.303900]]}


def least_distance(colours, vision):
    """Least CIELAB distance between any two colours; about 2.3 is just noticeable."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    labs = []
    for colour in colours:
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        f = np.cbrt(to_xyz @ np.clip(np.asarray(VISION[vision]) @ linear, 0.001, 1) / [0.95047, 1, 1.08883])
        labs.append([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
    labs = np.array(labs)
    return min(np.linalg.norm(a - b) for i, a in enumerate(labs) for b in labs[:i])


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart_by_every_reader(vision):
    assert least_distance(REGIME_COLOURS.values(), vision) > 25
    assert least_distance(OBJECTIVE_COLOURS.values(), vision) > 15
