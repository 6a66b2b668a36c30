"""The check of TensorBoard: against servers over small event files that are right, wrong and missing."""

import http.server
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dashboard.check import Report, main, promised_values, run_folders, same_value, table
from dashboard.layout import overview
from dashboard.screenshot import find_browser, take

GOOD = "20250101-120000-s0"
BAD = "20250101-120001-s1"


def write_run(folder: Path, lr: float, **hparams: object) -> None:
    """A run as the trainer writes it: scalars, a picture, text, the layout, an HPARAMS row and metrics.json."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=0) as writer:
        writer._get_file_writer().add_summary(hparams_pb({"model": "cnn", "lr": lr, **hparams}))
        writer.add_custom_scalars(overview(["val/accuracy"]))
        for step in range(3):
            for tag in ("train/loss", "val/loss", "train/accuracy", "val/accuracy", "lr/peak", "sys/grad_norm"):
                writer.add_scalar(tag, lr + step / 7, step)
            writer.add_scalar("sys/images_per_s", 1000.0 + step, step)
            writer.add_scalar("time/epoch_s", 0.5, step)
        writer.add_image("figures/confusion", np.full((20, 30, 3), 200, np.uint8), 2, dataformats="HWC")
        writer.add_text("report/result", "| a | b |\n| - | - |\n| 1 | 2 |", 2)
    metrics = {"val/accuracy": lr + 2 / 7, "val/loss": lr + 2 / 7, "time/process_s": 3.2, "seed": 0, "gap/none": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture(scope="module")
def good_runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    write_run(root / "cnn-digits" / GOOD, 0.1)
    write_run(root / "vit-digits" / BAD, 0.2, heads=4)
    return root


def test_right_runs_pass_and_the_table_counts_their_tags(good_runs, capsys):
    assert main([str(good_runs)]) == 0
    printed = capsys.readouterr().out
    assert "wrong" not in printed
    assert printed.splitlines()[-1] == "dashboard: 2 runs, no problems"
    row = next(line for line in printed.splitlines() if line.startswith(f"cnn-digits/{GOOD}"))
    # 8 scalar tags, 1 picture, 1 text, no PR curve, 2 values of metrics.json that are numbers and no times.
    assert row.split()[1:] == ["8", "1", "1", "0", "2"]


def test_every_broken_promise_is_named(tmp_path, capsys):
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from torch.utils.tensorboard import SummaryWriter

    good, bad = tmp_path / "cnn-digits" / GOOD, tmp_path / "cnn-digits" / BAD
    write_run(good, 0.1)
    with SummaryWriter(str(bad)) as writer:
        writer.add_scalar("train/loss", 1.0, 0)
        writer.add_scalar("train/loss", 0.5, 0)  # the step does not rise
        writer.add_scalars("loss", {"train": 1.0}, 0)  # makes a run of its own
        writer._get_file_writer().add_summary(hparams_pb({"model": "cnn", "lr": 0.1}))  # the same row as the good run
    (bad / "metrics.json").write_text('{"train/loss": 0.25, "test/accuracy": 0.9}')
    (tmp_path / "cnn-digits" / "20250101-120002-s2").mkdir()
    code = main([str(tmp_path), "--tabs", "scalars,pr_curves,hparams", "--tags", "train/loss,sys/images_per_s"])
    printed = capsys.readouterr().out
    assert code == 1
    for words in (
        "20250101-120002-s2: TensorBoard does not show this run",
        f"{BAD}/loss_train: a run that is no run folder",
        "tab pr_curves is not active",
        f"{BAD}: tag sys/images_per_s is missing",
        f"{BAD}: steps of train/loss do not rise at step 0",
        f"{BAD}: train/loss ends at 0.5, metrics.json says 0.25",
        f"{BAD}: test/accuracy of metrics.json is missing",
        "20250101-120002-s2: no row in HPARAMS",
        "HPARAMS: 1 runs share a row with another",
    ):
        assert words in printed, words
    assert f"{GOOD}:" not in printed


def test_an_empty_folder_fails_and_a_missing_one_is_a_wrong_command(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert f"no run in {tmp_path}" in capsys.readouterr().err
    assert main([str(tmp_path / "nothing")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_the_module_is_a_command(tmp_path):
    done = subprocess.run([sys.executable, "-m", "dashboard.check", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_run_folders_are_found_at_any_depth_and_not_inside_each_other(tmp_path):
    for name in (f"a/{GOOD}", f"a/{GOOD}-2", f"a/{GOOD}/{BAD}", "a/lightning_logs", f"{BAD}x"):
        (tmp_path / name).mkdir(parents=True)
    assert list(run_folders(tmp_path)) == [f"a/{GOOD}", f"a/{GOOD}-2"]
    assert list(run_folders(tmp_path / "a" / GOOD)) == ["."]


def test_promises_are_the_numbers_of_tags_without_times(tmp_path):
    with pytest.raises(ValueError, match="did not finish"):
        promised_values(tmp_path)
    (tmp_path / "metrics.json").write_text('{"val/loss": NaN, "time/fit_s": 3, "seed": 1, "a/b": "text", "c/d": null}')
    promised = promised_values(tmp_path)
    assert list(promised) == ["val/loss", "c/d"]
    assert np.isnan(promised["val/loss"])
    (tmp_path / "metrics.json").write_text("[]")
    with pytest.raises(ValueError, match="no object"):
        promised_values(tmp_path)


@pytest.mark.parametrize(
    ("shown", "promised", "same"),
    [
        (float(np.float32(0.1)), 0.1, True),
        (0.1001, 0.1, False),
        ("NaN", float("nan"), True),
        ("NaN", 0.0, False),
        (0.0, float("nan"), False),
        ("Infinity", float("inf"), True),
        ("-Infinity", float("inf"), False),
    ],
)
def test_values_are_equal_in_single_precision(shown, promised, same):
    assert same_value(shown, promised) is same


def test_the_table_has_a_line_for_each_run():
    assert list(table(Report())) == []
    assert len(list(table(Report(rows={"a": {"scalars": 3}, "b": {}})))) == 3


def test_a_browser_that_writes_nothing_is_a_problem(tmp_path):
    problems = take(shutil.which("true") or "true", "http://localhost:1", ["text"], tmp_path / "new")
    assert problems == [f"screenshot of text: {shutil.which('true')} wrote no picture"]


@pytest.mark.skipif(find_browser() is None, reason="no chromium, chromium-browser or google-chrome on PATH")
def test_screenshots_are_pictures_of_the_asked_size(tmp_path):
    from PIL import Image

    class Blue(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<body style='background:#0072B2'></body>")

        def log_message(self, *arguments):
            pass

    browser = find_browser()
    assert browser is not None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Blue) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert take(browser, f"http://127.0.0.1:{server.server_port}", ["text"], tmp_path) == []
        finally:
            server.shutdown()
    with Image.open(tmp_path / "text.png") as picture:
        assert picture.size == (1600, 1200)
        assert picture.convert("RGB").getpixel((800, 600)) == (0, 0x72, 0xB2)
