"""Which options of an autoencoder go together, and which codes are none."""

from collections.abc import Mapping
from typing import Any

from models.coding.reference import MOST_VALUES
from models.limits import MOST_STEPS, check_optimiser, check_within


def check_options(options: Mapping[str, Any]) -> None:
    """Refuses options that are wrong whatever the data are.

    Args:
        options: Of the task.

    Raises:
        ValueError: If an option is out of range or two do not go together.
    """
    check_optimiser(options)
    sizes, kind = options["sizes"], options["kind"]
    if not sizes or min(sizes) < 1:
        raise ValueError(f"--model.sizes needs widths of at least 1, the last being the code's, got {sizes}")
    check_within(options, {
        "noise": (0, 10), "pretrain_share": (0, 1, "()"), "iterations": (1, MOST_STEPS), "polish": (0, 1),
    })  # fmt: skip
    if options["pretrain"] == "greedy" and kind != "deep":
        raise ValueError(f"--model.pretrain greedy needs --model.kind deep, got {kind}")
    if options["tied"] and kind == "convolutional":
        raise ValueError("--model.tied true needs --model.kind deep or linear, got convolutional")
    if kind == "convolutional" and len(sizes) < 2:
        raise ValueError(f"--model.sizes of a convolutional network needs channels before the code, got {sizes}")


def check_code(code: int, pixels: int, linear: bool, noise: float) -> None:
    """Refuses a code that would only copy the picture, and pictures too large for their covariance.

    Args:
        code: Numbers of the code.
        pixels: Values of a picture.
        linear: Whether the network is the linear one, which needs the covariance.
        noise: Standard deviation of the noise on the input; with noise a deep network may have a larger code.

    Raises:
        ValueError: Naming the option and what it may be.
    """
    if code > pixels and (linear or not noise):
        other = "" if linear else ", or --model.noise above 0"
        raise ValueError(
            f"--model.sizes ends in a code of {code} numbers, more than the {pixels} of a picture: it would only copy; "
            f"give at most {pixels}{other}"
        )
    if linear and pixels > MOST_VALUES:
        raise ValueError(
            f"--model.kind linear needs the covariance of all pairs of pixels: at most {MOST_VALUES:,} values a "
            f"picture, got {pixels:,}; give a smaller --data.image_size"
        )
