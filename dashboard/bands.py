"""Which channels of a picture a screen shows: it has three colours, a multispectral picture has more, or two."""

from typing import TypeVar

Pictures = TypeVar("Pictures")  # an array or a tensor


def shown_bands(images: Pictures) -> Pictures:
    """The channels that are drawn: one as grey, three as red, green and blue.

    Args:
        images: An array or a tensor of shape (N, C, H, W).

    Returns:
        A view of the first three, or of the first of two, shape (N, 1 or 3, H, W).
    """
    channels = images.shape[1]  # type: ignore[attr-defined]
    seen: Pictures = images[:, : 3 if channels >= 3 else 1]  # type: ignore[index]
    return seen


def bands_note(channels: int) -> str:
    """What a reader of figures must know of it; empty where all that there is is shown.

    Args:
        channels: Of the pictures, at least 1.
    """
    if channels in (1, 3):
        return ""
    seen = "the first three as red, green and blue" if channels > 3 else "the first as grey"
    return f"of {channels} channels {seen}"
