r"""Two modalities of bits that share some and keep others: what each tells about the label is known exactly.

Modality x is (x_c, x_u), y is (x_c, y_u), with fair independent bits: c shared, u of each modality's own.
The label is drawn from a softmax of F features f, of which R are shared bits, S are exclusive ors of one
bit of each modality, which neither shows alone (synergy), and the others the modalities' own bits, half
from each:

.. math::  p(l \mid x, y) \propto \exp\bigl(b_l + f^\top w_l / T\bigr)

The features are F fair independent bits whatever R and S, so that I(x, y; l) does not depend on them.

Source: T25, section 4; synergy after F26.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_count

T25_INFORMATION = 1.159  # nats


@pytree
class SharedUniqueBits:
    """How the bits bear on the label; a loading is what a bit adds to a class's logit, w / T.

    Args:
        shared: loadings of the shared bits, shape (c, L).
        unique_x, unique_y: loadings of the modalities' own bits, shape (u, L).
        synergy: loadings of x_u,j xor y_u,j, shape (u, L).
        bias: b, shape (L,); it makes the classes equally frequent.
    """

    shared: Float[HostOrDevice, "c L"]
    unique_x: Float[HostOrDevice, "u L"]
    unique_y: Float[HostOrDevice, "u L"]
    synergy: Float[HostOrDevice, "u L"]
    bias: Float[HostOrDevice, "L"]


@pytree
class Rows:
    """Paired rows.

    Args:
        x, y: bits of the modalities as -1/2 and 1/2, shape (n, c + u), shared ones first.
        labels: classes from 0 to L - 1, shape (n,).
    """

    x: Float[Array, "n d"]
    y: Float[Array, "n d"]
    labels: Int[Array, "n"]


@pytree
class Information:
    """Exact mutual informations, in nats.

    Args:
        both: I(x, y; l).
        x, y: I(x; l) and I(y; l).
        shared: I(x_c; l).
        accuracy_both, accuracy_x, accuracy_y: the best accuracy any classifier reaches from both
            modalities, from x, from y.
    """

    both: float
    x: float
    y: float
    shared: float
    accuracy_both: float
    accuracy_x: float
    accuracy_y: float


@pytree
class TanhNetwork:
    """A random network that disguises a modality, with standardised outputs.

    Args:
        weights: shape (depth + 1, d, d).
        biases: shape (depth + 1, d).
        mean, deviation: of each output over all 2^d inputs, shape (d,).
    """

    weights: Float[Array, "layers d d"]
    biases: Float[Array, "layers d"]
    mean: Float[Array, "d"]
    deviation: Float[Array, "d"]

    def __call__(self, rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Outputs, each with mean 0 and deviation 1 over all inputs."""
        return (_forward(self.weights, self.biases, rows) - self.mean) / self.deviation


