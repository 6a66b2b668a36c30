"""Figures of codes: what is drawn is what was given, and the title follows from it."""

import numpy as np
import pytest

from dashboard.coding import (
    code_map_figure,
    denoising_figure,
    eigenpictures_figure,
    interpolation_figure,
    reconstructions_figure,
    signed_pictures,
)
from dashboard.compression import anomalies_figure, compression_figure, convergence_figure
from dashboard.style import to_image
from tests.dashboard.titles import title


def pictures(*shape):
    return np.random.default_rng(0).random((*shape, 1, 6, 6))


def test_rows_of_reconstructions_carry_their_errors():
    rows = [("picture", pictures(4), None), ("ours", pictures(4), [1.0, 2.0, 3.0, 4.5])]
    figure = reconstructions_figure(rows, 2.625, 5.0, 8)
    captions = [text.get_text() for text in figure.axes[0].texts]
    assert captions == ["picture"] * 4 + ["ours: 1", "ours: 2", "ours: 3", "ours: 4.5"]
    assert title(figure) == "8 numbers a picture: squared error 2.62, with PCA 5 (mean of all)"
    assert title(reconstructions_figure(rows, 2.625, 5.0, 1)).startswith("1 number a picture")
    assert to_image(figure).shape[2] == 3


def test_a_signed_picture_is_grey_at_zero_and_never_divides_by_it():
    values = np.array([[[[0.0, 2.0], [-2.0, 1.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    drawn = signed_pictures(values)[..., 0]
    assert drawn[0].tolist() == [[128, 255], [0, 191]]
    assert (drawn[1] == 128).all()


def test_eigenpictures_tell_their_share_of_the_variance():
    figure = eigenpictures_figure(pictures(3) - 0.5, [0.5, 0.25, 0.125], 9)
    assert title(figure) == "first 3 of 9 principal directions: together 87.5 % of the variance"
    assert [text.get_text() for text in figure.axes[0].texts][1] == "2: 25.0 %"


def test_a_double_exposure_is_greyer():
    ours, pca = np.zeros((1, 3, 1, 4, 4)), np.full((1, 3, 1, 4, 4), 0.5)
    text = title(interpolation_figure(ours, pca))
    assert "0.50 along the code, 0.00 along PCA" in text


@pytest.mark.parametrize("classes", [3, 40])
def test_a_map_of_codes_draws_every_point_and_colours_few_classes(classes):
    labels = np.arange(80) % classes
    names = [f"class {label}" for label in range(classes)]
    figure = code_map_figure(np.random.default_rng(0).normal(size=(80, 2)), labels, names, 0.4, {"code": 0.75})
    (axes,) = figure.axes
    assert sum(len(line.get_xdata()) for line in axes.lines) == 80
    assert (axes.get_legend() is not None) == (classes <= 10)
    assert "code 0.75" in title(figure)
    assert to_image(figure).std() > 0


def test_ten_classes_have_ten_looks():
    plane = np.random.default_rng(0).normal(size=(30, 2))
    names = [f"class {place}" for place in range(10)]
    figure = code_map_figure(plane, np.arange(30) % 10, names, 0.4, {})
    (axes,) = figure.axes
    looks = {(line.get_color(), line.get_markerfacecolor() == "none") for line in axes.lines}
    assert len(looks) == 10  # without the shape of a marker of 4 points
    assert [text.get_text() for text in axes.get_legend().get_texts()] == names


@pytest.mark.parametrize(("classes", "axis"), [(2, "class"), (40, "class (number)")])
def test_codes_of_one_number_have_a_row_for_each_class_and_no_second_direction(classes, axis):
    codes, labels = np.random.default_rng(0).normal(size=(80, 1)), np.arange(80) % classes
    names = [f"name {place}" for place in range(classes)]
    figure = code_map_figure(codes, labels, names, 1.0, {"code": 0.75})
    (axes,) = figure.axes
    drawn = np.concatenate([line.get_xydata() for line in axes.lines])
    assert {tuple(pair) for pair in drawn} == set(zip(codes[:, 0], labels, strict=True))
    assert axes.get_xlabel() == "the one number of the code"
    assert axes.get_ylabel() == axis
    assert [text.get_text() for text in axes.texts] == (names if classes == 2 else [])
    assert title(figure).startswith("codes of one number, each picture a stroke in the row of its class; k-means")
    assert "variance" not in title(figure)


def test_denoising_counts_the_errors_of_what_it_draws():
    clean = np.full((2, 1, 2, 2), 0.5)
    rows = {"clean": clean, "noisy": clean + 0.5, "network": clean, "Wiener": clean + 0.1, "score": clean}
    figure = denoising_figure(rows, 0.3, 1.25, 2.5)
    captions = [text.get_text() for text in figure.axes[0].texts]
    assert captions[2] == "noisy: 1"
    assert captions[4] == "network: 0"
    assert captions[8:] == ["score", "score"]
    assert "1.25 by the network, 2.5 by the best linear filter" in title(figure)


def test_compression_tells_how_many_numbers_pca_needs():
    curves = {"PCA": ([1, 2, 4, 8], [10, 15, 20, 300]), "DCT": ([1, 2], [9, 12])}
    figure = compression_figure(curves, {"autoencoder": (2, 19.0)})
    assert title(figure) == "autoencoder: 19.0 dB from 2 numbers a picture; PCA needs 4 for the same"
    assert figure.axes[0].get_ylim()[1] == 52
    better = "from 1 number a picture; PCA with as many is better: 10.0 dB"
    assert better in title(compression_figure(curves, {"autoencoder": (1, 9.0)}))
    assert "PCA does not reach it" in title(compression_figure({"PCA": ([1], [3.0])}, {"autoencoder": (2, 19.0)}))


def test_anomalies_show_both_kinds_and_the_area():
    errors = {"code": ([1, 2, 3], [4, 5, 6], 1.0), "pca": ([1, 1, 1], [1, 1, 1], 0.5)}
    figure = anomalies_figure(errors, 8)
    assert "by autoencoder alone: AUC 1.000 by autoencoder and 0.500 by PCA" in title(figure)
    assert "last bar: and all above" in figure.axes[0].get_xlabel()
    assert "pictures not told from" in title(anomalies_figure({"pca": errors["pca"]}, 8))
    figure.canvas.draw()
    assert figure.axes[0].get_legend().get_window_extent().y0 >= figure.axes[0].bbox.y1
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "pictures: mean 2",
        "Gaussian, same covariance: mean 5",
    ]


def test_convergence_draws_the_rate_of_subspace_iteration_from_the_polish_on():
    figure = convergence_figure([0, 10, 20, 30], [1.0, 1e-2, 1e-4, 0.0], 0.5, 10)
    measured, theory = (line for line in figure.axes[0].lines if len(line.get_xdata()) > 2)
    assert measured.get_ydata().tolist() == [1.0, 1e-2, 1e-4, 1e-16]
    np.testing.assert_allclose(theory.get_ydata(), 1e-2 * 0.5 ** np.array([0, 10, 20]))
    assert theory.is_dashed()
    assert title(figure) == "relative gap to PCA's loss: 1 at the start, 0 at the end"
