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


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_no_arrow_points_where_it_must_not(room: str) -> None:
    files = sorted((PROJECT / room).rglob("*.py"))
    assert files
    wrong = {file.name: imported(file) - ALLOWED[room] - {room} for file in files}
    assert not {name: rooms for name, rooms in wrong.items() if rooms}


def test_the_registries_hold_strings_and_import_nothing() -> None:
    for room in ("models", "data"):
        tree = ast.parse((PROJECT / room / "__init__.py").read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
