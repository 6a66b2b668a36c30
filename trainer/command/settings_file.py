"""Settings files: YAML, in which a key that is given twice is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from trainer.command.nested import GROUPS, dotted
from trainer.errors import UserError


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice in one mapping; YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def yaml_problem(error: yaml.YAMLError) -> str:
    """What is wrong in a YAML file, and where, on one line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return where + (getattr(error, "problem", None) or " ".join(str(error).split()))


def contains_itself(value: Any) -> bool:
    """Whether a value of lists and mappings has itself as a part, as YAML's aliases allow."""
    inside: set[int] = set()
    done: set[int] = set()  # each part is looked into once, however many aliases it has

    def found(part: Any) -> bool:
        if not isinstance(part, dict | list) or id(part) in done:
            return False
        if id(part) in inside:
            return True
        inside.add(id(part))
        again = any(found(each) for each in (part.values() if isinstance(part, dict) else part))
        inside.discard(id(part))
        done.add(id(part))
        return again

    return found(value)


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads one settings file into groups; ``model: cnn`` is short for ``model: {name: cnn}``.

    Raises:
        UserError: When the file is missing, is no YAML, or is no mapping of settings.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeys)
        looped = contains_itself(content)
    except OSError as error:
        raise UserError(f"cannot read the settings file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text file (byte {error.start} is not UTF-8)") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {yaml_problem(error)}") from error
    except RecursionError as error:
        raise UserError(f"{path} is no settings file: its lists and mappings are nested too deeply") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no settings: expected 'model:', 'data:', 'trainer:' at its top level")
    if looped:
        raise UserError(f"{path}: an alias (*name) stands inside what it stands for")
    names = [name for name, _ in dotted(content)]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise UserError(f"{path}: {twice} is given twice")
    for group in ("model", "data"):
        if isinstance(content.get(group), str):
            content[group] = {"name": content[group]}
    for group in GROUPS:
        if content.get(group) is not None and not isinstance(content[group], dict):
            raise UserError(f"{path}: '{group}:' must hold settings, not {content[group]!r}")
        name = (content.get(group) or {}).get("name", "")
        if group in ("model", "data") and not isinstance(name, str):
            raise UserError(f"{path}: {group}.name must be a name, not {'null' if name is None else repr(name)}")
    return {key: value for key, value in content.items() if value is not None or key not in GROUPS}
