"""The arguments of a class, with those that it hands on: ``def __init__(self, gamma: float = 2, **options)``."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from jsonargparse._parameter_resolvers import get_signature_parameters

NEEDED = inspect.Parameter.empty


@functools.cache
def arguments_of(kind: type) -> dict[str, Any]:
    """Names and defaults of all arguments of a class, `NEEDED` where there is none.

    What ``**options`` stands for is asked of the parser that makes options of them: the arguments of the base class to
    which ``super().__init__(**options)`` goes, without those that the call sets itself.
    """
    return {one.name: one.default for one in get_signature_parameters(kind, "__init__")}
