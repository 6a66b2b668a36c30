"""The arguments of a class, with those that it hands on: ``def __init__(self, gamma: float = 2, **options)``."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from jsonargparse import ArgumentParser

NEEDED = inspect.Parameter.empty


@functools.cache
def arguments_of(kind: type) -> dict[str, Any]:
    """Names and defaults of all arguments of a class, `NEEDED` where there is none.

    What ``**options`` stands for is asked of the parser that makes options of them: the arguments of the base class to
    which ``super().__init__(**options)`` goes, without those that the call sets itself. To it what is needed is None.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "arguments")
    defaults: dict[str, Any] = vars(parser.get_defaults()).get("arguments", {})
    return {name: _default(kind, name, value) for name, value in vars(defaults).items()} if defaults else {}


def _default(kind: type, name: str, value: Any) -> Any:
    """What the first class that names the argument says of it: nothing at all, or ``value``."""
    for base in kind.__mro__:
        parameters = inspect.signature(base.__dict__["__init__"]).parameters if "__init__" in base.__dict__ else {}
        if name in parameters:
            return NEEDED if parameters[name].default is NEEDED else value
    return value
