"""The arrows between the rooms: who may import whom, read from the code itself."""

import ast
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
FOUNDATION = {"blame", "contract", "device", "errors", "files", "folder", "interrupt", "notice", "program", "safe_file"}
INSIDE_TRAINER = {"foundation": set(), "command": set(), "run": {"command"}, "fit": {"run"}}
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
    wrong = {file.name: imported(file) - ALLOWED[room] - {room} for file in files}
    assert not {name: rooms for name, rooms in wrong.items() if rooms}


@pytest.mark.parametrize("part", sorted(INSIDE_TRAINER))
def test_the_parts_of_the_trainer_stand_on_each_other_in_one_order(part: str) -> None:
    trainer = PROJECT / "trainer"
    files = [trainer / f"{name}.py" for name in FOUNDATION] if part == "foundation" else (trainer / part).glob("*.py")
    allowed = FOUNDATION | INSIDE_TRAINER[part] | {part}
    found = {file.name: {name.split(".")[1] for name in imported_modules(file) if name.startswith("trainer.")}
             for file in files}  # fmt: skip
    assert any(found.values())
    assert not {name: parts - allowed for name, parts in found.items() if parts - allowed}


def test_the_registries_hold_strings_and_import_nothing() -> None:
    for room in ("models", "data"):
        tree = ast.parse((PROJECT / room / "__init__.py").read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
