from __future__ import annotations

import argparse
import importlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import models.finetune.depthwise
from bench import __main__ as front
from bench import child, digits, face, mnist, overhead
from bench.harness import BenchError, Sample
from bench.peers import mnist_example
from bench.stopwatch import Stopwatch, figures


def test_the_peer_is_the_documented_network() -> None:
    net = mnist_example.Net()
    assert sum(parameter.numel() for parameter in net.parameters()) == 1_199_882
    outputs = net(torch.rand(3, 1, 28, 28))
    assert outputs.shape == (3, 10)
    torch.testing.assert_close(outputs.exp().sum(1), torch.ones(3))


def test_the_list_has_a_module_and_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert front.main([]) == 0
    said = capsys.readouterr().out
    width = max(map(len, front.BENCHMARKS))
    for name, line in front.BENCHMARKS.items():
        assert f"{name:<{width}}  {line}" in said
        module = importlib.import_module(f"bench.{name}")
        assert {"add_arguments", "check", "run"} <= set(dir(module))


@pytest.mark.parametrize("name", ["startup", "rbm", "regions", "pipeline", "depthwise"])
def test_words_for_a_training_that_is_not_done_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert front.main([name, "--", "--epochs", "1"]) == 2
    assert capsys.readouterr().err == f"bench {name}: nothing is passed on to train.py here: --epochs 1\n"


def test_the_list_does_not_import_torch() -> None:
    code = "import sys; from bench.__main__ import main; main([]); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=child.HERE, capture_output=True, check=False)
    assert done.returncode == 0


def test_all_runs_every_benchmark_and_every_recipe_for_mnist_that_states_a_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(front, "run", lambda name, words: ran.append((name, words)))
    assert front.main(["all"]) == 0
    assert [name for name, words in ran if not words] == list(front.BENCHMARKS)
    recipes = {path.name for path in (child.HERE / "models").glob("cnn-mnist-99*.yaml")}
    usual = Path(mnist.RECIPE).name
    assert {Path(words[words.index("--recipe") + 1]).name for _, words in ran if words} == recipes - {usual}
    for name, words in ran:
        parser = argparse.ArgumentParser()
        parser.add_argument("--repeats", type=int)
        importlib.import_module(f"bench.{name}").add_arguments(parser)
        parser.parse_args(words)
    assert "\n== mnist --recipe models/cnn-mnist-99.7.yaml --accuracy 99.7" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["digit"], ["all", "--repeats", "1"]])
def test_wrong_names_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert front.main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["digits", "--repeats", "0"],
        ["digits", "--warmup", "-1"],
        ["digits", "--repeat", "2"],
        ["digits", "--seeds", "-1"],
    ],
)
def test_wrong_options_exit_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        front.main(words)
    assert raised.value.code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mnist", "--accuracy", "0"], "--accuracy"),
        (["mnist", "--recipe", "models/none.yaml"], "models/none.yaml"),
        (["mnist", "--recipe", "models/cnn.yaml"], "DATA_ROOT is not set"),
        (["face", "--recipe", "models/cnn.yaml"], "DATA_ROOT is not set"),
        (["overhead", "--steps", "1"], "--steps"),
        (["digits", "--json", "/no/such/folder/raw.json"], "/no/such/folder"),
    ],
)
def test_what_is_missing_is_one_line_and_exit_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_ROOT", raising=False)
    assert front.main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_a_recipe_for_other_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for path in mnist.RAW:
        (tmp_path / path).touch()
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    options = argparse.Namespace(recipe="models/cnn.yaml", accuracy=99.0, peer_repeats=1, peer_epochs=14)
    with pytest.raises(BenchError, match="is for the data 'digits'") as raised:
        mnist.check(options)
    assert raised.value.exit_code == 2


def fake_train(command: Any, name: str) -> Sample:
    seed = int(command[-1])
    if seed == 3:
        raise BenchError("ours exited 1\n    the reason", 1)
    return Sample(10.0 + seed, {"test/accuracy": 0.98 + 0.01 * seed, "test/error": 0.02, "time/process_s": 9.0})


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "threads", lambda: 2)
    for module in (digits, face, mnist):
        monkeypatch.setattr(module, "train", fake_train)
        monkeypatch.setattr(module, "warm_train", lambda *_: None)


@pytest.mark.usefixtures("no_children")
def test_digits_from_the_front_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "raw.json"
    assert front.main(["digits", "--seeds", "3", "--json", str(path), "--", "--epochs", "1"]) == 0
    said = capsys.readouterr().out
    assert "python train.py --model cnn --epochs 1, seeds 0–2" in said
    assert "99.00 ± 1.00 % over 3 seeds, target ≥ 98.9%: met" in said
    assert "median 11.00 s, target ≤ 20 s: met" in said
    record = json.loads(path.read_text())
    assert [run["seconds"] for run in record["samples"]["train.py --model cnn"]] == [10.0, 11.0, 12.0]
    assert record["command"].endswith("-- --epochs 1")


@pytest.mark.usefixtures("no_children")
def test_a_failing_side_makes_the_benchmark_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert front.main(["digits", "--repeats", "4"]) == 1
    heard = capsys.readouterr()
    assert "the reason" in heard.err
    assert "digits:" not in heard.out


