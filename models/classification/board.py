"""What TensorBoard shows of a classifier beside curves and figures: precision-recall, features, the graph."""
# N pictures, K classes, D features

import math
import warnings
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dashboard.bands import shown_bands
from models.classification.evaluation import Outcome
from models.pixels import unit_range

MOST_CLASSES = 40
MOST_POINTS = 1_000  # the projector page takes seconds to load more
THUMBNAIL = 32


def show_classifier(writer: Any, step: int, task: Any, test: Outcome, files: Sequence[str] | None = None) -> list[str]:
    """Writes precision-recall curves, the features with thumbnails, and the graph.

    Args:
        writer: TensorBoard's ``SummaryWriter``.
        step: Step to write at.
        task: Offers ``network``, ``normalise`` and ``device``.
        test: Its outputs on the test pictures.
        files: Their paths, where they are files.

    Returns:
        What could not be shown, and why, one line each.
    """
    probabilities = test.logits.float().softmax(1)  # (N, K)
    for number, name in enumerate(test.class_names[:MOST_CLASSES]):
        writer.add_pr_curve(f"pr/{name}", test.labels == number, probabilities[:, number], step)
    show_features(writer, step, test, files)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated, but it is what TensorBoard draws
            example = task.normalise(test.pictures(slice(1)).to(task.device))
            writer.add_graph(task.network.eval(), example)
    except Exception as error:  # any network may refuse to be traced; the run is finished and loses nothing else
        return [f"the graph cannot be drawn: {str(error).splitlines()[0]}"]
    return []


def thumbnails(images: Tensor) -> Tensor:
    """Small pictures for the projector, float in 0..1, shape (N, 3, 32, 32)."""
    seen = shown_bands(images).cpu()
    return F.interpolate(unit_range(seen).float(), size=(THUMBNAIL, THUMBNAIL), mode="area").expand(-1, 3, -1, -1)


def cell(text: str) -> str:
    """A name that can stand in a table of tabs and lines, whatever a folder or a file is called."""
    return " ".join(text.encode(errors="backslashreplace").decode().split())


def show_features(writer: Any, step: int, test: Outcome, files: Sequence[str] | None = None) -> None:
    """The test pictures as points in feature space, for the projector; at most `MOST_POINTS` of them, evenly taken.

    A point is named by its class, the guess and, where the pictures are files, the file.
    """
    part = slice(None, None, math.ceil(len(test.labels) / MOST_POINTS))
    small = [thumbnails(images) for images in test.images[part].split(64)]  # large ones are many bytes as float
    images = torch.cat(small)
    columns = {"class": [test.class_names[label] for label in test.labels[part].tolist()],
               "guess": [test.class_names[guess] for guess in test.guesses[part].tolist()]}  # fmt: skip
    if files is not None:
        columns["file"] = [PurePath(file).name for file in files[: len(test.labels)][part]]
    writer.add_embedding(
        test.features[part].flatten(1).float(),
        metadata=[[cell(text) for text in row] for row in zip(*columns.values(), strict=True)],
        label_img=images,
        global_step=step,
        tag="features",
        metadata_header=list(columns),
    )
