"""What explains a trained classifier: the figures of one run, each with its finding in the title."""
# N pictures, K classes, C channels, H height, W width

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from dashboard.calibration import reliability_figure
from dashboard.classification import batch_figure, mistakes_figure, recall_figure, worst_mistakes
from dashboard.confusion import confusion_counts, confusion_figure
from dashboard.curves import neural_distance_figure
from dashboard.network import feature_maps_figure, filters_figure, grad_cam_figure
from models.classification.evaluation import Outcome, Point
from models.classification.gradcam import grad_cam
from theory.intervals import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES_EXPLAINED = 12


def first_convolution(network: nn.Module) -> nn.Conv2d | None:
    """The convolution nearest to the picture, or None."""
    return next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)


def output_of(network: nn.Module, layer: nn.Module, x: Tensor) -> Tensor:
    """What one layer inside the network gives for pictures x of shape (N, C, H, W)."""
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output.detach().clone()))
    try:
        with torch.no_grad():
            network.eval()(x)
    finally:
        handle.remove()
    return kept[0]


def pictures_to_explain(outcome: Outcome) -> Tensor:
    """Indices of the pictures that Grad-CAM explains: the worst mistakes, then the least certain right answers."""
    wrong = outcome.guesses != outcome.labels
    certainty = outcome.logits.float().softmax(1).gather(1, outcome.labels[:, None])[:, 0]  # (N,)
    order = torch.argsort(certainty - 2 * wrong.float(), stable=True)
    return order[:PICTURES_EXPLAINED]


def how_chosen(outcome: Outcome) -> str:
    """What the pictures of ``pictures_to_explain`` are, in words."""
    total, right = len(outcome.labels), outcome.num_right
    wrong = total - right
    if total <= PICTURES_EXPLAINED:
        return "all there are"
    if wrong >= PICTURES_EXPLAINED:
        return f"those of {wrong} mistakes with the least probability of the truth"
    certain = f"the least certain of {right} right answers"
    return f"all mistakes, then {certain}" if wrong else certain


def classifier_figures(
    task: Any, test: Outcome, temperature: float | None, history: list[Point], files: list[str] | None = None
) -> Iterator[tuple[str, Figure]]:
    """All figures of a classifier.

    Args:
        task: Offers ``network``, ``normalise``, ``device`` and ``first_batch`` (None where nothing was trained).
        test: Its outputs on the test pictures.
        temperature: Fitted on other pictures than these, or None when there were none.
        history: Where the classes stood after each validated epoch.
        files: The test pictures, where they are files.

    Yields:
        Name and figure.
    """
    names = test.class_names
    labels, guesses = test.labels.numpy(), test.guesses.numpy()
    probabilities = test.logits.float().softmax(1)
    yield "confusion", confusion_figure(confusion_counts(labels, guesses, len(names)), names)

    found = test.recalls()
    counts = [found.get(name, (0, 0)) for name in names]
    intervals = [wilson_interval(right, total) if total else (0.0, 1.0) for right, total in counts]
    recall = [right / total if total else float("nan") for right, total in counts]
    low, high = zip(*intervals, strict=True)
    yield "recall", recall_figure(recall, low, high, [total for _, total in counts], names)

    worst = torch.from_numpy(worst_mistakes(probabilities.numpy(), labels))
    yield (
        "mistakes",
        mistakes_figure(
            test.pictures(worst).numpy(),
            labels[worst.numpy()],
            guesses[worst.numpy()],
            probabilities[worst].amax(1).numpy(),
            test.losses()[worst].numpy(),
            names,
            mistakes=len(labels) - test.num_right,
            total=len(labels),
            files=None if files is None else [files[place] for place in worst.tolist()],
        ),
    )

    if task.first_batch is not None:
        pictures, classes = task.first_batch
        pictures = pictures.float() if pictures.is_floating_point() else pictures
        yield "batch", batch_figure(pictures.numpy(), classes.numpy(), names)

    before = probabilities.amax(1).numpy()
    after = None if temperature is None else (test.logits.float() / temperature).softmax(1).amax(1).numpy()
    yield "reliability", reliability_figure(before, guesses == labels, after, temperature=temperature)

    if history:
        epochs, distances, *cosines = zip(*history, strict=True)
        yield "neural_distance", neural_distance_figure(epochs, distances, np.transpose(cosines), len(names))

    network = task.network
    convolution = first_convolution(network)
    if convolution is not None:
        chosen = pictures_to_explain(test)
        x = task.normalise(test.pictures(chosen).to(task.device))
        yield "filters", filters_figure(convolution.weight.detach().float().cpu().numpy())
        maps = output_of(network, convolution, x[:1])[0].float().cpu().numpy()
        name = names[int(labels[chosen[0]])]
        yield "feature_maps", feature_maps_figure(test.pictures(chosen[:1])[0].numpy(), maps, name)
        layer = network.last_spatial()
        if layer is not None:
            heat = grad_cam(network, layer, x, test.guesses[chosen].to(task.device)).cpu().numpy()
            pictures = test.pictures(chosen).numpy()
            classes = labels[chosen], guesses[chosen]
            yield "grad_cam", grad_cam_figure(pictures, heat, *classes, names, chosen=how_chosen(test))
