"""The small networks of a pilot, and the program that trains all of its objectives on one set of rows.

The objectives have networks of their own. The gradient of the sum of their losses is therefore that of each, and one
loop over minibatches trains all of them. Networks of the same role (an encoder of x, say) start from the same
parameters in all objectives, so that objectives differ in nothing but their losses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.small_matrices import inverse_cholesky
from phasejax.deep import losses
from phasejax.deep._networks import MLP, Decoder, Encoder

# The networks of each objective by their roles.
ROLES = {"CA": ("encoder_x", "encoder_y"), "CP x->y": ("encoder_x", "decoder_y"),
         "CP y->x": ("encoder_y", "decoder_x"), "joint": ("encoder_x", "encoder_y", "decoder_y")}
# Channels after each convolution (K26, appendix B); images of few pixels have fewer convolutions.
WIDTHS = (32, 32, 64, 64)
# DeepCCA's program grows with the number of outputs, and in a batch of some hundred rows the correlations of many
# outputs are large whatever the encoders do. With more outputs than this alignment is VICReg.
_OUTPUTS_OF_DEEPCCA = 16
# Added to the covariances of outputs, as a share of their mean variance and outright.
_RIDGE, _SMALLEST = 1e-3, 1e-6
# VICReg's weight of invariance, by which its loss is divided to be of the order of a mean squared error.
_INVARIANCE = 25.0
# Weight decay: shares of every parameter that the first step takes away, whatever the step size. Alignment on noisy
# views needs a hundred times as much as prediction, and few rows more than many, so that each is tried and every
# objective has the one that its own loss on validation rows prefers.
DECAYS = (0.002, 0.02, 0.12)


@dataclass(frozen=True)
class Pilot:
    """What is trained and how; programs are compiled once for each.

    Args:
        shape_x, shape_y: shape of a row of either view.
        k: number of outputs of an encoder.
        objectives: names out of `ROLES`.
        encoders: for x and for y a function of (rngs, k) that makes an encoder, or None for the package's own.
        convolutional: whether the package's networks of square images are convolutional; dense layers otherwise.
        widths: channels after each convolution; images of few pixels have the first ones only.
        hidden: widths of the hidden dense layers of an encoder, from first to last; decoders have them in reverse.
        steps: number of minibatches.
        learning_rate: step size of Adam at the first minibatch; it falls to 0 along a cosine.
    """

    shape_x: tuple[int, ...]
    shape_y: tuple[int, ...]
    k: int
    objectives: tuple[str, ...]
    encoders: tuple[Callable[[nnx.Rngs, int], nnx.Module] | None, Callable[[nnx.Rngs, int], nnx.Module] | None]
    convolutional: bool
    widths: tuple[int, ...]
    hidden: tuple[int, ...]
    steps: int
    learning_rate: float


@pytree
class PilotRows:
    """What one training sees.

    Args:
        start: key of the first parameters.
        decay: by objective the share of every parameter that the first step takes away.
        x, y: standardised training rows, shapes (rows, *shape).
        batches: numbers of the rows in each minibatch, shape (steps, batch).
    """

    start: Array
    decay: Mapping[str, Float[HostOrDevice, "*cells"]]
    x: Float[HostOrDevice, "*rows_x"]
    y: Float[HostOrDevice, "*rows_y"]
    batches: Int[HostOrDevice, "*cells steps batch"]


@pytree
class PilotState:
    """A training between two steps.

    Args:
        params: parameters of the networks, by objective and role.
        others: what else networks keep: running means, states of random numbers.
        optimiser: state of Adam, by objective.
        finite: for each objective whether all losses so far were finite.
    """

    params: Any
    others: Any
    optimiser: Any
    finite: Mapping[str, Bool[Array, "*cells"]]


def convolutions(shape: tuple[int, ...], most: int = len(WIDTHS)) -> int:
    """How many convolutions that halve its sides the rows of this shape can have; 0 where they are no square images."""
    if len(shape) != 3 or shape[0] != shape[1]:
        return 0
    side, number = shape[0], 0
    while number < most and side % 2 == 0 and side >= 8:
        side, number = side // 2, number + 1
    return number


def encode(pilot: Pilot, view: str, rngs: nnx.Rngs) -> Callable[..., Any]:
    """A new encoder of the view "x" or "y"."""
    shape, own = (pilot.shape_x, pilot.encoders[0]) if view == "x" else (pilot.shape_y, pilot.encoders[1])
    if own is not None:
        return own(rngs, pilot.k)
    if pilot.convolutional and (number := convolutions(shape, len(pilot.widths))):
        return Encoder(shape[2], size=shape[0], widths=pilot.widths[:number], hidden=pilot.hidden, outputs=pilot.k,
                       rngs=rngs)
    return MLP((_entries(shape), *pilot.hidden, pilot.k), rngs=rngs)


def _decode(pilot, view, rngs):
    """A new decoder that predicts the view "x" or "y" from k outputs."""
    shape = pilot.shape_x if view == "x" else pilot.shape_y
    if pilot.convolutional and (number := convolutions(shape, len(pilot.widths))):
        return Decoder(shape[2], size=shape[0], widths=pilot.widths[:number], hidden=pilot.hidden, inputs=pilot.k,
                       rngs=rngs)
    return MLP((pilot.k, *reversed(pilot.hidden), _entries(shape)), shape=shape, rngs=rngs)


def _entries(shape):
    entries = 1
    for side in shape:
        entries *= side
    return entries


def _build(pilot, start):
    """The networks of all objectives."""
    def network(role):
        rngs = nnx.Rngs(jax.random.fold_in(start, ("encoder_x", "encoder_y", "decoder_x", "decoder_y").index(role)))
        part, view = role.split("_")
        return encode(pilot, view, rngs) if part == "encoder" else _decode(pilot, view, rngs)

    return nnx.Dict({objective: nnx.Dict({role: network(role) for role in ROLES[objective]})
                     for objective in pilot.objectives})


def alignment_loss(z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n k"]) -> Float[Array, ""]:
    """Minus the mean squared canonical correlation of a batch (DeepCCA); with more than 16 outputs, VICReg.

    Squares have the same optima as the correlations themselves, and cost less.
    """
    if z_x.shape[1] <= _OUTPUTS_OF_DEEPCCA:
        return -jnp.mean(jnp.sum(_Whitening.of(z_x, z_y).correlations ** 2, axis=0))
    return losses.vicreg(z_x, z_y, invariance=_INVARIANCE).total / _INVARIANCE


def held_out_alignment_loss(z_x: Float[HostOrDevice, "v k"], z_y: Float[HostOrDevice, "v k"],
                            fitted_x: Float[HostOrDevice, "n k"], fitted_y: Float[HostOrDevice, "n k"]
                            ) -> Float[Array, ""]:
    r"""What `alignment_loss` of some rows is worth on others; VICReg of the others with more than 16 outputs.

    With T the correlations of the outputs that whitening maps of the fitted rows make, and A, M, B the second moments
    of the other rows under the same maps,

    .. math::  -\frac1k \bigl(2 \operatorname{tr} T^\top M - \operatorname{tr} T^\top A T B\bigr)

    which is `alignment_loss` where both are the same rows, and rises with every direction that does not generalise.

    Args:
        z_x, z_y: outputs of other rows.
        fitted_x, fitted_y: outputs of rows to which the networks were fitted.

    Source: the VAMP-E score of Wu and Noe 2020.
    """
    if (k := z_x.shape[1]) > _OUTPUTS_OF_DEEPCCA:
        return alignment_loss(z_x, z_y)
    whitening = _Whitening.of(fitted_x, fitted_y)
    t, (u_x, u_y) = whitening.correlations, whitening(z_x, z_y)
    a, m, b = (left.T @ right / len(z_x) for left, right in ((u_x, u_x), (u_x, u_y), (u_y, u_y)))
    return -(2 * jnp.sum(t * m) - jnp.sum((a @ t) * (t @ b))) / k


class _Whitening(NamedTuple):
    """Maps that give the outputs of a batch mean 0 and covariance 1, and their correlations then."""

    means: tuple[Array, Array]
    roots: tuple[Array, Array]
    correlations: Float[Array, "k k"]

    @classmethod
    def of(cls, z_x, z_y):
        means = z_x.mean(0), z_y.mean(0)
        x, y = (z - mean for z, mean in zip((z_x, z_y), means, strict=True))

        def root(z):
            covariance = z.T @ z / len(z)
            ridge = _RIDGE * jnp.trace(covariance) / len(covariance) + _SMALLEST
            return inverse_cholesky(covariance + ridge * jnp.eye(len(covariance)))

        roots = root(x), root(y)
        return cls(means, roots, roots[0] @ (x.T @ y / len(x)) @ roots[1].T)

    def __call__(self, z_x, z_y):
        return tuple((z - mean) @ root.T for z, mean, root in zip((z_x, z_y), self.means, self.roots, strict=True))


def _loss(objective, networks, x, y, fitted=None):
    """The loss of an objective on a batch; with rows to which the networks were fitted, on rows set aside."""
    def outputs(x, y):
        return {view: networks[f"encoder_{view}"](rows) for view, rows in (("x", x), ("y", y))
                if f"encoder_{view}" in ROLES[objective]}

    def align(z_x, z_y):
        if fitted is None:
            return alignment_loss(z_x, z_y)
        return held_out_alignment_loss(z_x, z_y, *outputs(*fitted).values())

    z = outputs(x, y)
    match objective:
        case "CA":
            return align(z["x"], z["y"])
        case "CP x->y":
            return losses.prediction(networks["decoder_y"](z["x"]), y)
        case "CP y->x":
            return losses.prediction(networks["decoder_x"](z["y"]), x)
        case _:
            return losses.joint(networks["decoder_y"](z["x"]), y, z["x"], z["y"], 1.0, align).total


@dataclass(frozen=True, eq=False)
class PilotProgram:
    """The functions of one training; none of them is compiled yet.

    Args:
        pilot: what is trained and how.
        graph: definition of the networks while they train.
        frozen: definition of the networks as they embed.
    """

    pilot: Pilot
    graph: nnx.GraphDef
    frozen: nnx.GraphDef

    def start(self, rows: PilotRows) -> PilotState:
        """The state before the first step."""
        networks = _build(self.pilot, rows.start)
        networks.train()
        _, params, others = nnx.split(networks, nnx.Param, ...)
        return PilotState(params=params, others=others,
                          optimiser={name: self._adam(rows.decay[name]).init(params[name])
                                     for name in self.pilot.objectives},
                          finite={name: jnp.array(True) for name in self.pilot.objectives})

    def train(self, state: PilotState, rows: PilotRows, first: Int[Array, ""], last: Int[Array, ""]) -> PilotState:
        """The state after the minibatches from `first` to the one before `last`."""
        def step(i, state):
            batch = rows.batches[i]

            def total(params):
                networks = nnx.merge(self.graph, params, state.others, copy=True)
                values = {objective: _loss(objective, networks[objective], rows.x[batch], rows.y[batch])
                          for objective in self.pilot.objectives}
                return sum(values.values()), (values, nnx.split(networks, nnx.Param, ...)[2])

            gradient, (values, others) = jax.grad(total, has_aux=True)(state.params)
            params, optimiser = state.params, {}
            for name in self.pilot.objectives:
                updates, optimiser[name] = self._adam(rows.decay[name]).update(
                    gradient[name], state.optimiser[name], state.params[name])
                params = params | {name: optax.apply_updates(state.params[name], updates)}
            finite = {name: state.finite[name] & jnp.isfinite(value) for name, value in values.items()}
            return PilotState(params=params, others=others, optimiser=optimiser, finite=finite)

        return jax.lax.fori_loop(first, last, step, state)

    def embed(self, state: PilotState, x: Float[Array, "n *x"], y: Float[Array, "n *y"]
              ) -> dict[str, dict[str, Float[Array, "n k"]]]:
        """Outputs of the encoders of every objective, by objective and view."""
        networks = nnx.merge(self.frozen, state.params, state.others)
        return {objective: {view: networks[objective][f"encoder_{view}"](rows).astype(jnp.float32)
                            for view, rows in (("x", x), ("y", y)) if f"encoder_{view}" in ROLES[objective]}
                for objective in self.pilot.objectives}

    def validate(self, state: PilotState, x: Float[Array, "v *x"], y: Float[Array, "v *y"],
                 fitted_x: Float[Array, "n *x"], fitted_y: Float[Array, "n *y"]) -> dict[str, Float[Array, ""]]:
        """Losses of all objectives on validation rows, beside some training rows, with networks as they embed."""
        networks = nnx.merge(self.frozen, state.params, state.others)
        return {objective: _loss(objective, networks[objective], x, y, (fitted_x, fitted_y))
                for objective in self.pilot.objectives}

    def _adam(self, decay):
        rate = self.pilot.learning_rate
        return optax.adamw(optax.cosine_decay_schedule(rate, self.pilot.steps), weight_decay=decay / rate)


@lru_cache(maxsize=16)
def program_of(pilot: Pilot) -> PilotProgram:
    """The program of a pilot; the same object for equal pilots, so that nothing is compiled twice."""
    def graph(mode):
        def networks():
            built = _build(pilot, jax.random.key(0))
            getattr(built, mode)()
            return built
        return nnx.graphdef(nnx.eval_shape(networks))

    return PilotProgram(pilot, graph("train"), graph("eval"))
