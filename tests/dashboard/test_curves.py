"""Curves: the measured points are drawn, theory is dashed at its value, the title follows from the numbers."""

import re

import numpy as np
import pytest
import torch

from dashboard.curves import (
    beside_theory_figure,
    neural_distance_figure,
    percent_over_runs,
    repeats_figure,
)
from dashboard.layout import exactly, logged, overview
from dashboard.roc import roc_figure
from dashboard.style import to_image
from tests.dashboard.titles import title
from theory.verification import equal_error_rate, receiver_curve


def dashed_heights(axes):
    return sorted(float(line.get_ydata()[0]) for line in axes.lines if line.is_dashed())


def drawn(axes):
    return [line for line in axes.lines if not line.is_dashed()]


@pytest.mark.parametrize("classes", [3, 10, 40])
def test_neural_distance_has_isometry_and_collapse_dashed(classes):
    pairs = [[-0.4, 0.0, 0.5], [-0.3, -0.05, 0.2], [-0.2, -0.1, 0.1]]
    figure = neural_distance_figure([0, 1, 2], [1.0, 0.6, 0.31], pairs, classes)
    left, right = figure.axes
    assert dashed_heights(left) == [0, 1]
    assert dashed_heights(right) == [-1 / (classes - 1)]
    assert drawn(left)[0].get_ydata().tolist() == [1.0, 0.6, 0.31]
    # The mean is near the dashed line whatever was learnt.
    assert [line.get_ydata().tolist() for line in drawn(right)] == [[0.5, 0.2, 0.1], [-0.4, -0.3, -0.2]]
    (band,) = right.collections
    assert band.get_paths()[0].get_extents().intervaly.tolist() == [-0.4, 0.5]
    assert "are closer than as pixels: ratio 1.00 → 0.31" in title(figure)
    away = max(0.1 + 1 / (classes - 1), 0.2 - 1 / (classes - 1))
    assert f"class-mean cosines −0.200 to 0.100, up to {away:.3f} from collapse" in title(figure)
    assert right.get_ylim() == (-1.05, 1.05)


def test_cosines_that_are_equal_to_rounding_have_plain_ticks():
    pairs = np.full((3, 3), -0.5) + np.array([0, 1e-13, 2e-13])
    right = neural_distance_figure([0, 1, 2], [1.0, 0.6, 0.3], pairs, 3).axes[1]
    to_image(right.figure)
    assert right.yaxis.get_offset_text().get_text() == ""
    heights = [float(tick.get_text().replace("−", "-")) for tick in right.get_yticklabels()]
    assert heights == sorted(set(heights))


def test_two_classes_have_no_cosines():
    figure = neural_distance_figure([0, 1, 2], [1.0, 0.6, 0.31], [[-1.0, -1.0, -1.0]] * 3, 2)
    assert len(figure.axes) == 1
    assert title(figure).endswith("ratio 1.00 → 0.31 (isometry 1, collapse 0)")


@pytest.mark.parametrize(
    ("ratio", "due"),
    [
        ([0.851, 0.851], "ratio stays 0.85, the features do not change (isometry 1"),
        ([0.851, 0.853, 0.852], "ratio stays 0.85 (isometry 1"),
        ([0.85, 0.5, 0.85], "ratio 0.85 → 0.85 (isometry 1"),
        ([2.12, 2.09], "ratio 2.12 → 2.09 (isometry 1"),
        ([0.85], "ratio 0.85 (isometry 1"),
    ],
)
def test_a_neural_distance_that_stays_is_said_to_stay(ratio, due):
    figure = neural_distance_figure(np.arange(len(ratio)), ratio, [[-1.0] * 3] * len(ratio), 2)
    assert due in title(figure)


def test_neural_distance_above_one_is_said_and_bad_input_is_refused():
    figure = neural_distance_figure([0], [1.3], [[0.1, 0.2, 0.3]], 3)
    assert "not closer" in title(figure)
    assert figure.axes[0].get_ylim()[1] > 1.3
    for arguments in (
        ([0], [1.0], [[0, 0, 0]], 1),
        ([0, 1], [1.0], [[0, 0, 0]], 3),
        ([0], [1.0], [0.0], 3),
        ([], [], [], 3),
    ):
        with pytest.raises(ValueError, match="allowed"):
            neural_distance_figure(*arguments)


