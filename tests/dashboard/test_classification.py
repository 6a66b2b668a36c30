"""What the figures of a classifier say, against the numbers they were given and against scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from dashboard.classification import batch_figure, file_name, mistakes_figure, recall_figure, worst_mistakes
from dashboard.confusion import confusion_counts, confusion_figure, most_confused
from dashboard.grid import caption_characters
from dashboard.network import grad_cam_figure
from dashboard.style import BLUE, to_image

NAMES = ["cat", "dog", "eel"]
COUNTS = np.array([[30, 3, 1], [1, 33, 2], [0, 2, 28]])


def test_counts_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 7, (2, 500))
    np.testing.assert_array_equal(confusion_counts(truth, guess, 7), confusion_matrix(truth, guess))
    assert confusion_counts([], [], 3).sum() == 0
    with pytest.raises(ValueError, match=r"0\.\.7; allowed: 0\.\.6"):
        confusion_counts(np.arange(8), np.arange(8), 7)
    with pytest.raises(ValueError, match="equal shapes"):
        confusion_counts([1, 2], [1], 3)


def test_most_confused_pairs_are_sorted_by_count_then_by_share():
    assert [tuple(pair) for pair in most_confused(COUNTS, 3)] == [(0, 1, 3, 34), (2, 1, 2, 30), (1, 2, 2, 36)]
    assert most_confused(np.diag([1, 2])) == []


def test_the_matrix_shows_every_count_and_names_the_worst_pair():
    figure = confusion_figure(COUNTS, NAMES)
    matrix, bars = figure.axes
    numbers = {text.get_position(): int(text.get_text()) for text in matrix.texts if text.get_text().isdigit()}
    assert numbers == {(j, i): COUNTS[i, j] for i in range(3) for j in range(3) if COUNTS[i, j]}
    assert figure.get_suptitle() == "91.0 % right (91 of 100); most confused: cat → dog (3 of 34)"
    assert [patch.get_width() for patch in bars.patches] == [3, 2, 2, 1, 1]
    tied = confusion_figure(np.minimum(COUNTS, 2), NAMES).get_suptitle().replace("\n", " ")
    assert tied.endswith("(2 of 4), as often as 2 other pairs")
    assert {"cat → dog", " 3 of 34"} <= {text.get_text() for text in bars.texts}
    colours = matrix.images[0].get_array()
    assert (colours[2, 0] == 1).all()  # no mistake: white
    assert colours[0, 0, 2] > colours[0, 0, 0]  # right: blue
    assert colours[0, 1, 0] > colours[0, 1, 2]  # wrong: orange


LONG = [f"class with a rather long name number {number:03}" for number in range(60)]


def test_names_that_differ_at_their_end_are_told_apart():
    zeros, ones = np.zeros(60), np.ones(60)
    recall = recall_figure(zeros, zeros, ones, ones, LONG)
    assert [text.get_text() for text in recall.axes[0].texts] == [f"…{number:03}" for number in range(60)]
    assert f"lowest is {LONG[0]} with" in recall.get_suptitle().replace("\n", " ")
    confusion = confusion_figure(np.eye(60, dtype=int)[(np.arange(60) + 7) % 60], LONG)
    assert {"…000", "…000 → …007"} <= {text.get_text() for axes in confusion.axes for text in axes.texts}
    assert f"{LONG[0]} → {LONG[7]}" in confusion.get_suptitle().replace("\n", " ")
    pictures = np.zeros((1, 1, 8, 8))
    mistakes = mistakes_figure(pictures, [3], [40], [0.9], [2], LONG, mistakes=1, total=9)
    assert mistakes.axes[0].texts[0].get_text().startswith("…003 → …040\n")
    assert batch_figure(pictures, [59], LONG).axes[0].texts[0].get_text() == "…059"
    heat = grad_cam_figure(pictures, np.ones((1, 4, 4)), [3], [40], LONG)
    assert [text.get_text() for text in heat.axes[0].texts] == ["…003", "heat", "✗ …040"]


def test_no_mistake_and_no_picture_are_said():
    figure = confusion_figure(np.diag([20, 20]), ["face", "not"])
    assert figure.get_suptitle() == "100.0 % right (40 of 40); no mistake"
    assert len(figure.axes[1].patches) == 0
    assert "no picture" in confusion_figure(np.zeros((2, 2), int), ["a", "b"]).get_suptitle()
    with pytest.raises(ValueError, match="C names"):
        confusion_figure(COUNTS, NAMES[:2])


def test_forty_classes_are_all_named_and_a_thousand_are_thinned_out():
    names = [f"person {i}" for i in range(40)]
    matrix = confusion_figure(np.diag(np.full(40, 5)), names).axes[0]
    assert sum(text.get_text().startswith("person") for text in matrix.texts) == 80
    matrix = confusion_figure(np.eye(1000, dtype=int), [f"n{i}" for i in range(1000)]).axes[0]
    assert len(matrix.texts) == 100


def test_recall_is_sorted_with_its_intervals_and_the_accuracy_dashed():
    recall, low, high, support = [0.9, 0.5, np.nan], [0.8, 0.3, 0], [0.95, 0.7, 1], [10, 30, 0]
    figure = recall_figure(recall, low, high, support, NAMES)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["dog", "cat"]
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xdata(), [0.5, 0.9])
    assert not axes.patches, "a bar that does not begin at 0 exaggerates"
    segments = [segment[:, 0].tolist() for segment in axes.collections[0].get_segments()]
    assert segments == [[0.3, 0.7], [0.8, 0.95]]
    dashed = next(line for line in axes.lines if line.is_dashed())
    np.testing.assert_allclose(dashed.get_xdata(), 24 / 40)
    assert "lowest is dog with 50.0 % (15 of 30; interval 30.0 % to 70.0 %)" in figure.get_suptitle().replace("\n", " ")


def test_recall_of_nothing_and_of_everything():
    assert "no picture" in recall_figure([np.nan], [0], [1], [0], ["a"]).get_suptitle()
    title = recall_figure([1, 1], [0.8, 0.7], [1, 1], [20, 9], ["a", "b"]).get_suptitle()
    assert title == "recall by class: all found in every class; lowest end of an interval 70.0 %"
    high = recall_figure([0.98, 1], [0.97, 0.9], [0.999, 1], [500, 9], ["a", "b"]).get_suptitle()
    assert "to 99.9 %)" in high.replace("\n", " "), "not rounded up to 100 %"


def test_the_worst_mistakes_are_those_that_give_the_truth_the_least():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.05, 0.95], [0.5, 0.5]])
    labels = np.array([0, 1, 0, 0, 1])
    assert worst_mistakes(probabilities, labels).tolist() == [3, 1, 2, 4]
    assert worst_mistakes(probabilities, labels, 2).tolist() == [3, 1]
    assert worst_mistakes(probabilities, probabilities.argmax(1)).tolist() == []


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 25, 25), (3, 224, 200)])
def test_mistakes_tell_truth_guess_probability_and_loss(shape):
    images = np.random.default_rng(0).random((2, *shape))
    figure = mistakes_figure(images, [0, 2], [1, 1], [0.97, 0.5], [3.4, 0.7], NAMES, mistakes=5, total=100)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["cat → dog\n97 %, loss 3.40", "eel → dog\n50 %, loss 0.70"]
    title = figure.get_suptitle().replace("\n", " ")
    assert title.startswith("worst 2 of 5 mistakes among 100 pictures")
    assert title.endswith("largest loss 3.40 nats")


def test_a_mistake_names_its_file_by_the_end_of_the_name():
    files = ["/photos/eel/a.png", "/photos/cat/IMG_20240101_123456_0042.jpg"]
    images = np.zeros((2, 1, 8, 8))
    figure = mistakes_figure(images, [2, 0], [1, 1], [0.9, 0.9], [2, 1], NAMES, mistakes=2, total=9, files=files)
    last = [text.get_text().splitlines()[-1] for text in figure.axes[0].texts]
    assert last[0] == "a.png"
    assert last[1].startswith("…")
    assert last[1].endswith("_0042.jpg")
    assert len(last[1]) == caption_characters(112)
    assert len({text.get_text().count("\n") for text in figure.axes[0].texts}) == 1
    assert file_name("/x/\udcff$.png", 20) == "?\\$.png"


def test_captions_of_wide_letters_do_not_run_into_one_another():
    names = ["snow_mammoth_woman", "warm_homemade_meal", "common_wombat"]
    figure = batch_figure(np.zeros((9, 1, 8, 8)), np.arange(9) % 3, names)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_long_names_get_a_line_each_and_no_mistake_is_said():
    names = ["a" * 40, "b" * 40]
    figure = mistakes_figure(np.zeros((1, 1, 8, 8)), [0], [1], [0.9], [2], names, mistakes=1, total=9)
    assert figure.axes[0].texts[0].get_text().count("\n") == 2
    none = mistakes_figure(np.zeros((0, 1, 8, 8)), [], [], [], [], NAMES, mistakes=0, total=360)
    assert none.get_suptitle() == "no mistake among 360 pictures"
    to_image(none)


def test_a_batch_tells_its_moments_over_all_pictures():
    images = np.zeros((40, 3, 9, 7), dtype=np.uint8)
    images[:20] = 255
    figure = batch_figure(images, np.arange(40) % 3, NAMES, limit=12)
    said = "batch of 40 training pictures 3×9×7: mean 0.500, deviation 0.500 of 1 (first 12 shown)"
    assert figure.get_suptitle() == said
    assert [text.get_text() for text in figure.axes[0].texts] == NAMES * 4
    assert "mean" not in batch_figure(images[:0], [], NAMES).get_suptitle()


def test_right_and_wrong_differ_for_colour_blind_eyes():
    from matplotlib.colors import to_rgb

    from dashboard.style import VERMILLION

    # Deuteranopia merges red and green; the blue channel must still tell the two apart.
    assert abs(to_rgb(BLUE)[2] - to_rgb(VERMILLION)[2]) > 0.5
