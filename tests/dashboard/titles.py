"""What stands above a figure."""

from typing import Any


def title(figure: Any) -> str:
    """The title in one line, with plain spaces."""
    return " ".join(str(figure.get_suptitle()).split())
