"""Whether the validation pictures choose the weights: asked when a run begins, and again when its folder is read."""

from __future__ import annotations

from collections.abc import Mapping


def validation_chooses(splits: Mapping[str, int], patience: int | None) -> bool:
    """Whether the epoch that is kept is the best one on the validation pictures, and not the last.

    Without a test set the validation pictures are what is reported: they choose nothing, unless asked to.

    Args:
        splits: Number of pictures of each part; a part that is not named is there.
        patience: Epochs without improvement after which training stops, or None.
    """
    return bool(splits.get("val", 1)) and (bool(splits.get("test", 1)) or patience is not None)
