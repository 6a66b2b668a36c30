"""The short front of the command line: names, recipes and settings files, without importing torch.

``read`` turns ``--model cnn --data mnist --epochs 3 --model.width 32`` into a `Request`: which model, which data, one
nested dictionary of settings (recipe, then files, then the command line) and where each setting came from. Everything
that can be found wrong before the heavy libraries load is found here, in one line.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.command.nested import GROUPS, flatten, nest
from trainer.command.words import ALIASES, TOP_LEVEL, nearest, read_tokens
from trainer.errors import UserError, expand


@dataclass
class Request:
    """What the user asked for, before any class is imported.

    Attributes:
        model: Command-line name of the model, such as ``cnn``.
        data: Command-line name of the data, such as ``digits``; ``folder`` when a path was given.
        settings: Nested settings from the recipe and the files: ``model``, ``data``, ``trainer``, top-level keys.
        overrides: Dotted settings of the command line, as text, in the order given.
        origin: For each dotted key of ``settings``, the file it came from.
        overlaid: Those of them that a file of the user laid over the model's recipe; a file that names model and data
            stands alone, and says everything.
        root: Folder that holds the runs.
        resume: What ``--resume`` named, or None.
        switches: Those of `SWITCHES` that were given.
        command: The command as typed.
        stages: Lengths that the run was begun for and went on to, ``5 epochs, 8 epochs``; empty for one of one piece.
        usual_data: The data that the model's recipe names; empty where no recipe was read.
        alone: Why no recipe was read, and how it would be; empty where one was, or there is none.
    """

    model: str = ""
    data: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    overlaid: dict[str, str] = field(default_factory=dict)
    root: str = "runs"
    resume: str | None = None
    switches: set[str] = field(default_factory=set)
    command: str = ""
    stages: str = ""
    usual_data: str = ""
    alone: str = ""


def recipe_file(model: str, data: str | None, folder: Path) -> Path:
    """The recipe for a model on a data set: ``MODEL-DATA.yaml`` when there is one, else ``MODEL.yaml``."""
    special = folder / f"{model}-{data}.yaml"
    return special if data and special.exists() else folder / f"{model}.yaml"


def name_data(value: str, known: dict[str, str]) -> tuple[str, str | None]:
    """Reads ``--data``: a known name, or a path (then the name is ``folder``).

    Returns:
        The data's name and the path, or None when a name was given.

    Raises:
        UserError: When it is neither.
    """
    if value == "folder" and not Path(value).exists():
        raise UserError("--data folder: give the path of the folder itself, such as --data ~/photos")
    if value in known and value != "folder":
        return value, None
    path = expand(value)
    looks_like_path = path.exists() or "/" in value or value.startswith(("~", "."))
    if not looks_like_path:
        raise UserError(
            f"no data named {value!r}{nearest(value, known) or ','} known: "
            f"{', '.join(sorted(set(known) - {'folder'}))}, or the path of a folder of pictures"
        )
    if not path.exists():
        raise UserError(f"--data {value}: there is no such {'file' if path.suffix.lower() == '.csv' else 'folder'}")
    return "folder", str(path)


def read(
    argv: Sequence[str],
    models: dict[str, str],
    data: dict[str, str],
    recipes: Path,
    replay: Path | None = None,
    forms: Mapping[tuple[str, str], str] = {},
) -> Request:
    """Reads the command line and the files it names.

    Args:
        argv: Words after the program's name.
        models: Known models by name.
        data: Known data by name.
        recipes: Folder that holds ``MODEL.yaml`` and ``MODEL-DATA.yaml``.
        replay: Settings of the run to resume; they take the place of the recipe.
        forms: For a model and what its user calls the data, the name of the form in which that model takes them.

    Raises:
        UserError: One line that names the option, file or value at fault.
    """
    options, switches = read_tokens(argv)
    request = Request(switches=switches, command=shlex.join(["python", "train.py", *argv]))
    if "help" in switches:
        return request
    from trainer.command.settings_file import read_yaml  # not for --help, which needs no library

    files = [*([replay] if replay else []), *(expand(name) for name in options.pop("config", []))]
    contents = [(file, read_yaml(file)) for file in files]
    request.resume = options.pop("resume", [None])[0]
    request.root = _root(request, options.pop("root", [None])[0])
    given_model, given_data = (options.pop(name, [None])[0] for name in ("model", "data"))
    model_of_files = _named("model", contents)
    request.model = given_model or model_of_files or ""
    contents = [(file, _in_own_form(content, request.model, forms)) for file, content in contents]
    data_of_files = _named("data", contents)
    _check_groups(contents)
    _check_model(request, contents, models)
    path = None
    if given_data:
        # The options of a folder can be shown without one.
        shows = given_data == "folder" and {"model.help", "data.help"} & switches
        request.data, path = (given_data, None) if shows else name_data(given_data, data)
        request.data = forms.get((request.model, request.data), request.data)
    request.overrides = {key: values[0] for key, values in options.items()}
    if request.resume and not replay:  # the run's own settings are read first
        return request
    if replay:
        _check_same(request, contents[0], data_of_files)
    usual = recipe_file(request.model, request.data or data_of_files, recipes)
    # A file that names model and data stands alone; otherwise the recipe comes first.
    alone = model_of_files == request.model and data_of_files
    if not alone:
        contents.insert(0, (usual, read_yaml(usual)))
        request.usual_data = contents[0][1].get("data", {}).get("name", "")
    elif not replay and usual.is_file():
        file = next(file for file, content in reversed(contents) if "name" in content.get("data", {}))
        how = f"leave data.name out (--data says it too) to lay it over {usual.parent.name}/{usual.name}"
        request.alone = f"{file} names model and data, so no recipe is read; {how}"
    _merge(request, contents, data_of_files)
    if not alone:
        request.overlaid = {key: file for key, file in request.origin.items() if file != str(usual)}
    request.settings = nest(request.settings)
    _check_data(request, data, path)
    return request


def _named(group: str, contents: list[tuple[Path, dict[str, Any]]]) -> str | None:
    """The model or the data that the last of the files to name one names."""
    return next((content[group]["name"] for _, content in reversed(contents) if "name" in content.get(group, {})), None)


def _in_own_form(content: dict[str, Any], model: str, forms: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """The same settings, their data named as this model takes them."""
    name = content.get("data", {}).get("name")
    return {**content, "data": {**content["data"], "name": forms[model, name]}} if (model, name) in forms else content


def _root(request: Request, given: str | None) -> str:
    """The folder of all runs.

    Raises:
        UserError: If the run to resume lies outside the one given.
    """
    root = str(expand(given or request.root))
    if given is not None and request.resume not in (None, "auto"):
        run = expand(request.resume)
        if run.exists() and not run.resolve().is_relative_to(Path(root).resolve()):
            raise UserError(f"--root {root}: {request.resume} lies elsewhere, and a resumed run goes on there")
    return root


def _check_groups(contents: list[tuple[Path, dict[str, Any]]]) -> None:
    """The names at the top of the files are known, before a setting under a misspelt one is missed.

    Raises:
        UserError: Naming file and name.
    """
    for file, content in contents:
        for name in content:
            group = str(name).partition(".")[0]
            if name in ("root", "resume", "config"):
                raise UserError(f"{file}: --{name} is an option of the command line, not a setting of a file")
            if group not in GROUPS and name not in TOP_LEVEL:
                known = (*GROUPS, *TOP_LEVEL, *ALIASES.values())
                raise UserError(f"{file}: no setting {str(name)!r}{nearest(str(name), known)}")


def _check_model(request: Request, contents: list[tuple[Path, dict[str, Any]]], models: dict[str, str]) -> None:
    """There is a model, and it and those that files name are known.

    Raises:
        UserError: Naming the option or the file.
    """
    if not request.model and not request.resume:
        raise UserError(f"--model is missing; known: {', '.join(models)} (python train.py --help shows more)")
    for file, content in contents:
        named = content.get("model", {}).get("name")
        if named is not None and named not in models:
            raise UserError(f"{file}: no model named {named!r}{nearest(named, models)}")
    if request.model and request.model not in models:
        raise UserError(
            f"no model named {request.model!r}{nearest(request.model, models) or ', known: ' + ', '.join(models)}"
        )


def _check_same(request: Request, recorded: tuple[Path, dict[str, Any]], data_of_files: str | None) -> None:
    """A run goes on with the model and the data that its settings name.

    Raises:
        UserError: If others are asked for.
    """
    own = _named("model", [recorded]), _named("data", [recorded])
    wanted = request.model, request.data or data_of_files
    if wanted != own:
        raise UserError(f"--resume {request.resume}: that run is {own[0]} on {own[1]}, not {wanted[0]} on {wanted[1]}")


def _check_data(request: Request, known: dict[str, str], path: str | None) -> None:
    """There are data, and they are known; those of a path get it as an option, which is given once.

    Raises:
        UserError: Naming the option or the data.
    """
    if not request.data:
        raise UserError("--data is missing")
    if request.data not in known:
        raise UserError(f"no data named {request.data!r}{nearest(request.data, known)}")
    if path is not None:
        if "data.path" in request.overrides:
            raise UserError("--data PATH and --data.path say the same thing: give one of them")
        request.overrides["data.path"] = path


def _merge(request: Request, contents: list[tuple[Path, dict[str, Any]]], data: str | None) -> None:
    """Puts the settings of files together, the later above the earlier, and notes where each comes from.

    Args:
        request: Gets the settings by dotted keys, and the name of its data where it has none.
        contents: Files and what they say.
        data: Name of the data in the files that the user gave.

    Raises:
        UserError: If one says that a setting is a value, and another that it is a group of settings.
    """
    for file, content in contents:
        named = content.get("data", {}).get("name")
        request.data = request.data or (data or named or "")
        if named and named != request.data:  # settings of another data set do not fit this one
            content = {**content, "data": {"name": named}}
        for key, value in flatten(content).items():
            if key not in ("model.name", "data.name"):
                for one, other in ((key, known) for known in request.settings):
                    if one.startswith(f"{other}.") or other.startswith(f"{one}."):
                        raise UserError(f"{file}: {min(one, other, key=len)} is one value, not a group of settings")
                request.settings[key] = value
                request.origin[key] = str(file)