def test_beside_theory_tells_the_largest_relative_gap():
    x = np.array([1.0, 10.0, 100.0])
    theory = 1 / x
    labels = {"x_label": "width (units)", "y_label": "variance (1)", "subject": "variance", "theory_name": "1/n"}
    figure = beside_theory_figure(x, theory * [1.0, 1.1, 0.95], theory, **labels)
    (axes,) = figure.axes
    assert title(figure) == "variance: at most 10 % from 1/n, at 10"
    dashed = next(line for line in axes.lines if line.is_dashed())
    np.testing.assert_array_equal(dashed.get_ydata(), theory)
    # Where theory is zero a share has no sense.
    assert "at most 0.2 (absolute)" in title(beside_theory_figure(x, [0.1, 0.2, 0], [0, 0, 0], **labels))
    with pytest.raises(ValueError, match="equal, not empty"):
        beside_theory_figure([], [], [], **labels)


def test_repeats_tell_mean_and_deviation_and_dash_the_record():
    figure = repeats_figure(
        {"CNN": [0.98, 0.99, 1.0], "one": [0.5]}, y_label="accuracy (share)", subject="faces", theory={"1997": 0.962}
    )
    (axes,) = figure.axes
    assert title(figure) == "faces: CNN (0.990 ± 0.010), one (0.5); 1 to 3 runs each"
    both = repeats_figure({"48": [9.74, 10.96], "3×16": [0.79, 5.0]}, y_label="%", subject="wrong")
    assert title(both) == "wrong: 48 (10.35 ± 0.86), 3×16 (2.9 ± 3.0); 2 runs each"
    assert dashed_heights(axes) == [0.962]
    dots = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert dots == [[0.98, 0.99, 1.0], [0.5]]
    (bar,) = axes.collections[0].get_segments()
    np.testing.assert_allclose(bar[:, 1], [0.98, 1.0])
    with pytest.raises(ValueError, match="at least one"):
        repeats_figure({"CNN": []}, y_label="", subject="")


