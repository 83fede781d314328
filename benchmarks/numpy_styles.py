"""The styles of `phasejax.captions` image by image with NumPy and SciPy, as the dataset of a plain loop draws them."""

import numpy as np
from scipy.ndimage import gaussian_filter

from phasejax.captions import STYLE_GROUPS

_SIDE = 224  # of the images in whose pixels blurs are given
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)
_MEAN, _DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)


def present(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """An image as a network sees it in the mode "image": in styles of max(1, round(6 l)) groups, blurred, normalised.

    Args:
        image: values 0 to 255, shape (h, w, 3).
        level: l, 0 to 1; 0 normalises only.
        rng: what is drawn from.

    Returns:
        Float32, colours first.
    """
    values = image.astype(np.float32) / 255
    if level:
        groups = list(STYLE_GROUPS.values())
        for group in np.sort(rng.permutation(len(groups))[:max(1, round(len(groups) * level))]):
            style = groups[group][rng.integers(len(groups[group]))]
            values = np.clip(_styled(values, style, np.float32(rng.uniform(0.3, 1)), rng), 0, 1)
        values = _blurred(values, 4 * level)
    return ((values - _MEAN) / _DEVIATION).transpose(2, 0, 1)


def _styled(x: np.ndarray, style: str, t: np.float32, rng: np.random.Generator) -> np.ndarray:
    """An image in a style of strength t; the formulas are those of `phasejax.captions.apply_style`."""
    match style:
        case "sepia":
            return (1 - t) * x + t * np.minimum(x @ _SEPIA.T, 1)
        case "bluish":
            return x + t * np.array([-0.10, 0.0, 0.20], np.float32)
        case "amber":
            return x + t * np.array([0.15, 0.06, -0.12], np.float32)
        case "greenish":
            return x + t * np.array([-0.08, 0.15, -0.08], np.float32)
        case "overexposed":
            return (1 + t) * x + 0.15 * t
        case "underexposed":
            return (1 - 0.7 * t) * x
        case "contrasty" | "flat":
            return x.mean() + (1 + (2 if style == "contrasty" else -0.8) * t) * (x - x.mean())
        case "grainy":
            return x + 0.25 * t * rng.standard_normal(x.shape, np.float32)
        case "blurred":
            return _blurred(x, 1 + 5 * t)
        case "posterized":
            levels = np.round(8 - 6 * t)
            return np.floor(x * levels) / (levels - 1)
        case "solarized":
            return np.where(x > 1 - t / 2, 1 - x, x)
        case "vivid" | "muted":
            luminance = (x @ _LUMINANCE)[..., None]
            return luminance + (1 + (2.5 if style == "vivid" else -0.9) * t) * (x - luminance)
    down, across = (np.linspace(-1, 1, side, dtype=np.float32) for side in x.shape[:2])
    radius = (down[:, None] ** 2 + across**2)[..., None]
    return x * (1 - t * np.minimum(radius / 2, 1) if style == "vignetted" else 1 + t * (0.5 - np.minimum(radius, 1)))


def _blurred(x: np.ndarray, sigma: float | np.float32) -> np.ndarray:
    """Under a Gaussian whose standard deviation is given in 224ths of the side."""
    return gaussian_filter(x, (*2 * (float(sigma) * x.shape[0] / _SIDE,), 0), mode="reflect")
