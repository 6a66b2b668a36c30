"""Which channels of a picture a screen shows: it has three colours, a multispectral picture has more, or two."""


def shown_bands(channels: int) -> list[int]:
    """Numbers, from 0, of the channels that are drawn: one is drawn as grey, three as red, green and blue.

    Args:
        channels: Of the picture, at least 1.
    """
    return [0, 1, 2] if channels >= 3 else [0]


def bands_note(channels: int) -> str:
    """What a reader of figures must know of it; empty where all that there is is shown.

    Args:
        channels: Of the pictures, at least 1.
    """
    if channels in (1, 3):
        return ""
    seen = "the first three as red, green and blue" if channels > 3 else "the first as grey"
    return f"of {channels} channels {seen}"
