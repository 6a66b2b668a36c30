from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import child
from bench.harness import BenchError

FAKE_TRAIN = """
import json, pathlib, sys
root = pathlib.Path(sys.argv[sys.argv.index("--root") + 1])
mode = sys.argv[1]
if mode == "fail":
    print("\\n".join(f"line {i}" for i in range(40)))
    sys.exit("train.py: it broke")
if mode == "good":
    figures = {"test/accuracy": 0.5, "time/process_s": 1, "model": "cnn", "flag": True, "none": None}
    (root / "metrics.json").write_text(json.dumps(figures))
print("nothing to see" if mode == "silent" else f"run: {root}")
"""


@pytest.fixture
def fake_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(FAKE_TRAIN)
    monkeypatch.setattr(child, "HERE", tmp_path)
    return tmp_path


def test_numbers_of_metrics_json_and_seconds_from_outside(fake_train: Path) -> None:
    sample = child.train(["good", "--seed", "1"], "ours")
    assert sample.figures == {"test/accuracy": 0.5, "time/process_s": 1.0}
    assert 0 < sample.seconds < 30


def test_a_side_that_fails_is_shown_with_its_last_lines(fake_train: Path) -> None:
    with pytest.raises(BenchError, match="ours exited 1") as raised:
        child.train(["fail"], "ours")
    assert raised.value.exit_code == 1
    lines = str(raised.value).splitlines()
    assert lines[-1].strip() == "train.py: it broke"
    assert lines[-2].strip() == "line 39"
    assert len(lines) == child.LAST_LINES + 1


@pytest.mark.parametrize("mode", ["silent", "no-file"])
def test_a_side_without_metrics_json_has_failed(fake_train: Path, mode: str) -> None:
    with pytest.raises(BenchError, match=r"ours left no metrics\.json") as raised:
        child.train([mode], "ours")
    assert raised.value.exit_code == 1


def test_children_see_only_what_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _, said = child.run_child(child.python("-c", "import json, os; print(json.dumps(dict(os.environ)))"), "env")
    seen = json.loads(said)
    assert seen["OMP_NUM_THREADS"] == "1"
    assert not {"MALLOC_MMAP_MAX_", "PL_GLOBAL_SEED"} & set(seen)


def test_missing_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    with pytest.raises(BenchError, match=r"DATA_ROOT is not set.*a/b") as raised:
        child.require_data("a/b", "c")
    assert raised.value.exit_code == 2
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    (tmp_path / "c").touch()
    with pytest.raises(BenchError, match=r"lacks a/b$"):
        child.require_data("a/b", "c")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    assert child.require_data("a/b", "c") == tmp_path.resolve()


def test_missing_recipe_is_named_beside_those_that_exist() -> None:
    with pytest.raises(BenchError, match=r"no recipe models/none\.yaml; there are: .*models/cnn\.yaml") as raised:
        child.require_recipe("models/none.yaml")
    assert raised.value.exit_code == 2
