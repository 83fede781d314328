r"""Two modalities of bits that share some and keep others: what each tells about the label is known exactly.

Modality x is (x_c, x_u) and y is (x_c, y_u), with fair independent bits: x_c are shared, x_u and y_u belong to one
modality alone. The label l is drawn from a softmax of F features f,

.. math::  p(l \mid x, y) \propto \exp\bigl(b_l + f^\top w_l / T\bigr)

Of the features R are shared bits, and S are exclusive ors of one bit of each modality, which neither shows alone
(synergy). The others are the modalities' own bits, half from each. Whatever R and S are, the features are F fair
independent bits, so that I(x, y; l) does not depend on R or S.

Source: T25, section 4; synergy after F26.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.input_files import check_memory
from phasejax._core.overview import Overview, Shown
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.records import Record
from phasejax._core.validation import KeyLike, check_count, check_key, check_number, is_traced

T25_INFORMATION = 1.159  # I(x, y; l) of T25's label, in nats

_MOST = 2**16  # features, bits or classes


@pytree
class SharedUniqueBits(Shown):
    """How the bits decide the label: the loading w / T of a bit is what it adds to the logit of each class.

    Args:
        shared: loadings of the c shared bits, shape (c, L) for L classes.
        unique_x, unique_y: loadings of the u bits of each modality's own, shape (u, L).
        synergy: loadings of the exclusive ors x_u,j xor y_u,j, shape (u, L).
        bias: b, shape (L,), which makes the classes equally frequent.
    """

    shared: Float[HostOrDevice, "c L"]
    unique_x: Float[HostOrDevice, "u L"]
    unique_y: Float[HostOrDevice, "u L"]
    synergy: Float[HostOrDevice, "u L"]
    bias: Float[HostOrDevice, "L"]

    def _overview(self) -> Overview:
        """How many bits there are of each kind, and how many of them bear on the label."""
        words = {"shared": "shared by both", "unique_x": "of x alone", "unique_y": "of y alone",
                 "synergy": "exclusive ors of one bit each"}
        rows = [(words[name], str(len(loadings)), "?" if is_traced(loadings) else
                 str(int(np.any(np.asarray(loadings) != 0, axis=-1).sum())))
                for name, loadings in ((name, getattr(self, name)) for name in words)]
        return Overview(kind="SharedUniqueBits", answer=f"{self.bias.shape[-1]} classes from bits of two modalities",
                        columns=("bits", "number", "bear on the label"), rows=rows)


@pytree
class Rows:
    """Paired rows of both modalities and their labels.

    Args:
        x, y: bits of the modalities as -1/2 and 1/2, shape (n, c + u), the shared ones first.
        labels: classes from 0 to L - 1, shape (n,).
    """

    x: Float[Array, "n d"]
    y: Float[Array, "n d"]
    labels: Int[Array, "n"]


@pytree
class Information(Record):
    """What the modalities tell about the label: exact mutual informations, in nats, and accuracies.

    Args:
        both: I(x, y; l).
        x, y: I(x; l) and I(y; l).
        shared: I(x_c; l).
        accuracy_both, accuracy_x, accuracy_y: the highest accuracy that any classifier reaches from both
            modalities, from x, from y.
    """

    both: float
    x: float
    y: float
    shared: float
    accuracy_both: float
    accuracy_x: float
    accuracy_y: float

    _kind = "phasejax.information"

    def _overview(self) -> Overview:
        rows = [(words, significant(getattr(self, name)), accuracy if accuracy == "-" else significant(
            getattr(self, accuracy))) for name, words, accuracy in (
            ("both", "x and y", "accuracy_both"), ("x", "x", "accuracy_x"), ("y", "y", "accuracy_y"),
            ("shared", "shared bits", "-"))]
        return Overview(kind="Information", answer=f"{significant(self.both)} nats about the label in both modalities",
                        columns=("of", "nats", "highest accuracy"), rows=rows)


@checked
def shared_unique_bits(key: KeyLike, redundancy: int, *, synergy: int = 0, features: int = 8, shared: int = 8,
                       unique: int = 4, classes: int = 4, information: float = T25_INFORMATION) -> SharedUniqueBits:
    r"""The label of T25: R shared features, S synergistic ones, the others divided between the modalities.

    The weights w are uniform on [0, 1], those of each feature scaled to length 1; the first R features are
    shared bits. The temperature T is solved for such that I(x, y; l) is as asked for, and the bias such that
    classes are equally frequent. Both depend on the key alone, not on R or S.

    Args:
        key: random key or a seed of the weights.
        redundancy: R, from 0 to min(shared, features).
        synergy: S, at least 0.
        features: F.
        shared, unique: numbers of bits c and u.
        classes: L, at least 2.
        information: I(x, y; l) in nats, between 0 and log L.

    Returns:
        The loadings of all bits, float64 on the host.

    Raises:
        ValueError: more features than bits to carry them, or information out of reach.

    Source: T25, section 4 and its published code (there T = 0.05 and one set of weights).

    >>> model = shared_unique_bits(jax.random.key(0), 6)
    >>> round(mutual_information(model).both, 6)
    1.159
    """
    key = check_key("key", key)
    for name, value in (("features", features), ("shared", shared), ("unique", unique)):
        check_count(name, value, most=_MOST)
    check_count("classes", classes, 2, _MOST)
    check_count("redundancy", redundancy, 0)
    check_count("synergy", synergy, 0)
    check_number("information", information)
    if not 0 <= redundancy <= min(shared, features):
        raise ValueError(f"redundancy: expected 0 to {min(shared, features)}, got {redundancy}")
    own = features - redundancy - synergy
    if synergy < 0 or own < 0 or -(-own // 2) + synergy > unique:
        raise ValueError(f"synergy: expected 0 or more with the {features - redundancy} features that are not shared "
                         f"on {unique} bits of each modality, got {synergy}")
    weights = np.asarray(jax.random.uniform(key, (features, classes)), float)
    weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    loadings, bias = _loadings_and_bias(weights, information)
    own_x = own // 2
    parts = np.split(loadings, np.cumsum([redundancy, own_x, own - own_x]))

    def padded(part, bits, last=False):
        empty = np.zeros((bits - len(part), classes))
        return np.concatenate([empty, part] if last else [part, empty])

    return SharedUniqueBits(shared=padded(parts[0], shared), unique_x=padded(parts[1], unique),
                            unique_y=padded(parts[2], unique), synergy=padded(parts[3], unique, last=True), bias=bias)


@checked
def draw_rows(key: KeyLike, model: SharedUniqueBits, n: int) -> Rows:
    """Draw independent rows of both modalities with their labels; traceable for a static n.

    Args:
        key: random key or a seed.
        model: how the bits decide the label.
        n: rows.

    >>> rows = draw_rows(jax.random.key(1), shared_unique_bits(jax.random.key(0), 4), 5)
    >>> rows.x.shape, rows.y.shape, rows.labels.shape
    ((5, 12), (5, 12), (5,))
    """
    key = check_key("key", key)
    c, u = model.shared.shape[0], model.unique_x.shape[0]
    check_memory("n", 16 * check_count("n", n))
    word, fraction = jnp.split(jax.random.bits(key, (n, 2)), 2, axis=1)
    bits = ((word >> jnp.arange(c + 2 * u, dtype=word.dtype)) & 1).astype(jnp.float32)
    shared, own_x, own_y = jnp.split(bits, [c, c + u], axis=1)
    cumulative = jnp.cumsum(_label_probabilities(model, shared, own_x, own_y), axis=-1)
    uniform = fraction.astype(jnp.float32) / jnp.float32(2**32)
    labels = jnp.sum(uniform >= cumulative[:, :-1], axis=1)
    return Rows(jnp.concatenate([shared, own_x], 1) - 0.5, jnp.concatenate([shared, own_y], 1) - 0.5, labels)


@checked
def joint_table(model: SharedUniqueBits) -> Float[np.ndarray, "C U U L"]:
    """p(l | x_c, x_u, y_u) of all states, which are equally likely.

    Args:
        model: how the bits decide the label.

    Returns:
        Shape (2^c, 2^u, 2^u, L), float64. Each axis runs over the combinations of `all_bits`.

    >>> joint_table(shared_unique_bits(jax.random.key(0), 4)).shape
    (256, 16, 16, 4)
    """
    c, u = model.shared.shape[0], model.unique_x.shape[0]
    parts = (np.asarray(leaf, float) for leaf in (model.shared, model.unique_x, model.unique_y, model.synergy))
    shared, own_x, own_y, synergy = parts
    own = all_bits(u)
    either = own[:, None] + own[None] - 2 * own[:, None] * own[None]
    logits = ((all_bits(c) @ shared)[:, None, None] + (own @ own_x)[:, None] + (own @ own_y)[None]
              + either @ synergy + np.asarray(model.bias, float))
    return _softmax(logits)


@checked
def pair_table(model: SharedUniqueBits) -> Float[np.ndarray, "X Y L"]:
    """p(x, y, l) for `decompose`, over the bits that the label depends on; the other bits change no part.

    Args:
        model: how the bits decide the label.

    Returns:
        Shape (2^(r + u_x), 2^(r + u_y), L), if r shared bits and u_x and u_y bits of the modalities' own have a
        loading.

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


