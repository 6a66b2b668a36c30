"""Filters, feature maps and Grad-CAM: the colours and titles follow from the numbers."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dashboard.heat import signed_colours
from dashboard.network import feature_maps_figure, filters_figure, grad_cam_figure, half_heat_share
from dashboard.style import BLUE, VERMILLION
from tests.dashboard.titles import title


def mosaic(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def captions(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_signed_colours_at_the_ends_and_in_the_middle():
    blue, red = np.array(to_rgb(BLUE)) * 255, np.array(to_rgb(VERMILLION)) * 255
    colours = signed_colours([-2.0, -1.0, -0.5, 0.0, 1.0], 1.0)
    np.testing.assert_allclose(colours, [blue, blue, (blue + 255) / 2, [255] * 3, red], atol=0.51)


def test_filters_are_on_one_scale_and_weak_ones_are_counted():
    weight = np.zeros((3, 1, 3, 3))
    weight[0, 0, 1, 1], weight[1, 0, 1, 1], weight[2, 0, 1, 1] = 1.0, -0.5, 0.01
    figure = filters_figure(weight)
    assert figure.get_suptitle().replace("\n", " ") == (
        "3 first filters 1×3×3: norm 0.01 to 1.00; 1 below a tenth of the largest"
    )
    assert captions(figure) == ["1.00", "0.50", "0.01"]
    picture = mosaic(figure)
    # Cells of 52 pixels, 8 apart: the middles of the first two filters.
    np.testing.assert_array_equal(picture[26, 26], signed_colours(1.0, 1.0))
    np.testing.assert_array_equal(picture[26, 60 + 26], signed_colours(-0.5, 1.0))


def test_filters_of_colour_pictures_are_coloured_around_grey():
    weight = np.zeros((70, 3, 5, 5))
    weight[0, 0] = 0.2  # red
    figure = filters_figure(weight)
    assert mosaic(figure)[26, 26].tolist() == [255, 128, 128]
    assert len(captions(figure)) == 64
    assert "(first 64 shown)" in figure.get_suptitle()
    assert "5 of 5" not in filters_figure(np.ones((2, 5, 1, 1))).get_suptitle()
    with pytest.raises(ValueError, match="allowed"):
        filters_figure(np.ones((3, 3)))


def test_feature_maps_count_the_silent_ones():
    maps = np.zeros((5, 8, 8))
    maps[1:4] = [[[1.0]], [[2.0]], [[-4.0]]]
    figure = feature_maps_figure(np.zeros((1, 8, 8)), maps, "a 3")
    assert title(figure) == "5 feature maps 8×8 of a picture of “a 3”: 2 silent (below 1 % of the largest)"
    faint = feature_maps_figure(np.zeros((1, 8, 8)), [[[1.0]], [[0.009]], [[0.011]]])
    assert title(faint) == "3 feature maps 1×1: 1 silent (below 1 % of the largest)"
    one = feature_maps_figure(np.zeros((1, 8, 8)), [[[0.2]]])
    assert title(one) == "1 feature map 1×1: none silent (below 1 % of the largest)"
    assert captions(figure) == ["a 3", "0.00", "1.00", "2.00", "4.00", "0.00"]
    np.testing.assert_array_equal(mosaic(figure)[32, 2 * 72 + 32], signed_colours(1.0, 4.0))
    np.testing.assert_array_equal(mosaic(figure)[32, 4 * 72 + 32], signed_colours(-1.0, 1.0))
    with pytest.raises(ValueError, match="finite"):
        feature_maps_figure(np.zeros((1, 8, 8)), np.full((1, 2, 2), np.nan))


@pytest.mark.parametrize(
    ("heat", "share"), [(np.ones((4, 4)), 0.5), (np.eye(1, 100)[0], 0.01), ([3, 1, 1, 1], 0.25), ([1, 1, 1], 2 / 3)]
)
def test_half_of_the_heat(heat, share):
    assert half_heat_share(heat) == pytest.approx(share)


def test_no_heat_has_no_share():
    assert np.isnan(half_heat_share(np.zeros((2, 2))))


@pytest.mark.parametrize("channels", [1, 3])
def test_grad_cam_colours_the_hot_place_and_leaves_the_cold_ones(channels):
    images = np.full((2, channels, 8, 8), 0.5)
    heat = np.zeros((2, 8, 8))
    heat[:, 4, 4] = 3.0
    figure = grad_cam_figure(images, heat, [0, 1], [0, 0], ["cat", "dog"])
    assert figure.get_suptitle().replace("\n", " ") == (
        "Grad-CAM of 2 pictures, 1 right; half of the heat lies on 2 % of the picture (median)"
    )
    assert captions(figure) == ["cat", "heat", "✓ cat", "dog", "heat", "✗ cat"]
    colours = [text.get_color() for text in figure.axes[0].texts]
    assert colours[2] == BLUE
    assert colours[5] == VERMILLION
    picture = mosaic(figure)
    cell = 92  # 84 and the gap
    hot, cold = slice(44, 49), 8
    both = picture[:84, 2 * cell : 2 * cell + 84].astype(int)
    # A picture of 8 pixels is enlarged 10 times into 84: pixel (4, 4) has its middle at 2 + 45.
    assert both[hot, hot, 0].mean() - both[hot, hot, 2].mean() > 100
    assert both[cold, cold].tolist() == [128] * 3


def test_grad_cam_says_which_maps_are_blank_and_how_the_pictures_were_chosen():
    heat = np.ones((3, 4, 4))
    heat[1] = 0
    figure = grad_cam_figure(np.zeros((3, 1, 8, 8)), heat, [0, 1, 0], [0, 0, 0], ["cat", "dog"], chosen="the first")
    assert captions(figure)[1::3] == ["heat", "no heat", "heat"]
    assert figure.get_suptitle().replace("\n", " ") == (
        "Grad-CAM of 3 pictures (the first), 2 right; half of the heat lies on 50 % of the picture (median), "
        "no heat on 1 of them: nothing speaks for the guess"
    )


def test_a_note_is_not_cut_below_few_pictures():
    figure = grad_cam_figure(np.zeros((1, 1, 8, 8)), np.ones((1, 2, 2)), [0], [0], ["a"])
    assert figure.get_suptitle().startswith("Grad-CAM of 1 picture, 1 right")
    figure.canvas.draw()
    (note,) = figure.texts[1:]  # the first is the title
    box, mosaic_box = note.get_window_extent(), figure.axes[0].bbox
    assert "with the guess that the heat explains" in note.get_text().replace("\n", " ")
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= 0
    assert box.y1 <= mosaic_box.y0


def test_grad_cam_refuses_other_heat():
    images = np.zeros((1, 1, 8, 8))
    for heat in (-np.ones((1, 2, 2)), np.full((1, 2, 2), np.inf), np.ones((2, 2, 2)), np.ones((2, 2))):
        with pytest.raises(ValueError, match="allowed"):
            grad_cam_figure(images, heat, [0], [0], ["a"])
    assert "no heat" in grad_cam_figure(images, np.zeros((1, 2, 2)), [0], [0], ["a"]).get_suptitle()
    assert "no picture" in grad_cam_figure(images[:0], np.zeros((0, 2, 2)), [], [], ["a"]).get_suptitle()