def test_the_roc_figure_takes_curves_of_theory_and_marks_their_equal_error_rate():
    rng = np.random.default_rng(0)
    same, different = (torch.tensor(np.round(rng.normal(mean, size=200), 1)) for mean in (1.5, 0.0))
    _, false_accept, true_accept = receiver_curve(same, different)
    figure = roc_figure({"CNN": (false_accept.numpy(), true_accept.numpy())})
    (mark,) = [line.get_xydata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    rate = equal_error_rate(same, different).rate
    np.testing.assert_allclose(mark, [rate, 1 - rate])


def test_the_rates_of_a_mean_curve_are_those_of_its_splits():
    """The mean of two curves has an equal error rate of its own, which is not the mean of theirs."""
    curves, rates = {"CNN": ([0, 0.001, 1], [0, 0.9, 1])}, [0.01, 0.0165]
    figure = roc_figure(curves, errors={"CNN": rates}, pairs="90 pairs, mean of 2 splits")
    assert title(figure).startswith("CNN: equal error rate 1.33 ± 0.46 % on 90 pairs")
    (mark,) = [line.get_xydata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(mark, [0.01325, 0.98675])
    assert "CNN: EER 1.33 ± 0.46 %" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    beside = repeats_figure({"CNN": rates}, y_label="%", subject="EER in %", least=0, digits=2, scale=100)
    (dots,) = [line for line in beside.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots.get_ydata(), [1, 1.65])
    assert title(beside) == "EER in %: CNN (1.33 ± 0.46); 2 runs"
    assert percent_over_runs(rates) == "1.33 ± 0.46 %"


def test_a_bar_ends_where_values_cannot_be():
    figure = repeats_figure(
        {"untrained, one view": [0.0, 0.0, 3.0]}, y_label="%", subject="e", least=0, digits=2, theory={"1997": 3.8}
    )
    (axes,) = figure.axes
    (bar,) = axes.collections[0].get_segments()
    assert bar[0, 1] == 0
    assert -0.5 < axes.get_ylim()[0] < 0
    assert "untrained, one view" in [text.get_text() for text in axes.texts]


def test_the_roc_figure_marks_equal_errors_and_names_the_baselines():
    curves = {"CNN": ([0, 0.1, 1], [0, 0.9, 1]), "eigenfaces": ([0, 0.2, 1], [0, 0.8, 1])}
    figure = roc_figure(curves, threshold=(0.1, 0.9), pairs="90 pairs")
    (axes,) = figure.axes
    assert title(figure) == "CNN: equal error rate 10.0 % on 90 pairs; eigenfaces 20.0 %"
    marks = [line.get_xydata()[0].tolist() for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(marks, [[0.1, 0.9], [0.2, 0.8]])
    equal_errors = next(line for line in axes.lines if line.get_label() == "equal errors")
    np.testing.assert_allclose(equal_errors.get_xdata() + equal_errors.get_ydata(), 1)
    assert equal_errors.is_dashed()
    star = next(line for line in axes.lines if line.get_marker() == "*")
    assert star.get_xydata().tolist() == [[0.1, 0.9]]
    several = title(roc_figure({**curves, "pixels": ([0, 0.15, 1], [0, 0.85, 1])}))
    assert several == "CNN: equal error rate 10.0 %; best of the others: pixels 15.0 %"
    to_image(roc_figure({"perfect": ([0, 0, 1], [0, 1, 1])}))
    with pytest.raises(ValueError, match="at least one"):
        roc_figure({})


def test_the_overview_puts_train_and_val_together_and_theory_beside():
    charts = overview(["val/accuracy", "theory/accuracy", "gap/loss_over_chance", "lr/peak", "sys/grad_norm"])[
        "Overview"
    ]
    assert list(charts) == [
        "loss", "accuracy", "gap/loss_over_chance", "learning rate", "gradient norm", "samples per second",
    ]  # fmt: skip
    assert charts["loss"] == ["Multiline", ["train/loss$", "val/loss$"]]
    assert charts["accuracy"] == ["Multiline", ["train/accuracy$", "val/accuracy$", "theory/accuracy$"]]
    assert charts["learning rate"] == ["Multiline", ["lr/"]]


def test_the_overview_without_validation_promises_none():
    beside = {"loss": ["theory/floor"], "distance": ["val/distance", "theory/one"]}
    charts = overview(["train/loss"], beside)["Overview"]
    assert list(charts) == ["loss", "learning rate", "gradient norm", "samples per second"]
    assert charts["loss"] == ["Multiline", ["train/loss$", "theory/floor$"]]


def test_what_a_task_names_joins_its_chart_or_gets_one():
    beside = {"loss": ["theory/floor"], "distance": ["val/distance", "theory/one"]}
    charts = overview(["val/accuracy"], beside)["Overview"]
    assert charts["loss"][1] == ["train/loss$", "val/loss$", "theory/floor$"]
    assert charts["distance"][1] == ["val/distance$", "theory/one$"]
    assert list(charts)[:3] == ["loss", "accuracy", "distance"]


def test_a_chart_says_whose_it_is_unless_all_models_have_it():
    cnn, rbm = (overview(["val/loss"], {"loss": [f"theory/{model}"]}, model)["Overview"] for model in ("cnn", "rbm"))
    assert list(cnn) == ["loss (cnn)", "learning rate", "gradient norm", "samples per second"]
    assert {title for title in cnn.keys() & rbm.keys() if cnn[title] != rbm[title]} == set()
    assert logged({"Overview": cnn}, ["train/loss", "theory/cnn"]) == {
        "Overview": {"loss (cnn)": ["Multiline", ["train/loss$", "theory/cnn$"]]}
    }


def test_what_is_not_logged_is_left_out():
    layout = overview(["val/accuracy"])
    kept = logged(layout, ["train/loss", "val/accuracy", "lr/sgd", "val/losses"])["Overview"]
    assert kept == {
        "loss": ["Multiline", ["train/loss$"]],
        "accuracy": ["Multiline", ["val/accuracy$"]],
        "learning rate": ["Multiline", ["lr/"]],
    }


@pytest.mark.parametrize("tag", ["val/recall_c++", "a.b", "x(1)", "[y]", "p|q", "back\\slash", "val/recall_a-b c"])
def test_a_pattern_matches_its_own_tag_alone(tag):
    assert re.match(exactly(tag), tag)
    assert not re.match(exactly(tag), tag + "_step")


def test_a_point_in_a_tag_is_no_wildcard():
    assert not re.match(exactly("a.b"), "axb")


def test_equal_curves_are_called_equal_and_not_a_share_of_a_billionth():
    x = np.linspace(-1, 1, 5)
    labels = {"x_label": "z", "y_label": "dL/dz", "subject": "gradient", "theory_name": "σ(z) − y"}
    assert (
        title(beside_theory_figure(x, np.exp(x) * (1 + 1e-15), np.exp(x), **labels))
        == "gradient: σ(z) − y, to rounding"
    )
    # A true minus sign, as on the axes.
    assert title(beside_theory_figure(x, np.exp(x) * [1.5, 1, 1, 1, 1], np.exp(x), **labels)).endswith(", at −1")
