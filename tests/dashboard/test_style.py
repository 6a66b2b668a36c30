"""The common look: rendering once, safe names, pictures from batches, and no import of matplotlib before it is used."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dashboard import style
from dashboard.bands import bands_note
from dashboard.grid import fit, picture_grid
from dashboard.names import short_names
from dashboard.scales import logarithmic, power, short


def test_importing_the_figures_does_not_import_matplotlib():
    modules = (
        "calibration",
        "classification",
        "confusion",
        "curves",
        "grid",
        "layout",
        "names",
        "network",
        "roc",
        "style",
        "check",
    )
    code = "import sys\n" + "\n".join(f"import dashboard.{name}" for name in modules)
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint('matplotlib' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False"]


def test_save_writes_the_same_pixels_that_it_returns(tmp_path):
    figure, (axes,) = style.new_figure(4, 3)
    axes.plot([0, 1], [0, 1], color=style.BLUE)
    style.label(axes, "x (m)", "y (s)")
    style.finding(figure, "a finding")
    image = style.save(figure, tmp_path / "new" / "a.png")
    assert image.shape == (3 * style.DPI, 4 * style.DPI, 3)
    assert image.dtype == np.uint8
    with Image.open(tmp_path / "new" / "a.png") as written:
        np.testing.assert_array_equal(np.asarray(written), image)
    np.testing.assert_array_equal(style.to_image(figure), image)


def test_margins_are_in_inches_below_a_wrapped_title():
    figure, axes = style.new_figure(6, 4, columns=2, rows=2)
    style.finding(figure, "word " * 60, left=0.9, right=0.3, bottom=0.6, between=0.5, below=0.4)
    lines = figure.get_suptitle().count("\n") + 1
    assert lines > 2
    boxes = [one.get_position() for one in axes]
    assert boxes[0].x0 * 6 == pytest.approx(0.9)
    assert (1 - boxes[1].x1) * 6 == pytest.approx(0.3)
    assert boxes[2].y0 * 4 == pytest.approx(0.6)
    assert (boxes[1].x0 - boxes[0].x1) * 6 == pytest.approx(0.5)
    assert (boxes[0].y0 - boxes[2].y1) * 4 == pytest.approx(0.4)
    assert (1 - boxes[0].y1) * 4 > 0.19 * lines


@pytest.mark.parametrize("name", ["$x$", "a$b$c", "two\nlines", "\udcff\x00", "手書き", "", "_hidden", r"back\slash$"])
def test_any_class_name_can_be_drawn(name):
    figure, (axes,) = style.new_figure(3, 2)
    axes.plot([0, 1], [0, 1], label=style.plain(name) or "–")
    style.names_along(axes, x=[style.plain(name)], y=[style.plain(name)])
    style.finding(figure, style.plain(name))
    style.to_image(figure)


def test_a_dollar_is_shown_and_long_names_are_cut():
    from matplotlib.text import Text

    text = Text(0, 0, style.plain("a$b$"))
    assert text._preprocess_math(text.get_text()) == ("a$b$", False)
    assert style.plain("a" * 20 + "z" * 20, 10) == "aaaa…zzzzz"
    assert style.plain("words that end 1", 10) == "word…end 1"
    assert [style.plain("abcdef", width) for width in (1, 2, 3, 6)] == ["…", "…f", "a…f", "abcdef"]
    assert style.plain("x" * 10, 10) == "x" * 10
    assert style.plain("a\n b\t") == "a b"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["class of length 1", "class of length 25"], ["…1", "…25"]),
        (["cat", "dog"], ["cat", "dog"]),
        (["the dog", "the cat"], ["the dog", "the cat"]),  # short enough
        (["IMG20240101", "IMG20240102"], ["IMG2…40101", "IMG2…40102"]),  # no word in common
        (["old shapes, bars on a ground", "old shapes, disc on a ground"], ["…bars…", "…disc…"]),
        (["very long name", "very long name 2"], ["…name", "…name 2"]),
        (["a very long name", "a very long "], ["a ve…name", "a ve…long"]),  # nothing would be left of one
        (["a very long name"], ["a ve…name"]),
        (["price in $ of 1", "price in $ of 2"], ["…1", "…2"]),
        ([], []),
    ],
)
def test_long_names_lose_the_words_that_all_share(names, shown):
    assert short_names(names, 10) == shown


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(1, "100.0 %"), (0.9999, "> 99.9 %"), (0.9994, "99.9 %"), (0.989, "98.9 %"), (0.0001, "< 0.1 %"), (0, "0.0 %")],
)
def test_percent_never_rounds_to_all_or_nothing(fraction, text):
    assert style.percent(fraction) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.013061, "0.01306"), (1.3061e-5, "1.306·10⁻⁵"), (-2.6e9, "−2.6·10⁹"), (1e-13, "10⁻¹³"), (0.0, "0"),
     (9.99999e-4, "0.001"), (np.inf, "inf"), (np.nan, "nan")],
)  # fmt: skip
def test_a_number_in_a_title_is_written_as_on_an_axis(value, text):
    assert short(value) == text


def test_numbers_have_true_minus_signs_and_hyphens_stay():
    said = "L-BFGS 1.2e-10 from -3 at (-.5, 2), 64-128-64 units, class-mean, f(x)-2, a - b"
    assert style.true_minus(said) == "L-BFGS 1.2e−10 from −3 at (−.5, 2), 64-128-64 units, class-mean, f(x)-2, a - b"
    assert (style.signed(-0.25, 2), style.signed(0.25, 1, plus=True)) == ("−0.25", "+0.2")


def test_a_line_ends_neither_within_a_number_nor_at_a_hyphen():
    assert style.wrapped("none silent (below 1 % of all)", 20) == ["none silent (below", "1 % of all)"]
    assert style.wrapped("ratio 1.12 → 0.51 of ReLU, batch-norm", 33) == ["ratio 1.12 → 0.51 of ReLU,", "batch-norm"]
    assert style.wrapped("a → b → c → d → e", 8) == ["a → b →", "c → d →", "e"]  # no room for it all


def test_pictures_from_bytes_and_from_floats_are_equal():
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(style.as_pictures(colour), colour.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(style.as_pictures(colour / 255), style.as_pictures(colour))
    grey = style.as_pictures(colour[:, :1])
    assert grey.shape == (4, 5, 6, 3)
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize(("channels", "drawn"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])])
def test_of_many_channels_the_first_three_are_drawn_and_of_two_the_first(channels, drawn):
    images = np.random.default_rng(0).integers(0, 256, (2, channels, 5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(style.as_pictures(images), images[:, drawn].transpose(0, 2, 3, 1))
    note = {2: "of 2 channels the first as grey", 5: "of 5 channels the first three as red, green and blue"}
    assert bands_note(channels) == note.get(channels, "")


def test_logarithmic_axes_are_numbered_in_one_way():
    values = [1e-6, 3e-5, 0.001, 0.5, 1, 30, 1000, 1e4, 3e7, 1e12]
    texts = ["10⁻⁶", "3·10⁻⁵", "0.001", "0.5", "1", "30", "1,000", "10⁴", "3·10⁷", "10¹²"]
    assert [power(value) for value in values] == texts
    figure, (axes,) = style.new_figure(4, 3)
    axes.plot([1, 2], [1e-8, 1])
    logarithmic(axes, y=True)
    style.to_image(figure)
    assert "10⁻⁶" in {text.get_text() for text in axes.get_yticklabels()}


@pytest.mark.parametrize(
    ("low", "high", "due"),
    [
        (1.0, 60.0, ["1", "10"]),
        (0.15, 0.7, ["0.2", "0.5"]),
        (0.21, 0.29, ["0.22", "0.24", "0.26", "0.28"]),
        (1.9999, 2.0001, ["1.9999", "2", "2.0001"]),
        (2e-9, 2.6e-9, ["2·10⁻⁹", "2.2·10⁻⁹", "2.4·10⁻⁹", "2.6·10⁻⁹"]),
    ],
)
def test_an_axis_shorter_than_a_decade_has_numbers_too(low, high, due):
    figure, (axes,) = style.new_figure(6.2, 4)
    axes.plot([low, high], [0, 1])
    logarithmic(axes, x=True)
    axes.set_xlim(low, high)
    style.to_image(figure)
    shown = [tick for tick in axes.xaxis.get_major_ticks() if low * (1 - 1e-9) <= tick.get_loc() <= high * (1 + 1e-9)]
    assert [tick.label1.get_text() for tick in shown] == due


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 0, 8, 8)),
        np.zeros((8, 8)),
        np.full((1, 1, 2, 2), 1.5),
        np.full((1, 1, 2, 2), np.nan),
        np.zeros((1, 1, 2, 2), int),
    ],
)
def test_other_pictures_are_refused(images):
    with pytest.raises(ValueError, match="allowed"):
        style.as_pictures(images)


def test_small_pictures_are_enlarged_by_whole_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    large = fit(picture, 84)  # factor 10 leaves a margin of 2
    np.testing.assert_array_equal(large[7:82:10, 7:82:10], picture)
    assert (large[:2] == 255).all()


def test_large_pictures_keep_their_proportions_and_mean():
    picture = np.full((300, 150, 3), 77, dtype=np.uint8)
    small = fit(picture, 100)
    inside = (small == 77).all(-1)
    assert inside.any(1).sum() == 98  # 100 less the frame
    assert inside.any(0).sum() == 48


def test_the_mosaic_is_drawn_pixel_by_pixel():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    figure = picture_grid(pictures, [f"{i}" for i in range(5)], "five", columns=3, cell=60)
    (axes,) = figure.axes
    mosaic = axes.images[0].get_array()
    assert [text.get_text() for text in axes.texts] == list("01234")
    image = style.to_image(figure)
    box = axes.get_window_extent()
    left, top = round(box.x0), round(len(image) - box.y1)
    assert (left, top) == pytest.approx((box.x0, len(image) - box.y1), abs=1e-6)
    # Captions lie over the mosaic, so only the first row of pictures is compared.
    np.testing.assert_array_equal(image[top : top + 60, left : left + mosaic.shape[1]], mosaic[:60])
    assert len(np.unique(mosaic[:60])) > 50


def test_a_grid_of_nothing_has_only_its_title():
    figure = picture_grid([], [], "nothing here", columns=8)
    assert figure.axes == []
    assert figure.get_suptitle() == "nothing here"


def test_any_figure_of_matplotlib_is_rendered() -> None:
    from matplotlib.figure import Figure

    pixels = style.to_image(Figure(figsize=(2, 1), dpi=50, facecolor="red"))
    assert pixels.shape == (50, 100, 3)
    assert (pixels == (255, 0, 0)).all()
