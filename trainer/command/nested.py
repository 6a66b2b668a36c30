"""Settings in groups, and the same under dotted names: ``{"model": {"width": 3}}`` and ``{"model.width": 3}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

GROUPS = ("model", "data", "trainer", "early_stopping", "checkpoint")  # of a settings file


def dotted(settings: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of each setting, in order; ``model.lr: 3`` and ``model: {lr: 5}`` have the same name."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def flatten(settings: dict[str, Any]) -> dict[str, Any]:
    """Nested settings as dotted keys: ``{"model": {"width": 3}}`` to ``{"model.width": 3}``."""
    return dict(dotted(settings))


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
