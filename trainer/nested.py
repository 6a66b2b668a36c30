"""Settings in groups, and the same under dotted names: ``{"model": {"width": 3}}`` and ``{"model.width": 3}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys: ``{"model": {"width": 3}}`` to ``{"model.width": 3}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        dotted = f"{prefix}{key}"
        flat.update(flatten(value, dotted + ".") if isinstance(value, dict) else {dotted: value})
    return flat


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Inverse of `flatten`."""
    nested: dict[str, Any] = {}
    for dotted, value in flat.items():
        *groups, key = dotted.split(".")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[key] = value
    return nested


def dotted_names(settings: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings, in order; of ``model.lr: 3`` and ``model: {lr: 5}`` it is the same name."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from dotted_names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