def label_of_seed(redundancy: int, seed: int) -> tuple[SharedUniqueBits, Array]:
    """The label that the experiments use for a seed, and the key of everything else that is random.

    A seed has the same weights at every redundancy.
    """
    key_label, key = jax.random.split(jax.random.fold_in(jax.random.key(0), seed))
    return shared_unique_bits(key_label, redundancy), key


def label_given_states(model: SharedUniqueBits
                       ) -> tuple[Float[np.ndarray, "states L"], Float[np.ndarray, "states L"]]:
    """p(l | x) and p(l | y) of all states of a modality, in the order of `all_bits`."""
    table = joint_table(model)
    of_x, of_y = (table.mean(axis).transpose(1, 0, 2).reshape(-1, table.shape[-1]) for axis in (2, 1))
    return of_x, of_y


@checked
def mutual_information(model: SharedUniqueBits) -> Information:
    r"""What the modalities tell about the label, by summing over all states.

    .. math::  I(z; l) = H(l) - E_z\, H(l \mid z)

    Args:
        model: how the bits decide the label.

    Returns:
        Informations in nats, and the highest accuracies.

    >>> found = mutual_information(shared_unique_bits(jax.random.key(0), 8))  # all features are shared bits
    >>> round(found.x - found.both, 9), round(found.shared - found.both, 9)
    (0.0, 0.0)
    """
    table = joint_table(model)
    entropy = _entropy(table.mean((0, 1, 2)))
    given = {"both": table, "x": table.mean(2), "y": table.mean(1), "shared": table.mean((1, 2))}
    accuracy = {f"accuracy_{name}": float(given[name].max(-1).mean()) for name in ("both", "x", "y")}
    return Information(**{name: float(entropy - _entropy(p).mean()) for name, p in given.items()}, **accuracy)


