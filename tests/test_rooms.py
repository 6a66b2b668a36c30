"""The arrows between the rooms: who may import whom, read from the code itself."""

import ast
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
ALLOWED = {
    "theory": set(),
    "dashboard": {"theory"},
    "data": {"theory"},
    "models": {"theory", "dashboard"},
    "trainer": {"theory", "dashboard"},
    "claims": {"theory", "models"},
}
# Modules of trainer/ that put its parts together; the others at its top are the foundation of all parts.
OVER_ALL = {"build", "comparison", "folds", "plan", "summary"}
FOUNDATION = {file.stem for file in (PROJECT / "trainer").glob("*.py")} - OVER_ALL - {"__init__"}
# What each part of a room may import of that room, beside itself.
INSIDE = {
    "trainer": FOUNDATION,  # of its foundation
    "trainer/command": FOUNDATION,
    "trainer/run": FOUNDATION | {"command"},
    "trainer/fit": FOUNDATION | {"run"},
    "data/files": set(),
    "data/batches": {"files"},
}
ROOMS = {*ALLOWED, "bench", "tests", "train", "predict", "classifier"}


def imported(file: Path) -> set[str]:
    """Rooms that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names & ROOMS


def imported_modules(file: Path) -> set[str]:
    """Modules that a file imports, by their whole names, anywhere in it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module and node.level == 0]
    return plain | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_no_arrow_points_where_it_must_not(room: str) -> None:
    files = sorted((PROJECT / room).rglob("*.py"))
    assert files
    wrong = {str(file): imported(file) - ALLOWED[room] - {room} for file in files}
    assert not {name: rooms for name, rooms in wrong.items() if rooms}


@pytest.mark.parametrize("place", sorted(INSIDE))
def test_the_parts_of_a_room_stand_on_each_other_in_one_order(place: str) -> None:
    room, _, part = place.partition("/")
    files = (PROJECT / place).rglob("*.py") if part else [PROJECT / room / f"{name}.py" for name in INSIDE[place]]
    found = {str(file): {name.split(".")[1] for name in imported_modules(file) if name.startswith(f"{room}.")}
             for file in files}  # fmt: skip
    assert any(found.values())
    wrong = {name: parts - INSIDE[place] - {part} for name, parts in found.items()}
    assert not {name: parts for name, parts in wrong.items() if parts}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_are_written_whole(room: str) -> None:
    """The checks above read whole names: a relative import, or one of a text, would pass them by."""
    for file in (PROJECT / room).rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        assert not any(node.level for node in nodes if isinstance(node, ast.ImportFrom)), file
        calls = [
            node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func)[-13:] == "import_module"
        ]
        named = [str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)]
        assert not {name.partition(".")[0] for name in named} & ROOMS, file


def test_the_package_holds_every_folder_of_code() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    files = [file for room in (*ALLOWED, "bench") for file in (PROJECT / room).rglob("*.py")]
    folders = {".".join(file.parent.relative_to(PROJECT).parts) for file in files}
    assert project["tool"]["setuptools"]["packages"] == sorted(folders)


def test_the_registries_hold_strings_and_import_nothing() -> None:
    for room in ("models", "data"):
        tree = ast.parse((PROJECT / room / "__init__.py").read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