def shared_unique_bits(key: Array, redundancy: int, *, synergy: int = 0, features: int = 8, shared: int = 8,
                       unique: int = 4, classes: int = 4, information: float = T25_INFORMATION) -> SharedUniqueBits:
    r"""The label of T25: R shared features, S synergistic ones, the others divided between the modalities.

    Weights w are uniform on [0, 1] with each feature's scaled to length 1; the first R features are
    shared bits. The temperature T is solved for, so that I(x, y; l) is what is asked for, and the bias
    so that classes are equally frequent. Both depend on the key alone, not on R or S.

    Args:
        key: of the weights.
        redundancy: R, from 0 to min(shared, features).
        synergy: S.
        features: F.
        shared, unique: bits c and u.
        classes: L, at least 2.
        information: I(x, y; l) in nats, between 0 and log L.

    Raises:
        ValueError: more features than bits to carry them, information out of reach.

    Source: T25, section 4 and its published code (there T = 0.05 and one set of weights).

    >>> model = shared_unique_bits(jax.random.key(0), 6)
    >>> round(mutual_information(model).both, 6)
    1.159
    """
    for name, value in (("features", features), ("shared", shared), ("unique", unique), ("classes", classes - 1)):
        check_count(name, value)
    if not 0 <= redundancy <= min(shared, features):
        raise ValueError(f"redundancy: expected 0 to {min(shared, features)}, got {redundancy}")
    own = features - redundancy - synergy
    if synergy < 0 or own < 0 or -(-own // 2) + synergy > unique:
        raise ValueError(f"synergy: expected 0 or more with the {features - redundancy} features that are not shared "
                         f"on {unique} bits of each modality, got {synergy}")
    weights = np.asarray(jax.random.uniform(key, (features, classes)), float)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    loadings, bias = _scaled(weights, information)
    own_x = own // 2
    parts = np.split(loadings, np.cumsum([redundancy, own_x, own - own_x]))

    def padded(part, bits, last=False):
        empty = np.zeros((bits - len(part), classes))
        return np.concatenate([empty, part] if last else [part, empty])

    return SharedUniqueBits(shared=padded(parts[0], shared), unique_x=padded(parts[1], unique),
                            unique_y=padded(parts[2], unique), synergy=padded(parts[3], unique, last=True), bias=bias)


def draw_rows(key: Array, model: SharedUniqueBits, n: int) -> Rows:
    """Draw n independent rows; traceable, n static.

    >>> rows = draw_rows(jax.random.key(1), shared_unique_bits(jax.random.key(0), 4), 5)
    >>> rows.x.shape, rows.y.shape, rows.labels.shape
    ((5, 12), (5, 12), (5,))
    """
    c, u = model.shared.shape[0], model.unique_x.shape[0]
    word, fraction = jnp.split(jax.random.bits(key, (n, 2)), 2, axis=1)
    bits = ((word >> jnp.arange(c + 2 * u, dtype=word.dtype)) & 1).astype(jnp.float32)
    shared, own_x, own_y = jnp.split(bits, [c, c + u], axis=1)
    cumulative = jnp.cumsum(_probabilities(model, shared, own_x, own_y), axis=-1)
    uniform = fraction.astype(jnp.float32) / jnp.float32(2**32)
    labels = jnp.sum(uniform >= cumulative[:, :-1], axis=1)
    return Rows(jnp.concatenate([shared, own_x], 1) - 0.5, jnp.concatenate([shared, own_y], 1) - 0.5, labels)


def joint_table(model: SharedUniqueBits) -> Float[np.ndarray, "C U U L"]:
    """p(l | x_c, x_u, y_u) of all states, each state as likely as any other; shape (2^c, 2^u, 2^u, L), float64."""
    c, u = model.shared.shape[0], model.unique_x.shape[0]
    parts = (np.asarray(leaf, float) for leaf in (model.shared, model.unique_x, model.unique_y, model.synergy))
    shared, own_x, own_y, synergy = parts
    own = all_bits(u)
    either = own[:, None] + own[None] - 2 * own[:, None] * own[None]
    logits = ((all_bits(c) @ shared)[:, None, None] + (own @ own_x)[:, None] + (own @ own_y)[None]
              + either @ synergy + np.asarray(model.bias, float))
    return _softmax(logits)


def pair_table(model: SharedUniqueBits) -> Float[np.ndarray, "X Y L"]:
    """p(x, y, l) of the bits that bear on the label, for `decompose`; the other bits change no part.

    Returns:
        Shape (2^(r + u_x), 2^(r + u_y), L) for r shared bits and u_x, u_y own bits with a loading.

    >>> pair_table(shared_unique_bits(jax.random.key(0), 2)).shape
    (32, 32, 4)
    """
    used = [np.any(np.asarray(leaf) != 0, axis=1) for leaf in (model.shared, model.unique_x, model.unique_y)]
    used[1:] = [own | np.any(np.asarray(model.synergy) != 0, axis=1) for own in used[1:]]
    axes = [len(bits) - 1 - np.flatnonzero(~bits) for bits in used]  # bit 0 runs fastest, so it is the last axis
    table = joint_table(model)
    shape = [(2,) * len(bits) for bits in used]
    table = table.reshape(*shape[0], *shape[1], *shape[2], -1)
    offsets = np.cumsum([0, len(used[0]), len(used[1])])
    table = table.mean(tuple(int(i) for part, offset in zip(axes, offsets, strict=True) for i in part + offset))
    r, own_x, own_y = (2 ** int(bits.sum()) for bits in used)
    given = table.reshape(r, own_x, own_y, -1)
    joint = np.zeros((r, own_x, r, own_y, given.shape[-1]))
    joint[np.arange(r), :, np.arange(r)] = given
    return joint.reshape(r * own_x, r * own_y, -1) / (r * own_x * own_y)


def mutual_information(model: SharedUniqueBits) -> Information:
    r"""What the modalities tell about the label, by summing over all states.

    .. math::  I(z; l) = H(l) - E_z\, H(l \mid z)

    Returns:
        In nats.
    """
    table = joint_table(model)
    entropy = _entropy(table.mean((0, 1, 2)))
    given = {"both": table, "x": table.mean(2), "y": table.mean(1), "shared": table.mean((1, 2))}
    accuracy = {f"accuracy_{name}": float(given[name].max(-1).mean()) for name in ("both", "x", "y")}
    return Information(**{name: float(entropy - _entropy(p).mean()) for name, p in given.items()}, **accuracy)


def tanh_network(key: Array, depth: int, d: int = 12) -> TanhNetwork:
    r"""Linear, then `depth` times tanh and linear; parameters uniform on :math:`\pm 1 / \sqrt d`.

    Outputs are standardised over all 2^d inputs in {-1/2, 1/2}^d. T25 does not, so that there depth
    also shrinks them, each layer by about :math:`\sqrt 3`.

    Args:
        depth: 0 or more; 0 is a random linear map.
        d: inputs and outputs.

    Source: T25, section 4.

    >>> round(float(tanh_network(jax.random.key(0), 3, 4)(jnp.asarray(all_bits(4) - 0.5)).std()), 4)
    1.0
    """
    if depth < 0:
        raise ValueError(f"depth: expected 0 or more, got {depth}")
    weights, biases = jnp.split(jax.random.uniform(key, (depth + 1, d + 1, d), minval=-1, maxval=1) / jnp.sqrt(d),
                                [d], axis=1)
    outputs = _forward(weights, biases[:, 0], jnp.asarray(all_bits(d) - 0.5, weights.dtype))
    return TanhNetwork(weights, biases[:, 0], jnp.mean(outputs, 0), jnp.std(outputs, 0))


def all_bits(count: int) -> Float[np.ndarray, "states count"]:
    """All 2^count combinations of bits 0 and 1, bit 0 running fastest."""
    return ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(float)


def _forward(weights, biases, rows):
    outputs = rows @ weights[0] + biases[0]
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        outputs = jnp.tanh(outputs) @ weight + bias
    return outputs


def _probabilities(model, shared, own_x, own_y):
    either = own_x + own_y - 2 * own_x * own_y
    return jax.nn.softmax(shared @ model.shared + own_x @ model.unique_x + own_y @ model.unique_y
                          + either @ model.synergy + model.bias)


def _scaled(weights, information):
    """Loadings w / T and bias, for which the label has uniform classes and the information asked for."""
    features, classes = weights.shape
    states = all_bits(features)

    def solved(inverse_temperature, bias):
        logits = inverse_temperature * (states @ weights)
        for _ in range(200):
            p = _softmax(logits + bias)
            excess = p.mean(0) - 1 / classes
            if np.abs(excess).max() < 1e-14:
                break
            # Newton's step for the convex log-partition, whose slope is the shares; a constant changes nothing.
            slope = np.diag(p.mean(0)) - p.T @ p / len(p) + 1 / classes
            step = np.linalg.solve(slope, excess)
            bias = bias - step / max(1.0, np.abs(step).max())
        return _entropy(p.mean(0)) - _entropy(p).mean(), bias

    # Information rises from 0 at infinite temperature to its supremum at 0.
    refused = f"information: expected between 0 and less than log({classes}) nats, got {information}"
    if not 0 < information < np.log(classes):
        raise ValueError(refused)
    low, high = 0.0, 1.0
    found, bias = solved(high, np.zeros(classes))
    while found < information:
        low, high = high, 2 * high
        if high > 1e4:
            raise ValueError(refused)
        found, bias = solved(high, bias)
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        found, bias = solved(middle, bias)
        low, high = (middle, high) if found < information else (low, middle)
        if abs(found - information) < 1e-13:
            break
    return middle * weights, bias - bias.mean()


def _softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def _entropy(p):
    """In nats, over the last axis."""
    return -np.sum(p * np.log(np.maximum(p, np.finfo(float).tiny)), axis=-1)