def all_bits(count: int) -> Float[np.ndarray, "states count"]:
    """All 2^count combinations of bits 0 and 1, bit 0 running fastest."""
    return ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(float)


def _label_probabilities(model, shared, own_x, own_y):
    either = own_x + own_y - 2 * own_x * own_y
    return jax.nn.softmax(shared @ model.shared + own_x @ model.unique_x + own_y @ model.unique_y
                          + either @ model.synergy + model.bias)


def _loadings_and_bias(weights, information):
    """Loadings w / T and the bias with which classes are equally frequent and I(x, y; l) is as asked for."""
    features, classes = weights.shape
    states = all_bits(features)

    def information_at(inverse_temperature, bias):
        """I(x, y; l) at this temperature, and the bias that makes classes equally frequent, searched from `bias` on."""
        logits = inverse_temperature * (states @ weights)
        for _ in range(200):
            p = _softmax(logits + bias)
            excess = p.mean(0) - 1 / classes
            if np.abs(excess).max() < 1e-14:
                break
            # Newton's step for the convex log-partition function, whose slope are the shares of the classes. A constant
            # added to the bias changes nothing; 1 / classes makes the singular Hessian invertible.
            slope = np.diag(p.mean(0)) - p.T @ p / len(p) + 1 / classes
            step = np.linalg.solve(slope, excess)
            bias = bias - step / max(1.0, np.abs(step).max())
        return _entropy(p.mean(0)) - _entropy(p).mean(), bias

    # Information rises from 0 at infinite temperature to its supremum at temperature 0: double, then bisect.
    refused = f"information: expected between 0 and less than log({classes}) nats, got {information}"
    if not 0 < information < np.log(classes):
        raise ValueError(refused)
    low, middle, high = 0.0, 1.0, 1.0
    found, bias = information_at(high, np.zeros(classes))
    while found < information:
        low, high = high, 2 * high
        if high > 1e4:
            raise ValueError(refused)
        found, bias = information_at(high, bias)
    while high - low > 1e-14 * high:
        middle = (low + high) / 2
        found, bias = information_at(middle, bias)
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
