"""What a trained network has learnt to represent: collapsed classes, and features that serve other classes."""

import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.datasets import load_digits
from torch import Tensor, nn

from claims.registry import IMPRECISE, WRONG, Numbers, at_least, at_most, claim, equals
from claims.sources import read_mnist
from models.convnet import CNN
from theory.neural_distance import class_mean_cosines, collapse_ratio

WIDTH = 128
SEEDS = 5


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
    IMPRECISE,
    "cross-entropy with weight decay does it, where the C classes are of equal size and the features have C − 1 "
    "dimensions or more: after the last error the class means become a simplex, all cosines −1/(C−1)",
    "Fisher 1936; Papyan, Han, Donoho 2020",
    long=True,
)
def neural_collapse() -> Numbers:
    x, y = balanced_digits()
    wrong, cosines, ratios = 0, [], []
    for seed in range(SEEDS):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            features, head = feature_layers(4), nn.Linear(WIDTH, 10)
            train(nn.Sequential(features, head), x, y, epochs=400, batch=250, lr=0.1, decay=0.02)
        with torch.no_grad():
            h = features(x)
            wrong += int((head(h).argmax(1) != y).sum())
        cosines.append(class_mean_cosines(h.double(), y))
        ratios.append(float(collapse_ratio(h.double(), y)))
    yield equals(f"training errors of 1,000, {SEEDS} networks", wrong, 0)
    # Ten vectors with the sum 0 cannot all be farther apart than at the cosine −1/9; here to ±0.01
    angles = torch.cat(cosines)
    yield equals("class means about their mean: smallest of all 45 cosines, all networks", angles.min(), -1 / 9, 0.09)
    yield equals("largest", angles.max(), -1 / 9, 0.09)
    yield at_most("variance within the classes / between them, features: largest", max(ratios), 0.01)
    yield at_least("the same of the pixels, more than 10 times that", collapse_ratio(x.double(), y), 0.1)


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
    counts = (3, 10)  # pictures of each of 5-9
    points = torch.zeros(len(counts), SEEDS, 2)  # test accuracy in %, with and without the features of 0-4
    for seed in range(SEEDS):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            shuffled = torch.randperm(len(y))
            low = shuffled[y[shuffled] < 5]
            old = network()
            train(old, x[low], y[low], epochs=4, batch=100, lr=0.05, decay=5e-4)
            for row, count in enumerate(counts):
                few = torch.cat([shuffled[y[shuffled] == digit][:count] for digit in range(5, 10)])
                fresh, pretrained = network(), network()
                pretrained.stages.load_state_dict(old.stages.state_dict())
                for place, net in enumerate((pretrained, fresh)):
                    train(net, x[few], y[few] - 5, epochs=40, batch=50, lr=0.05, decay=5e-4)
                    with torch.no_grad():
                        found = (net(test_x[test]).argmax(1) == test_y[test] - 5).float().mean()
                    points[row, seed, place] = 100 * found
    for count, one in zip(counts, points, strict=True):
        gains, without = one[:, 0] - one[:, 1], float(one[:, 1].mean())
        what = f"{count} pictures each of 5-9: points that features of 0-4 add to {without:.1f} %, {SEEDS} seeds"
        yield at_least(what, gains.mean(), 10, counterexample=True)
        score = gains.mean() / (gains.std() / SEEDS**0.5)
        yield at_least("in standard errors; one-sided t test at 1 %", score, stats.t.ppf(0.99, SEEDS - 1))


def network() -> CNN:
    """A small convolutional network for five classes of 28×28 pictures."""
    return CNN(1, 5, [28, 28], [16, 32], patch=2)
