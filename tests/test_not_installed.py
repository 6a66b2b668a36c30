"""A Python without the libraries: one line that says what to do, and --help all the same."""

import subprocess
import sys
import venv
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench import __main__ as bench
from claims import __main__ as claims
from trainer.errors import not_installed

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing but its own library."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train.py", "--model", "cnn"], "train.py: PyTorch and Lightning are"),
        (["train.py", "--resume", "auto"], "train.py: PyTorch and Lightning are"),
        (["predict.py", "run", "train.py"], "predict.py: PyTorch and Lightning are"),
        (["predict.py", "export", "run", "--to", "onnx"], "predict.py: PyTorch and Lightning are"),
        (["-m", "claims", "000-01"], "claims: PyTorch and its companions are"),
        (["-m", "bench", "digits"], "bench: PyTorch and Lightning are"),
    ],
)
def test_without_the_libraries_one_line_says_what_to_do(bare: Path, words: list[str], name: str) -> None:
    done = subprocess.run([bare, *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    way = "run `make train` once, then `. .venv/bin/activate`"
    assert done.stderr == f"{name} not installed for this Python ({bare}); {way}\n"
    assert done.returncode == 2


@pytest.mark.parametrize("words", [["train.py", "--help"], ["predict.py", "--help"], ["-m", "bench"]])
def test_help_needs_no_library(bare: Path, words: list[str]) -> None:
    done = subprocess.run([bare, *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr == ""


def test_a_missing_module_of_our_own_is_no_matter_of_installing() -> None:
    assert not_installed(ModuleNotFoundError(name="trainer.nothing")) == ""
    assert not_installed(ModuleNotFoundError(name="json.nothing")) == ""
    line = f"the package 'timm' is not installed for this Python ({sys.executable}); run `make train` once, then"
    assert not_installed(ModuleNotFoundError(name="timm.models")).startswith(line)


@pytest.mark.parametrize(("program", "words"), [(bench, ["digits"]), (claims, ["000-01"])], ids=["bench", "claims"])
def test_a_library_that_is_missed_on_the_way_is_one_line_too(
    program: ModuleType, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missed(name: str) -> Any:
        def run(*_: Any) -> None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return run

    monkeypatch.setattr(program, "run", missed("timm.data"))
    assert program.main(words) == 2
    said = capsys.readouterr().err
    assert "not installed for this Python" in said
    assert said.count("\n") == 1
    monkeypatch.setattr(program, "run", missed("theory.nothing"))
    with pytest.raises(ModuleNotFoundError):
        program.main(words)
