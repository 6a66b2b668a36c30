"""What a trained network has learnt to represent: collapsed classes, and features that serve other classes."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from claims.registry import RIGHT, WRONG, Numbers, at_least, at_most, claim, equals
from claims.sources import read_mnist
from models.convnet import CNN
from theory.neural_distance import class_mean_cosines, collapse_ratio

WIDTH = 128


def balanced_digits() -> tuple[Tensor, Tensor]:
    """100 digits of each class, centred, shape (1000, 64), and their classes."""
    bunch = load_digits()
    x, y = torch.from_numpy(bunch.data).float() / 16, torch.from_numpy(bunch.target)
    chosen = torch.cat([(y == digit).nonzero()[:100, 0] for digit in range(10)])
    return x[chosen] - x[chosen].mean(0), y[chosen]


def feature_layers(depth: int) -> nn.Sequential:
    """Fully connected layers with batch normalisation and ReLU."""
    network, width = nn.Sequential(), 64
    for _ in range(depth):
        network.extend([nn.Linear(width, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU()])
        width = WIDTH
    return network


def train(network: nn.Module, x: Tensor, y: Tensor, epochs: int, batch: int, lr: float, decay: float) -> None:
    """Gradient descent with momentum; the rate falls to a tenth after 60 % and after 85 % of the epochs."""
    optimiser = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [int(0.6 * epochs), int(0.85 * epochs)])
    network.train()
    for _ in range(epochs):
        for part in torch.randperm(len(y)).split(batch):
            optimiser.zero_grad()
            F.cross_entropy(network(x[part]), y[part]).backward()
            optimiser.step()
        schedule.step()
    network.eval()


@claim(
    "000-35",
    "the error within a class is small, between classes large",
    RIGHT,
    "cross-entropy does it unasked: after the last error the class means become a simplex, all cosines −1/(C−1)",
    "Fisher 1936; Papyan, Han, Donoho 2020",
    long=True,
)
def neural_collapse() -> Numbers:
    x, y = balanced_digits()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features, head = feature_layers(4), nn.Linear(WIDTH, 10)
        train(nn.Sequential(features, head), x, y, epochs=400, batch=250, lr=0.1, decay=0.02)
    with torch.no_grad():
        h = features(x)
        wrong = (head(h).argmax(1) != y).sum()
    yield equals("training errors of 1,000", wrong, 0)
    cosines = class_mean_cosines(h.double(), y)
    # (C - 1) (−1/(C−1)) = −1: ten directions cannot be farther apart
    yield equals("smallest of the 45 cosines of centred class means", cosines.min(), -1 / 9, 0.09)
    yield equals("largest", cosines.max(), -1 / 9, 0.09)
    before = collapse_ratio(x.double(), y)
    yield at_most("variance within over between classes, of the features", collapse_ratio(h.double(), y), 0.01)
    yield at_least("the same of the pixels", before, 0.5)


@claim(
    "003-03",
    "deep learning needs big data; there is no ability to transfer",
    WRONG,
    "features learnt on some classes serve others: with few pictures they beat learning from nothing",
    "Yosinski, Clune, Bengio, Lipson 2014",
    long=True,
    needs="mnist",
)
def transfer() -> Numbers:
    (x, y), (test_x, test_y) = (read_mnist(train) for train in (True, False))
    x, test_x = x.float()[:, None], test_x.float()[:, None]
    test = (test_y >= 5).nonzero()[:2000, 0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        low = (y < 5).nonzero()[:10_000, 0]
        old = network()
        train(old, x[low], y[low], epochs=2, batch=100, lr=0.05, decay=5e-4)
        for count, least in ((3, 10), (10, 5)):
            scores = torch.zeros(3, 2)  # seeds, with and without the features of 0-4
            for seed in range(3):
                torch.manual_seed(seed)
                shuffled = torch.randperm(len(y))
                few = torch.cat([shuffled[y[shuffled] == digit][:count] for digit in range(5, 10)])
                fresh, pretrained = network(), network()
                pretrained.stages.load_state_dict(old.stages.state_dict())
                for place, net in enumerate((pretrained, fresh)):
                    train(net, x[few], y[few] - 5, epochs=40, batch=50, lr=0.05, decay=5e-4)
                    with torch.no_grad():
                        scores[seed, place] = (net(test_x[test]).argmax(1) == test_y[test] - 5).float().mean()
            with_features, without = (100 * scores.mean(0)).tolist()
            what = f"{count} pictures each of 5-9: points gained by features of 0-4 (from {without:.1f} %)"
            yield at_least(what, with_features - without, least, counterexample=count == 3)
    yield at_least("accuracy on 5-9 from 50 pictures, chance is 20 %", with_features, 80)


def network() -> CNN:
    """A small convolutional network for five classes of 28×28 pictures."""
    return CNN(1, 5, [28, 28], [16, 32], patch=2)
