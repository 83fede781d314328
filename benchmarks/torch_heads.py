"""Heads on frozen features as one would write them in PyTorch and scikit-learn: one training after the other.

The published protocol: an MLP for each view with batch norm and dropout, AdamW with a cosine, early stopping on
validation rows. As here, and unlike in the published code, the best weights are restored.
"""

import copy
import time

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from torch import nn

from benchmarks.torch_training import vicreg


def mlp(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Module:
    """One hidden layer with batch norm and dropout."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout),
                         nn.Linear(hidden, outputs))


def info_nce(z_x: torch.Tensor, z_y: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Symmetric InfoNCE of the rows of a batch."""
    z_x, z_y = nn.functional.normalize(z_x), nn.functional.normalize(z_y)
    scores, own = z_x @ z_y.T / temperature, torch.arange(len(z_x))
    return (nn.functional.cross_entropy(scores, own) + nn.functional.cross_entropy(scores.T, own)) / 2


def train(objective: str, parts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], *, bottleneck: int, hidden: int,
          seed: int, epochs: int = 200, patience: int = 30, batch: int = 64, classes: int = 0
          ) -> tuple[dict[str, np.ndarray], float, int]:
    """Train one objective.

    Args:
        objective: "CA VICReg", "CA InfoNCE", "CP x->y", "CP y->x" or "supervised x and y".
        parts: standardised x and y, and classes, of "train", "validation" and "test".
        bottleneck, hidden: outputs and width of the hidden layer of an encoder.
        seed: of parameters and minibatches.
        epochs, patience, batch: as in `train_heads`.
        classes: number of classes.

    Returns:
        What a probe sees of each part (of a supervised head its classes), the seconds of the training, and its epochs.
    """
    torch.manual_seed(seed)
    data = {name: tuple(torch.as_tensor(one) for one in part) for name, part in parts.items()}
    d_x, d_y = (data["train"][i].shape[1] for i in (0, 1))
    networks = nn.ModuleDict()
    if objective == "supervised x and y":
        networks["xy"] = mlp(d_x + d_y, hidden, bottleneck, 0.1)
        networks["readout"] = nn.Linear(bottleneck, classes)
    else:
        if objective != "CP y->x":
            networks["x"] = mlp(d_x, hidden, bottleneck, 0.1)
        if objective != "CP x->y":
            networks["y"] = mlp(d_y, hidden, bottleneck, 0.1)
        if objective.startswith("CP"):
            networks["decoder"] = mlp(bottleneck, hidden, d_x if objective == "CP y->x" else d_y, 0.1)

    def embedded(x, y):
        if "xy" in networks:
            return networks["readout"](networks["xy"](torch.cat([x, y], 1)))
        return [networks[view](rows) for view, rows in (("x", x), ("y", y)) if view in networks]

    def loss(x, y, labels):
        z = embedded(x, y)
        match objective:
            case "CA VICReg":
                return vicreg(*z)
            case "CA InfoNCE":
                return info_nce(*z)
            case "CP x->y":
                return nn.functional.mse_loss(networks["decoder"](z[0]), y)
            case "CP y->x":
                return nn.functional.mse_loss(networks["decoder"](z[0]), x)
            case _:
                return nn.functional.cross_entropy(z, labels)

    start, n = time.perf_counter(), len(data["train"][0])
    adam = torch.optim.AdamW(networks.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs * (n // batch))
    best, best_weights, waited, done = np.inf, copy.deepcopy(networks.state_dict()), 0, 0
    while done < epochs and waited < patience:
        done += 1
        networks.train()
        order = torch.randperm(n)
        for i in range(n // batch):
            rows = order[i * batch:(i + 1) * batch]
            adam.zero_grad()
            loss(*(one[rows] for one in data["train"])).backward()
            adam.step()
            schedule.step()
        networks.eval()
        with torch.no_grad():
            value = float(loss(*data["validation"]))
        waited += 1
        if value < best:
            best, best_weights, waited = value, copy.deepcopy(networks.state_dict()), 0
    seconds = time.perf_counter() - start
    networks.load_state_dict(best_weights)
    networks.eval()
    with torch.no_grad():
        found = {name: embedded(x, y) for name, (x, y, _) in data.items()}
    return {name: one.argmax(1).numpy() if "xy" in networks else np.hstack([z.numpy() for z in one])
            for name, one in found.items()}, seconds, done


def probed(features: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> float:
    """Balanced accuracy of logistic regression on test rows, at the penalty of least validation loss."""
    centre, scale = features["train"].mean(0), features["train"].std(0) + 1e-12
    z = {name: (one - centre) / scale for name, one in features.items()}
    best, accuracy = np.inf, 0.0
    for penalty in 10.0 ** np.arange(1, -5, -1):
        model = LogisticRegression(C=1 / (penalty * len(z["train"])), max_iter=2000).fit(z["train"], labels["train"])
        value = log_loss(labels["validation"], model.predict_proba(z["validation"]), labels=model.classes_)
        if value < best:
            best, accuracy = value, balanced_accuracy_score(labels["test"], model.predict(z["test"]))
    return accuracy
