"""Systems: digits and faces recognised as well as the literature says, and with how many parameters."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from claims.sources import read_att_faces, read_mnist
from models.convnet import CNN
from models.faces.net import FaceNet
from models.faces.results import LAWRENCE_1997
from models.optimisation import build_optimiser, learning_rate_factor, parameter_groups
from theory.convolution import convolution_parameters, dense_parameters

LENET_5_1998 = 0.008  # test error, training pictures distorted; 0.0095 without


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _warp(images: Tensor, generator: torch.Generator) -> Tensor:
    """Small random affine maps: 8 degrees, 8 % of the size, 1.5 pixels of 28; shape (N, 1, H, W) as given."""
    turn, stretch, across, down = 2 * torch.rand(4, len(images), generator=generator) - 1
    angle, scale = turn * 0.14, 1 + 0.08 * stretch
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = (torch.stack([cosine, -sine, 0.107 * across], 1), torch.stack([sine, cosine, 0.107 * down], 1))
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def _train(network: nn.Module, images: Tensor, labels: Tensor, epochs: int, lr: float, warp: bool) -> None:
    """Nesterov's SGD in batches of 128 with a triangular learning rate, as the recipes of ``--model cnn``."""
    generator = torch.Generator().manual_seed(0)
    optimizer = build_optimiser("sgd", parameter_groups([network], 5e-4), lr, 0.9)
    total, step = epochs * (len(images) // 128), 0
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for batch in order[: len(order) // 128 * 128].view(-1, 128):
            for group in optimizer.param_groups:
                group["lr"] = lr * learning_rate_factor(step, total, 0.25, "linear")
            shown = _warp(images[batch], generator) if warp else images[batch]
            optimizer.zero_grad()
            F.cross_entropy(network(shown), labels[batch], label_smoothing=0.1).backward()
            optimizer.step()
            step += 1


@torch.no_grad()
def _accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.eval()
    return float(torch.cat([network(part).argmax(1) for part in images.split(1000)]).eq(labels).double().mean())


@claim(
    "001-26",
    "the next step: handwritten digits",
    RIGHT,
    "after three epochs a small network misreads fewer test digits of MNIST than LeNet-5 did",
    "LeCun, Bottou, Bengio, Haffner 1998: 0.8 % with distorted training pictures",
    long=True,
    needs="mnist",
)
def handwritten_digits() -> Numbers:
    parts = [read_mnist(train=part) for part in (True, False)]
    (train, labels), (test, truth) = (((x.float()[:, None] - 0.1307) / 0.3081, y) for x, y in parts)
    torch.manual_seed(0)
    network = CNN(1, 10, [28, 28], [32, 64], padding=[0, 1], patch=2, logit_scale=0.25, norm_momentum=0.3)
    _train(network, train - train.min(), labels, 3, 0.4, warp=True)  # the border is 0 before and after a warp
    accuracy = _accuracy(network, test - train.min(), truth)
    yield at_most("test error of one seed; LeNet-5", 1 - accuracy, LENET_5_1998)
    yield at_most("the same; 0.5 %", 1 - accuracy, 0.005)


@claim(
    "004-01",
    "convolutional networks are behind the unlocking by face",
    IMPRECISE,
    "networks that tell whether two faces are one person's, which unlocking asks, are commonly convolutional. Measured "
    "here is another task, the naming of 40 known people, 5 pictures of each, and it needs none: histograms of "
    "gradients and a linear discriminant err less than the 3.8 % of the first such network",
    "Taigman, Yang, Ranzato, Wolf 2014 for pairs of faces; Lawrence, Giles, Tsoi, Back 1997 for the 40",
    long=True,
    needs="att_faces",
)
def faces() -> Numbers:
    images, people = read_att_faces()
    closed_form = FaceNet(list(images.shape[2:]), num_splits=1, cells=[10, 14, 18])  # nothing of it is trained
    generator, splits, network = torch.Generator().manual_seed(0), 20, 100 * LAWRENCE_1997
    found = torch.zeros(splits)
    with torch.no_grad():
        looks = closed_form.front(images)
        for split in range(splits):
            order = torch.rand(40, 10, generator=generator).argsort(1) + 10 * torch.arange(40)[:, None]
            known, asked = order[:, :5].flatten(), order[:, 5:].flatten()
            names = closed_form(looks[known][None], looks[asked][None, None], num_people=40)[0].argmax(1)
            found[split] = 100 * (names != people[asked]).float().mean()
    yield at_most("error in %, the closed form, mean of 20 splits; the network of 1997", found.mean(), network)
    yield at_most("the same; 2 %", found.mean(), 2)
    most = found.mean() + 3 * found.std() / splits**0.5
    yield at_most("with 3 standard errors added; the network of 1997", most, network)


@claim(
    "004-17",
    "convolutional networks need fewer parameters than other deep networks",
    IMPRECISE,
    "usually: on digits one of fewer parameters errs less than a dense one",
    "LeCun et al. 1989",
    long=True,
)
def fewer_parameters() -> Numbers:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 16
    labels = torch.from_numpy(digits.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:1280], order[1280:]
    sizes, accuracies = [0, 0], [0.0, 0.0]
    for seed in range(3):
        torch.manual_seed(seed)
        convolutional = CNN(1, 10, [8, 8], [8, 16], depths=[1, 1])
        dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        for place, network in enumerate((convolutional, dense)):
            _train(network, images[train], labels[train], 40, 0.1, warp=False)
            sizes[place] = _size(network)
            accuracies[place] += _accuracy(network, images[test], labels[test]) / 3
    yield at_most("parameters of the convolutional network, of the dense one", *sizes)
    yield at_least("8×8 digits: test accuracy of the convolutional network, of the dense one (3 seeds)", *accuracies)
    # LeNet-5 with all its maps connected, beside the dense network of the same comparison.
    windows, layers = ((1, 6, 5), (6, 16, 5)), ((400, 120), (120, 84), (84, 10))
    lenet = nn.ModuleList([*(nn.Conv2d(*window) for window in windows), *(nn.Linear(*layer) for layer in layers)])
    due = sum(convolution_parameters(*w) for w in windows) + sum(dense_parameters(*layer) for layer in layers)
    yield equals("LeNet-5, parameters", _size(lenet), due)
    wide = sum(dense_parameters(*layer) for layer in ((784, 300), (300, 100), (100, 10)))
    yield at_most("LeNet-5, parameters, beside the dense 784-300-100-10 of LeCun et al. 1998", due, wide)
