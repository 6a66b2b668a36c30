"""The fine-tuning benchmark: what it reads, what it compares, what it refuses."""

import argparse
from pathlib import Path

import pytest

from bench import finetune
from bench.harness import BenchError, Sample


def test_the_tutorial_is_read_by_its_last_line() -> None:
    said = (
        'epoch 1: loss 0.5\n{"val_accuracy_last": 0.93, "val_accuracy_best": 0.95, "seconds_per_epoch": 9, "seed": 0}\n'
    )
    assert finetune.read_peer(said) == {"val_accuracy_last": 0.93, "val_accuracy_best": 0.95, "seconds_per_epoch": 9.0}
    for broken in ("", "epoch 1: loss 0.5\n", '{"val_accuracy_last": 0.93}\n'):
        with pytest.raises(BenchError, match="told of no result"):
            finetune.read_peer(broken)


@pytest.mark.parametrize(("accuracy", "seconds", "said"), [(0.97, 20.0, "met"), (0.94, 90.0, "missed")])
def test_lead_and_share_of_time(accuracy: float, seconds: float, said: str) -> None:
    ours = [Sample(seconds, {"val/accuracy": accuracy})]
    peer = [Sample(200.0, {"val_accuracy_last": last, "val_accuracy_best": 0.98}) for last in (0.93, 0.95)]
    notes = finetune.report("r.yaml", 25, {"ours": ours, "tutorial": peer}).notes
    assert f"{100 * accuracy - 94:+.2f} points over the last epoch" in notes[2]  # not over the best, 98 %
    assert f"{seconds / 200:.3f} of the tutorial's" in notes[3]
    assert all(note.endswith(said) for note in notes[2:])


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    options = argparse.Namespace(recipe=finetune.RECIPE, pictures=str(tmp_path), peer_repeats=1, peer_epochs=25)
    with pytest.raises(BenchError, match="has no val folder"):
        finetune.check(options)
    options.peer_repeats = -1
    with pytest.raises(BenchError, match="--peer_repeats must be 0 or more"):
        finetune.check(options)
