"""A setting's value against the type in its signature: what does not fit is one line with the types expected."""

from __future__ import annotations

import re
from types import NoneType
from typing import Any, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from trainer.command.limits import ALLOWED
from trainer.errors import UserError

WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "list": "a list",
         "NoneType": "null"}  # fmt: skip
EXAMPLES = {str(int): "[32, 64]", str(float): "[0.1, 0.2]", str(str): "[a, b]"}  # of lists, by what is in them


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
    hint = hint_of(parser, key)
    if value is None and not allows_none(hint):
        value = _Null()
    nested: Any = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    try:
        accepted: Namespace = parser.parse_object(nested, namespace)
    except Exception as error:
        raise UserError(explain(where, value, error, expected_of(key, hint))) from error
    return accepted


def hint_of(parser: ArgumentParser, key: str) -> Any:
    """The type of an option; None where it has none."""
    action = next((action for action in parser._actions if action.dest == key), None)
    return getattr(action, "_typehint", getattr(action, "type", None))


def expected_of(key: str, hint: Any) -> str:
    """What an option takes, where the names of its types would not say it to whoever knows no Python; else empty."""
    if key in ALLOWED:
        return ALLOWED[key]
    parts = [part for part in get_args(hint) if part is not NoneType] if NoneType in get_args(hint) else [hint]
    example = EXAMPLES.get(str(get_args(parts[0])[0]), "") if get_origin(parts[0]) is list and len(parts) == 1 else ""
    return f"a list such as {example}" if example else ""


def explain(where: str, value: Any, error: Exception, expected_here: str = "") -> str:
    """Turns the parser's account of a wrong type into ``--model.width: expected a whole number, got 'wide'``.

    Args:
        where: The option, with its file if it has one.
        value: What was given.
        error: The parser's.
        expected_here: What stands in the place of the names of the types, see `expected_of`.
    """
    if str(value).lower().strip("+-.") in ("nan", "inf", "infinity"):
        return f"{where}: expected a finite number, got {value!r}"
    if expected_here:
        return f"{where}: expected {expected_here}, got {value!r}"
    expected = re.findall(r"Expected an? (?:<class '(\w+)'>|([^\n]+?))(?:\. Got value|\n|$)", str(error))
    names = [(first or second).removeprefix("typing.") for first, second in expected]
    names = [WORDS.get(name) or re.sub(r"Literal\[(.*)\]", r"\1", name).replace("'", "") for name in names]
    if not names:
        return f"{where}: {value!r} does not fit: {' '.join(str(error).split())}"
    return f"{where}: expected {' or '.join(dict.fromkeys(names))}, got {value!r}"
