"""A setting's value against the type in its signature: what does not fit is one line with the types expected."""

from __future__ import annotations

import re
from types import NoneType
from typing import Any, get_args

from jsonargparse import ArgumentParser, Namespace

from trainer.errors import UserError


class _Null:
    """Fits no type and is shown as YAML writes it: jsonargparse itself takes None for an option of any type."""

    def __repr__(self) -> str:
        return "null"


def allows_none(hint: Any) -> bool:
    """Whether None is a value of a type, as of ``int | None``; what has no type takes anything."""
    return hint in (None, NoneType, Any) or any(allows_none(part) for part in get_args(hint) if part in (NoneType, Any))


def accept(parser: ArgumentParser, key: str, value: Any, where: str, namespace: Namespace | None) -> Namespace:
    """One setting of a file added to those before it.

    Args:
        parser: Knows the option and its type.
        key: Its dotted name.
        value: As YAML gives it.
        where: The file and the name, for the message.
        namespace: The settings before it.

    Raises:
        UserError: If its type does not allow the value; None, which YAML writes as null, is one like any other.
    """
    action = next((action for action in parser._actions if action.dest == key), None)
    hint = getattr(action, "_typehint", getattr(action, "type", None))
    if value is None and not allows_none(hint):
        value = _Null()
    nested: Any = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    try:
        accepted: Namespace = parser.parse_object(nested, namespace)
    except Exception as error:
        raise UserError(explain(where, value, error)) from error
    return accepted


def explain(where: str, value: Any, error: Exception) -> str:
    """Turns the parser's account of a wrong type into ``--model.width: expected int, got 'wide'``."""
    if str(value).lower().strip("+-.") in ("nan", "inf", "infinity"):
        return f"{where}: expected a finite number, got {value!r}"
    expected = re.findall(r"Expected an? (?:<class '(\w+)'>|([^\n]+?))(?:\. Got value|\n|$)", str(error))
    names = [(first or second).removeprefix("typing.") for first, second in expected]
    names = [
        "none" if name == "NoneType" else re.sub(r"Literal\[(.*)\]", r"\1", name).replace("'", "") for name in names
    ]
    if not names:
        return f"{where}: {value!r} does not fit: {' '.join(str(error).split())}"
    return f"{where}: expected {' or '.join(dict.fromkeys(names))}, got {value!r}"
