"""The benchmark of the input pipeline: both sides hand out every picture, and the verdict follows the ratios."""

import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import pipeline
from bench.harness import BenchError, Sample


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for part, count in (("train", 3), ("val", 2)):
        for name in ("ants", "bees"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (60, 80, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.jpg")
    return tmp_path


@pytest.mark.parametrize("side", [pipeline.ours, pipeline.peer])
def test_an_epoch_holds_every_picture_normalised(pictures: Path, side: object) -> None:
    epochs = [list(epoch) for epoch in side(str(pictures), 4, 2)]  # type: ignore[operator]
    for epoch in epochs:
        assert [tuple(batch.shape[1:]) for batch in epoch] == [(3, 224, 224)] * 3
        assert sum(map(len, epoch)) == 10
        assert all(batch.abs().max() < 3 and batch.std() > 0.1 for batch in epoch)
    assert not epochs[0][0].equal(epochs[1][0])  # another crop
    assert epochs[0][-1].equal(epochs[1][-1])  # the same view for validation


def test_the_first_epoch_is_timed_apart() -> None:
    sample = pipeline.measure(iter([[range(4), range(2)], [range(6)], [range(6)]]))
    assert sample.figures["pictures"] == 6
    assert sample.seconds == pytest.approx(sample.figures["first"] + 2 * sample.figures["later"])


@pytest.mark.parametrize(("first", "later", "said"), [(1.0, 0.1, "met"), (3.0, 0.4, "missed")])
def test_verdicts(first: float, later: float, said: str) -> None:
    ours = [Sample(0, {"first": first, "later": later, "pictures": 10})]
    peer = [Sample(0, {"first": 4.0, "later": 2.0, "pictures": 10})]
    report = pipeline.report("folder", {"ours": ours, "ImageFolder": peer})
    assert all(note.endswith(said) for note in report.notes)
    assert f"{4 / first:.3g} times the peer" in report.notes[0]
    assert f"{2 / later:.3g} times the peer" in report.notes[1]
    assert report.tables[0][1][1][1:3] == ["1", "4 s"]


def test_a_count_below_one_is_refused(pictures: Path) -> None:
    with pytest.raises(BenchError, match="must be at least 1"):
        pipeline.check(argparse.Namespace(later=0, batch_size=32, pictures=str(pictures)))
