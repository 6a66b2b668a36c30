"""Trains a 784×500 machine on MNIST, drawn black and white once, and prints seconds of training and pseudo-likelihood.

python -m bench.peers.machines sklearn                BernoulliRBM with its defaults: 10 epochs, batches of 10, rate 0.1
python -m bench.peers.machines ours --level -90       ours, until it reaches a pseudo-likelihood in nats a test picture

Both are judged by the same function on the same drawn pixels; imports, reading and judging are not counted.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from torch import Tensor

from data.mnist import MNIST
from models.energy.machine import RBM, Ascent, climb
from models.energy.pictures import pixel_means, unit_pixels
from theory.rbm import pseudo_log_likelihood

HIDDEN, BATCH, LOOK_EVERY, MOST_UPDATES = 500, 200, 100, 20_000
RATE = 0.2


def judge(v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> float:
    """Mean pseudo-log-likelihood in nats of pictures (N, V), one pixel of each turned, always the same."""
    pixel = torch.randint(v.shape[1], (len(v), 1), generator=torch.Generator().manual_seed(0))
    return float(pseudo_log_likelihood(v, weight, visible_bias, hidden_bias, pixel).mean())


def scikit_learn(train: Tensor, test: Tensor, seed: int) -> dict[str, float]:
    """BernoulliRBM with 500 components and otherwise its defaults."""
    from sklearn.neural_network import BernoulliRBM

    machine = BernoulliRBM(n_components=HIDDEN, random_state=seed)
    pixels = unit_pixels(train).numpy()
    started = time.perf_counter()
    machine.fit(pixels)
    seconds = time.perf_counter() - started
    terms = (machine.components_.T, machine.intercept_visible_, machine.intercept_hidden_)
    value = judge(test, *(torch.as_tensor(term, dtype=torch.float32) for term in terms))
    return {"seconds": seconds, "pseudo_log_likelihood": value, "updates": 10 * -(-len(train) // 10)}


def ours(train: Tensor, test: Tensor, seed: int, level: float) -> dict[str, float]:
    """Centred PCD-1, until the level is reached; the time of the looks is left out."""
    torch.manual_seed(seed)
    rbm, ascent = RBM(train[0].numel(), HIDDEN), Ascent(train[0].numel(), HIDDEN, "pcd", 1, BATCH)
    seconds, updates, value = 0.0, 0, -float("inf")
    started = time.perf_counter()
    mean = pixel_means(train)
    rbm.start_from(mean, len(train))
    ascent.start_from(mean)
    optimiser = torch.optim.SGD(rbm.parameters(), lr=RATE, fused=True)
    while value < level and updates < MOST_UPDATES:
        for _ in range(LOOK_EVERY):
            batch = torch.randint(len(train), (BATCH,))
            climb(rbm, ascent.gradient(rbm, unit_pixels(train[batch])))
            optimiser.step()
        updates += LOOK_EVERY
        seconds += time.perf_counter() - started
        value = judge(test, *rbm.terms())
        started = time.perf_counter()
    return {"seconds": seconds, "pseudo_log_likelihood": value, "updates": updates}


def main() -> None:
    """Runs one side and prints its figures as JSON."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("side", choices=("sklearn", "ours"))
    parser.add_argument("--level", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root")
    options = parser.parse_args()
    data = MNIST(root=options.root, binarise="sample", val_fraction=0)
    train, test = data.part("train").images, unit_pixels(data.part("test").images)
    if options.side == "sklearn":
        print(json.dumps(scikit_learn(train, test, options.seed)))
    else:
        print(json.dumps(ours(train, test, options.seed, options.level)))


if __name__ == "__main__":
    main()