@pytest.mark.usefixtures("no_children")
def test_face_shows_mean_and_deviation_of_its_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "att_faces").mkdir()
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    asked = list[int]()

    def train(command: list[str], name: str) -> Sample:
        asked.append(int(command[-1]))
        figures = {"test/error": 0.002 + asked[-1] / 10_000, "test/error_sd": 0.004, "test/error_split_00": 0.0}
        return Sample(10.0, figures)

    monkeypatch.setattr(face, "train", train)
    options = argparse.Namespace(recipe=face.RECIPE, repeats=3, warmup=0, passed=[])
    face.check(options)
    found = face.run(options)
    assert asked == [0, 20, 40]  # blocks of the 20 splits that a run takes, so that none is counted twice
    assert "split seeds 0–59" in found.title
    (head, shown) = found.tables[1][0][1], found.tables[1][1]
    assert head == "mean ± deviation over 3 blocks of 20 splits"
    assert ["test/error", "0.0040 ± 0.0020"] in shown
    assert not [tag for tag, _ in shown if "_split_" in tag]
    assert found.notes == [
        "error  0.40 ± 0.40 % (mean ± deviation over the splits of a run), target at most 1.0 %: met"
    ]


def test_the_example_is_read_by_its_epochs() -> None:
    said = "batch 0 of 938  loss 2.3\nepoch 1  test accuracy 98.31 %  54.0 s\n"
    said += "test loss 0.03\nepoch 2  test accuracy 99.06 %  104.5 s\n"
    found = mnist.read_peer(said)
    assert found["test/accuracy"] == pytest.approx(0.9906)
    assert (found["epochs"], found["epoch 1/seconds"], found["epoch 2/seconds"]) == (2, 54.0, 104.5)
    with pytest.raises(BenchError, match="no epoch"):
        mnist.read_peer("batch 0 of 938  loss 2.3")


def write_idx(path: Path, array: np.ndarray) -> None:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


def test_the_example_itself_on_a_few_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for path in mnist.RAW:
        count = 70 if "train" in path else 5
        shape = (count, 28, 28) if "images" in path else (count,)
        write_idx(tmp_path / path, np.full(shape, 3))  # every picture is a 3: one step learns that
    monkeypatch.setattr(sys, "argv", ["example", "--root", str(tmp_path), "--epochs", "9", "--until", "100"])
    mnist_example.main()
    found = mnist.read_peer(capsys.readouterr().out)
    assert found["test/accuracy"] == 1.0
    assert found["epochs"] < 9  # it stopped as soon as the accuracy was reached


@pytest.mark.parametrize(
    ("reached", "said"), [(0.9906, "16.0 times sooner; pairs"), (0.98, "16.0 times sooner or more")]
)
def test_mnist_ratio_of_one_run(reached: float, said: str) -> None:
    ours = [Sample(seconds, {"test/accuracy": 0.991, "time/process_s": seconds}) for seconds in (10.0, 16.0, 20.0)]
    peer = [Sample(256.0, {"test/accuracy": reached, "epochs": 4.0})]
    report = mnist.report("r.yaml", 99.0, {"ours": ours, "example": peer})
    assert said in report.notes[-1]
    assert f"reached in {int(reached > 0.99)} of 1 runs" in report.notes[1]
    assert report.tables[0][1][0][4:] == ["16", "12.8 – 25.6"]
    assert "met" in report.notes[0]


def test_steps_are_counted_inside_the_loader() -> None:
    now = [0.0]
    epochs: list[list[float]] = []
    watch = Stopwatch([5, 6, 7], epochs, lambda: now[0])
    for epoch in range(3):
        for number in watch:
            assert number in (5, 6, 7)
            now[0] += 100.0 if epoch == 0 else 2.0  # the first epoch warms up
        now[0] += 10.0  # validation
    assert len(watch) == 3
    assert epochs[1] == [310.0, 312.0, 314.0]
    found = figures(epochs)
    assert found.seconds == pytest.approx(2.0)
    assert found.figures == {"step/median": 2.0, "epoch": 16.0}


def test_every_side_of_the_overhead_sees_whole_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe for MNIST trains on half an epoch; only the Trainer would heed that."""
    size = overhead.Size(["-c", str(child.HERE / overhead.MNIST_RECIPE)], 2, "wall")
    assert size.settings.trainer["limit_train_batches"] == 0.5
    asked: list[dict[str, Any]] = []

    def make_trainer(folder: Any, options: dict[str, Any], **_: Any) -> Any:
        asked.append(options)
        raise BenchError("not trained", 1)

    monkeypatch.setattr("trainer.build.make_trainer", make_trainer)
    with pytest.raises(BenchError, match="not trained"):
        size.trainer()
    assert asked[0]["limit_train_batches"] is None


def test_a_step_is_measured_in_three_ways(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    kind = models.finetune.depthwise._Depthwise
    plain = kind.forward
    monkeypatch.setattr(kind, "forward", staticmethod(lambda *words: (used.append(1), plain(*words))[1]))
    words = ["depthwise", "--backbone", "shufflenet_v2_x0_5", "--batch_size", "2", "--image_size", "32"]
    assert front.main([*words, "--repeats", "2", "--warmup", "0"]) == 0
    assert len(used) == 2 * 19  # one side of the three
    out = capsys.readouterr().out
    assert "depthwise: a step of shufflenet_v2_x0_5, 2 pictures of 32×32" in out
    assert "bfloat16, depthwise gradients in float32  2" in out
    assert front.main([*words, "--batch_size", "0"]) == 2
    assert front.main(["depthwise", "--backbone", "resnet81"]) == 2
    assert "did you mean" in capsys.readouterr().err
