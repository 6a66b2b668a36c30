"""Functions as data: values against numpy, tables, noise, and everything a user may get wrong."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from data.function_files import read_grey_square, read_pairs
from data.functions import Functions, Picture, find_target
from theory.named_functions import TARGETS


@pytest.mark.parametrize(
    ("name", "due"),
    [
        ("square", lambda x: x**2),
        ("step-sine", lambda x: np.sin(4 * np.pi * x) + 0.5 * np.tanh(200 * (x - 0.37))),
        ("runge", lambda x: 1 / (1 + 25 * (2 * x - 1) ** 2)),
        ("weierstrass", lambda x: sum(0.5**k * np.cos(3**k * np.pi * x) for k in range(4))),
        ("step", lambda x: (x >= 0.5) * 1.0),
        ("exp(-x)*sin(9*x)", lambda x: np.exp(-x) * np.sin(9 * x)),
    ],
)
def test_values_are_those_of_numpy(name, due) -> None:  # type: ignore[no-untyped-def]
    data = Functions(name, num_samples=100)
    x, y, clean, test_x, test_y = data.samples()
    np.testing.assert_allclose(x, (np.arange(100) + 0.5) / 100)
    np.testing.assert_allclose(y, due(x.numpy()), atol=1e-12)
    np.testing.assert_allclose(test_y, due(test_x.numpy()), atol=1e-12)
    assert torch.equal(y, clean)
    assert len(test_x) == 400
    assert not set(test_x.tolist()) & set(x.tolist())


def test_an_interval_is_scaled_to_the_unit_one() -> None:
    data = Functions("x^2", low=-2, high=4, num_samples=6)
    samples = data.samples()
    np.testing.assert_allclose(samples.y, np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 3.5]) ** 2)
    assert data.facts() == {"function": "x^2", "low": -2.0, "high": 4.0, "num_inputs": 1, "noisy": False}


def test_a_surface_has_x_across_and_y_down() -> None:
    data = Functions("x + 10*y", num_samples=4)
    np.testing.assert_allclose(data.samples().y, [0.25 + 2.5, 0.75 + 2.5, 0.25 + 7.5, 0.75 + 7.5])
    assert data.facts()["num_inputs"] == 2


def test_noise_has_the_size_asked_for_and_leaves_the_clean_values() -> None:
    data = Functions("sine", noise=0.1, noise_seed=3)
    samples = data.samples()
    size = (samples.y - samples.clean).std() / samples.clean.std(correction=0)
    assert float(size) == pytest.approx(0.1, rel=4 / math.sqrt(2 * 4096))
    assert torch.equal(samples.y, Functions("sine", noise=0.1, noise_seed=3).samples().y)
    assert not torch.equal(samples.y, Functions("sine", noise=0.1, noise_seed=4).samples().y)


def test_a_table_is_sorted_and_scaled(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("time, height\n3, 9\n1; 1\n2\t4\n\n5 25\n")
    data = Functions(str(path))
    samples = data.samples()
    np.testing.assert_allclose(samples.x, [0, 0.25, 0.5, 1])
    np.testing.assert_allclose(samples.y, [1, 4, 9, 25])
    assert data.facts()["low"] == 1
    assert data.facts()["high"] == 5
    assert data.summary()["splits"] == {"train": 4, "val": 0, "test": 4}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2\n3,nan\n", "line 2.*not finite"),
        ("1,2\n3,inf\n", "line 2.*not finite"),
        ("1,2\n3\n", "line 2: expected two numbers"),
        ("1,2\n3,4,5\n", "line 2: expected two numbers"),
        ("1,2\n", "samples is 1; allowed: 2 to"),
        ("", "samples is 0; allowed"),
        ("1,2\n1,3\n", "all samples lie at x = 1"),
        ("1,2\n3,1e300\n", "line 2.*beyond 1e.100, whose square overflows"),
        ("0,1o\n1,2\n2,3\n", "line 1: expected two numbers"),  # a slip, no names of columns
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as caught:
        read_pairs(path)
    assert str(caught.value).startswith(f"--data.function {path}")


def test_mistakes_are_named(tmp_path: Path) -> None:
    for options, says in (
        ({"function": "runeg"}, "did you mean 'runge'"),
        ({"function": "zzz"}, "known: square"),
        ({"function": "2x"}, "is no formula"),
        ({"function": "sin(x"}, "is no formula"),
        ({"function": "step-sin"}, "did you mean 'step-sine'"),
        ({"num_samples": 1}, "--data.num_samples must be between 2 and 8,192, got 1"),
        ({"noise": -1.0}, "noise"),
        ({"steps": 10**12}, "--data.steps must be between 1 and 100,000, got 1000000000000"),
        ({"noise_seed": -1}, "--data.noise_seed must be at least 0, got -1"),
        ({"noise": 1e30}, "--data.noise must be between 0 and 1,000,000, got 1e"),
        ({"low": 2.0}, "must be below"),
        ({"steps": 0}, "steps"),
    ):
        with pytest.raises(ValueError, match=says):
            Functions(**options)
    for formula, says in (
        ("log(x - 0.5)", "nan at x = .*choose --data.low and --data.high, or another formula"),
        ("1/(x-0.5)", "is (inf|nan) at x = 0.5"),
        ("1e200*x", "goes beyond 1e.100, whose square overflows"),
        ("1/0", "'1/0' is inf everywhere: write a formula of finite values"),
    ):
        with pytest.raises(ValueError, match=says):
            Functions(formula, num_samples=3).setup()
    with pytest.raises(ValueError, match=r"--data.function .*missing.csv: No such file"):
        Functions(str(tmp_path / "missing.csv")).setup()
    with pytest.raises(ValueError, match=r"--data.function .* is a folder"):
        Functions(str(tmp_path))
    (tmp_path / "there.csv").write_text("0,0\n1,1\n")
    with pytest.raises(ValueError, match="own interval"):
        Functions(str(tmp_path / "there.csv"), low=0.0)


def test_what_is_known_holds_on_the_usual_interval_only() -> None:
    assert find_target("square", None, None)[1].constant == TARGETS["square"].constant
    assert find_target("square", 0.0, 2.0)[1].constant is None
    assert find_target("step", 0.6, 1.0)[1].jump is None


def test_a_picture_is_a_function_of_two_variables(tmp_path: Path) -> None:
    from PIL import Image

    grey = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    Image.fromarray(grey).save(tmp_path / "small.png")
    samples = Picture(str(tmp_path / "small.png")).samples()
    np.testing.assert_allclose(samples.y.reshape(4, 4), grey[:, 1:5] / 255)
    # the second pixel of the first row lies to the right
    np.testing.assert_allclose(samples.x[1], [3 / 8, 1 / 8])
    halved = read_grey_square(str(tmp_path / "small.png"), 2)
    np.testing.assert_allclose(halved[0, 0], grey[:2, 1:3].mean() / 255, atol=1 / 255)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")  # 16 bits are scaled, not clipped
    np.testing.assert_array_equal(read_grey_square(str(tmp_path / "deep.png"), 4), samples.y.reshape(4, 4))
    assert len(Picture("face").samples().y) == 625
    assert Functions("camera", num_samples=100).facts()["num_inputs"] == 2


def test_pictures_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"--data.function .*bad.png: is no picture"):
        Picture(str(tmp_path / "bad.png")).setup()
    with pytest.raises(ValueError, match=r"--data.function .*missing.png: no such file"):
        Picture(str(tmp_path / "missing.png")).setup()
    with pytest.raises(ValueError, match="camera, face"):
        Picture("square")
    with pytest.raises(ValueError, match="unit square"):
        Functions("camera", low=0.0)


def test_a_heading_that_names_y_first_is_heeded(tmp_path: Path) -> None:
    file = tmp_path / "swapped.csv"
    file.write_text("y,x\n5,0\n7,1\n")
    x, y = read_pairs(file)
    assert (x.tolist(), y.tolist()) == ([0, 1], [5, 7])


def test_a_table_that_is_no_function_says_so(tmp_path: Path) -> None:
    file = tmp_path / "torn.csv"
    file.write_text("0,1\n0.5,2\n0.5,7\n1,3\n1,3\n")
    source = Functions(str(file)).summary()["source"]
    assert source == "read from a file; 1 of its places x have several values, which no function takes"
    file.write_text("0,1\n0.5,2\n1,3\n1,3\n")
    assert Functions(str(file)).summary()["source"] == "read from a file"
