"""Which figures a run of approximation draws."""
from __future__ import annotations
from collections.abc import Iterator
from typing import Any
from models.approximation.results import Result
def pictures(result: Result, drawn: dict[str, Any], spline: Any, low: float, high: float) -> Iterator[tuple[str, Any]]:
    """Nothing yet."""
    yield from ()
