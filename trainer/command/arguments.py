"""Small command lines beside ``train.py``: wrong words are one line with the nearest right one, and status 2."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from trainer.errors import UserError


class Arguments(argparse.ArgumentParser):
    """An argument parser that suggests the nearest option, and refuses one that is given twice.

    Args:
        prog: Name of the program.
        description: What it does.
        epilog: Exit statuses.
    """

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """One line instead of the usage.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message.removeprefix('argument ')} (see --help)")

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """The arguments.

        Raises:
            UserError: Naming the word that is wrong.
        """
        known = [option for action in self._actions for option in action.option_strings]
        given: set[str] = set()
        words = list(argv)
        options = words[: words.index("--")] if "--" in words else words
        for word in options:
            name = word.partition("=")[0]
            if not name.startswith("--"):
                continue
            if name not in known:
                bare = [
                    option[2:] for option in known if option.startswith("--")
                ]  # two dashes would make any two look alike
                near = difflib.get_close_matches(name[2:], bare, n=1, cutoff=0.6)
                raise UserError(f"no option {name!r}" + (f", did you mean '--{near[0]}'?" if near else " (see --help)"))
            if name in given:
                raise UserError(f"{name} is given twice: give it once")
            given.add(name)
        return self.parse_args(words)


def at_least(low: int) -> Any:
    """A type for whole numbers from ``low`` on."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
        if number < low:
            raise argparse.ArgumentTypeError(f"must be at least {low}, got {number}")
        return number

    return convert


def refuse_to_overwrite(option: str, path: str | None, overwrite: bool) -> None:
    """What is there already is somebody's work.

    Raises:
        UserError: If the file, or a folder with something in it, exists and may not be replaced.
    """
    place = Path(path) if path else None
    taken = place is not None and (any(place.iterdir()) if place.is_dir() else place.exists())
    if taken and not overwrite:
        raise UserError(f"{option} {path} exists: choose another name, or --overwrite")
