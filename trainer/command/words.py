"""Words of a command line: options with their values, switches, short names, and what a misspelt one may mean."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from trainer.errors import UserError

ALIASES = {
    "epochs": "trainer.max_epochs",
    "batch_size": "data.batch_size",
    "lr": "model.lr",
    "seed": "seed_everything",
    "device": "trainer.accelerator",
}
SWITCHES = ("help", "print_config", "model.help", "data.help", "trainer.help")
OWN = ("model", "data", "config", "resume", "root")
TOP_LEVEL = ("seed_everything", "report", "early_stopping.patience", "checkpoint.every_n_batches")


def nearest(name: str, known: Collection[str]) -> str:
    """``", did you mean 'cnn'?"`` for the known name nearest to ``name``, or an empty text.

    Names of one group, as ``model.width``, are compared without it, since it would make any two of them look alike; the
    same name in another group is the nearest of all, with or without what a network calls its input: ``in_``. A short
    name of the command line, such as ``epochs``, stands for the setting itself.
    """
    group, dot, own = name.rpartition(".")
    if ALIASES.get(own) in known:
        match = [ALIASES[own]]
    elif not dot:
        match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    else:
        dotted = [other.rpartition(".") for other in sorted(known)]
        match = [f"{other}.{last}" for other, _, last in dotted if other and last in (own, own.removeprefix("in_"))][:1]
        inside = [last for other, _, last in dotted if other == group]
        match = match or [f"{group}.{last}" for last in difflib.get_close_matches(own, inside, n=1, cutoff=0.7)]
    return f", did you mean {match[0]!r}?" if match else ""


def read_tokens(argv: Sequence[str]) -> tuple[dict[str, list[str]], set[str]]:
    """Splits a command line into options with their values and switches without.

    Args:
        argv: Words after the program's name: ``--key value``, ``--key=value``, ``-c FILE``, ``-h`` and `SWITCHES`.

    Returns:
        The values given for each option, in order, with aliases resolved, and the set of switches.

    Raises:
        UserError: For a word that belongs to no option, an option without its value, or one given twice.
    """
    options: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}
    switches: set[str] = set()
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = {"-h": "--help", "-c": "--config"}.get(word, word).partition("=")
        if not name.startswith("--") or len(name) < 3:
            raise UserError(f"{word!r} belongs to no option; options look like --epochs 3 (see --help)")
        name = name[2:]
        if name in SWITCHES and not equals:
            switches.add(name)
            continue
        group, dot, _ = name.partition(".")
        if name not in {*OWN, *ALIASES, *TOP_LEVEL} and not (dot and group in ("model", "data", "trainer")):
            raise UserError(f"no option '--{name}'{_suggest_option(name)}")
        if not equals:
            if not words or (words[0].startswith("--") and len(words[0]) > 2):
                raise UserError(f"--{name} needs a value")
            value = words.pop(0)
        if not value:
            raise UserError(f"--{name} needs a value, got an empty one")
        key = ALIASES.get(name, name)
        if key in options and key != "config":
            if name == spelled[key]:
                raise UserError(f"--{name} is given twice")
            raise UserError(f"--{name} says again what --{spelled[key]} said: give one of them")
        options.setdefault(key, []).append(value)
        spelled[key] = name
    return options, switches


def _suggest_option(name: str) -> str:
    known = (*OWN, *ALIASES, *TOP_LEVEL, "help", "print_config")
    return nearest(name, known).replace("did you mean '", "did you mean '--")
