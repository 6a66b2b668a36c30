"""Which numbers of a network are none: NaN, or infinite."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def not_finite(tensors: Mapping[str, Any]) -> list[str]:
    """Names of the tensors with NaN or infinite values; a mask, as of an attention, of 0 and -inf alone is none.

    Args:
        tensors: Tensors by name; values that are no tensors are passed over.
    """
    numbers = ((name, value) for name, value in tensors.items() if isinstance(value, Tensor))
    return [name for name, value in numbers if not bool(value.isfinite().all()) and not _is_mask(value)]


def _is_mask(value: Tensor) -> bool:
    return bool(((value == 0) | value.isneginf()).all())
