"""Deep against wide: shapes of equal budget, networks that do not disturb each other, runs, and refusals."""

import json
import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import train
from dashboard.style import to_image
from models.deep_vs_wide import DeepVsWideTask, check_view, three_points
from models.depth.counting import Slice
from models.depth.history import History, bounds_of, counting_epochs
from models.depth.pictures import pictures
from models.depth.results import Result, standard_errors
from models.depth.shapes import equal_neurons, equal_parameters, parameters, same_budget, shape_name
from models.depth.stack import Stack, sequential_layers
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from theory.regions.bounds import arrangement
from theory.regions.count import count_regions, square
from theory.regions.network import outputs

SMALL = ["--model.neurons", "8", "--model.depths", "[1,2]", "--model.num_networks", "2", "--data.num_points", "80"]
SMALL += ["--data.num_test", "50", "--device", "cpu"]


def run(words: list[str], root: Path, status: int = 0) -> Path:
    assert train.main(["--model", "deep-vs-wide", *words, "--root", str(root)]) == status
    (folder,) = root.glob("*/*")
    return folder


def test_one_network_is_told_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL[:4], "--model.num_networks", "1", *SMALL[6:], "--epochs", "1", "--report", "none"]
    run(words, tmp_path)
    out = capsys.readouterr().out
    assert "1 network of each shape" in out
    assert "one network each: no deviation, so no verdict" in out


def test_equal_neurons() -> None:
    assert equal_neurons(48, 3) == [16, 16, 16]
    assert equal_neurons(10, 3) == [4, 3, 3]
    assert [shape_name(w) for w in ([48], [16] * 3, [4, 3, 3])] == ["48", "3×16", "3×3–4"]


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_equal_parameters_is_the_widest_that_fits(depth: int) -> None:
    limit = parameters([100], 2, 2)
    widths = equal_parameters(limit, depth, 2, 2)
    assert parameters(widths, 2, 2) <= limit < parameters(equal_neurons(sum(widths) + 1, depth), 2, 2)
    made = nn.Sequential(*[nn.Linear(a, b) for a, b in zip([2, *widths], [*widths, 2], strict=True)])
    assert sum(p.numel() for p in made.parameters()) == parameters(widths, 2, 2)
    assert same_budget("parameters", 100, [1, depth], 2, 2)[0] == [100]


def test_a_stack_is_its_networks_one_by_one() -> None:
    torch.manual_seed(0)
    stack = Stack(3, [2, 5, 4, 2], 0.2)
    x = torch.randn(20, 2)
    for network, out in enumerate(stack(x)):
        due = outputs(stack.layers(network), x.double().numpy())
        assert np.abs(due - out.detach().numpy()).max() < 1e-5


def test_networks_trained_together_are_as_if_trained_alone() -> None:
    torch.manual_seed(0)
    together = Stack(2, [2, 6, 1], 0.0)
    alone = Stack(1, [2, 6, 1], 0.0)
    alone.load_state_dict({name: value[1:] for name, value in together.state_dict().items()})
    x, y = torch.randn(30, 2), torch.randn(30)
    for stack in (together, alone):
        optimiser = torch.optim.Adam(stack.parameters(), lr=0.01)
        for _ in range(20):
            optimiser.zero_grad()
            (stack(x)[..., 0] - y).square().mean(1).sum().backward()
            optimiser.step()
    assert torch.allclose(together.weights[0][1:], alone.weights[0], atol=1e-6)


def test_random_starts_have_the_deviations_said() -> None:
    torch.manual_seed(0)
    stack = Stack(400, [2, 50, 1], 0.2)
    assert float(stack.weights[0].detach().std()) == pytest.approx((2 / (1.04 * 2)) ** 0.5, rel=0.02)
    assert float(stack.biases[0].detach().std()) == pytest.approx(0.3, rel=0.02)
    where = Slice(-1.0, 1.0, 2, 10_000)
    counts = [where.count(stack.layers(network)) for network in range(400)]
    due = bounds_of([50], where, 0.2).expected
    assert due is not None
    assert np.mean(counts) == pytest.approx(due, abs=4 * np.std(counts) / 20)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.2)])
def test_a_sequential_as_arrays(activation: nn.Module) -> None:
    torch.manual_seed(1)
    inner = nn.Sequential(nn.Linear(7, 6), activation)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 7), nn.Dropout(0.5), activation, inner, nn.Linear(6, 3)).eval()
    layers = sequential_layers(network)
    x = torch.randn(10, 2, 2)
    assert np.abs(outputs(layers, x.flatten(1).double().numpy()) - network(x).detach().numpy()).max() < 1e-5
    assert len(layers) == 3


def test_an_unsupported_layer_is_named() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.Tanh()))
    with pytest.raises(
        ValueError, match=r"network\.1\.1 is Tanh; regions are counted for Linear, ReLU and LeakyReLU only"
    ):
        sequential_layers(network)
    with pytest.raises(ValueError, match="network has no Linear layer"):
        sequential_layers(nn.Sequential(nn.Flatten()))


def test_the_slope_of_a_region_is_the_gradient_there() -> None:
    torch.manual_seed(2)
    stack = Stack(1, [2, 8, 8, 2], 0.0)
    found, slopes = Slice(-1.0, 1.0, 2, 10_000).polygons(stack.layers(0))
    assert len(found) == count_regions(stack.layers(0), square(1.0))
    for index in range(0, len(found), 7):
        x = torch.tensor(found.centres()[index], dtype=torch.float32).requires_grad_()
        logits = stack(x[None])[0, 0]
        (gradient,) = torch.autograd.grad(logits.max() - logits.min(), x)
        assert float(gradient.norm()) == pytest.approx(slopes[index], rel=1e-3, abs=1e-5)


def test_a_run_counts_within_its_bounds_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run([*SMALL, "--epochs", "2"], tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["theory/regions_upper_depth_1"] == arrangement(8, 2)
    for depth in (1, 2):
        assert 1 <= metrics[f"test/regions_depth_{depth}"] <= metrics[f"theory/regions_upper_depth_{depth}"]
        assert 0 <= metrics[f"test/error_depth_{depth}"] <= 1
    assert metrics["test/sawtooth_pieces"] == metrics["theory/sawtooth_pieces"] == 1024
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert drawn == {"regions", "errors", "regions_beside_bounds", "regions_in_training", "written_down"}
    assert "standard errors" in capsys.readouterr().out

    # Its networks are counted as another run's checkpoint, on the same slice.
    words = [*SMALL, "--epochs", "1", "--report", "none", "--model.checkpoint", str(folder)]
    run(words, tmp_path / "again")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("checkpoint")]
    stack = DeepVsWideTask.load_from_checkpoint(folder / "checkpoints/last.ckpt", weights_only=True).stacks[0]
    assert f"{count_regions(stack.layers(0), square(1.0)):,} linear regions" in lines[0]
    assert len(lines) == 2


def test_the_regions_told_are_those_of_the_networks_that_were_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``best.ckpt`` is tested, and need not be the last."""
    monkeypatch.setattr(DeepVsWideTask, "validation_step", lambda task, *_: task.log("val/loss", task.current_epoch))
    words = ["--data", "digits", "--epochs", "8", "--report", "none", *SMALL[:6], "--device", "cpu"]
    more = ["--data.batch_size", "2", "--trainer.limit_train_batches", "20", "--data.val_fraction", "0.1"]
    folder = run([*words, *more], tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    best = DeepVsWideTask.load_from_checkpoint(folder / "checkpoints/best.ckpt", weights_only=True)
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["regions"]["counts"][-1]
    assert best.plane.unique(dim=0).shape[0] == 3
    for depth, stack, late in zip((1, 2), best.stacks, last, strict=True):
        counts = [best.where().count(stack.layers(network)) for network in range(len(stack.weights[0]))]
        assert metrics[f"test/regions_depth_{depth}"] == pytest.approx(statistics.mean(counts))
        assert counts != late


@pytest.mark.parametrize("data", ["depth-targets", "digits"])
def test_other_data(data: str, tmp_path: Path) -> None:
    words = ["--data", data, "--epochs", "1", "--report", "none", *SMALL[:6], "--device", "cpu"]
    folder = run([*words, "--model.activation", "leaky_relu", "--model.budget", "parameters"], tmp_path)
    assert json.loads((folder / "metrics.json").read_text())["test/regions_depth_2"] >= 1


def test_stop_and_resume_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--model", "deep-vs-wide", *SMALL, "--data.batch_size", "20", "--epochs", "3", "--report", "none"]
    whole, half = stopped_and_resumed(DeepVsWideTask, words, tmp_path, (1, 2), monkeypatch)
    assert_equal_runs(whole, half)
    one, other = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (whole, half))
    assert one["regions"] == other["regions"]
    assert one["regions"]["epochs"] == [0, 1, 2, 3]


def findings_of(shapes: list[list[int]], slope: float = 0.0) -> tuple[Result, dict[str, str]]:
    """Of networks whose counts and errors are all the same."""
    where, history = Slice(-1.0, 1.0, 2, 1000), History()
    counts = [[5.0, 5.0]] * len(shapes)
    history.epochs, history.counts = [0, 1], [counts] * 2
    bounds = [bounds_of(widths, where, slope) for widths in shapes]
    result = Result(shapes, [[0.1, 0.1]] * len(shapes), counts, history, bounds, where, True, "rings", {})
    return result, dict(result.findings())


def test_orders_and_bounds_are_those_of_each_shape() -> None:
    equal, lines = findings_of([[48], [24, 24]])
    assert "mean at random weights, order without its constant: 1,152, whatever the depth" in lines["regions"]
    assert "(some network of the shape has 43,344)" in lines["2×24 neurons"]
    equal.trained[1] = [50_000.0, math.nan]
    assert "(some network of the shape has 50,000)" in dict(equal.findings())["2×24 neurons"], "more than the source"
    equal.trained[1] = [5.0, 5.0]
    assert "48 has 5 ± 0 of 1,177, 2×24 has 5 ± 0 of 90,601" in equal.bounds_text()
    # At most as many parameters as 48 neurons in one layer: fewer neurons with depth.
    _, lines = findings_of([[48], [12, 13]])
    assert "order without its constant: 1,152, 312, by the number of neurons alone" in lines["regions"]
    # 4 neurons: 11 regions at most in one layer and in two, fewer in four; a layer of one unit folds nothing.
    small, lines = findings_of([[4], [2, 2], [1, 1, 1, 1]])
    assert [one.upper for one in small.bounds] == [11, 11, 5]
    assert "some network" not in lines["4×1 neurons"]
    assert "theory/regions_lower_depth_4" not in small.metrics()
    assert "grows" not in small.bounds_text()


def test_a_difference_below_3_standard_errors_is_not_told_apart() -> None:
    found, _ = findings_of([[4], [2, 2]])
    found.errors = [[0.10, 0.12], [0.14, 0.15]]  # variances of the means 1e-4 and 2.5e-5: 0.035 / 0.01118
    assert found.beside_wide(1) == " (worse than wide by 3.1 s.e.)"
    found.errors[1] = [0.13, 0.14]  # 0.025 / 0.01118
    assert found.beside_wide(1) == " (not told apart from wide: 2.24 s.e., below 3)"


def test_a_title_of_counts_that_are_not_known_or_of_bounds_beyond_a_float() -> None:
    shapes = [[4], [2, 2]]
    found, _ = findings_of(shapes)
    found.trained, found.errors = [[math.nan], [8.0]], [[0.1]] * 2
    found.history.counts = [found.trained] * 2
    found.bounds[1] = replace(found.bounds[1], upper=10**400)
    title = found.bounds_text()
    assert title.endswith("4 has too many to count, at most 11, 2×2 has 8 of 10^400")
    drawn = dict(pictures(found, [Stack(1, [2, *widths, 2], 0.0) for widths in shapes]))
    names = [str(line.get_label()) for line in drawn["regions_beside_bounds"].axes[0].lines]
    assert "order at random (Hanin and Rolnick), without its constant" in names
    upper = next(line for line in drawn["regions_beside_bounds"].axes[0].lines if "upper" in str(line.get_label()))
    assert [float(value) for value in upper.get_ydata()] == [11.0, math.inf]
    assert to_image(drawn["regions_beside_bounds"]).std() > 0


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (
            [[0.1], [0.2]],
            "one network each: no deviation, so no verdict; test error wide 48 10.00 %, best deep 2×24 20.00 %",
        ),
        ([[0.1, 0.1], [0.1, 0.1]], "no verdict: the networks of a shape do not differ, so there is no standard error;"),
        ([[0.1, 0.2], [0.1, 0.3]], "neither wins: wide and best deep are within 3 standard errors;"),
        ([[0.10, 0.11], [0.30, 0.31]], "wide wins by 28.3 standard errors;"),
    ],
)
def test_a_verdict_needs_a_standard_error(errors: list[list[float]], said: str) -> None:
    found, _ = findings_of([[48], [24, 24]])
    found.errors = errors
    assert found.verdict().startswith(said)
    assert "1 networks" not in found.verdict()


@pytest.mark.parametrize(("count", "said"), [(1, "1 network of each shape: "), (2, "2 networks of each shape: ")])
def test_a_single_network_is_one(count: int, said: str) -> None:
    assert DeepVsWideTask(["a", "b"], in_features=2, box=[-1.0, 1.0], num_networks=count).describe().startswith(said)


def test_the_lower_bound_is_that_of_relu_only() -> None:
    leaky, lines = findings_of([[48], [24, 24]], slope=0.2)
    assert not any("some network" in text for text in lines.values())
    assert not any(name.startswith("theory/regions_lower") for name in leaky.metrics())


def test_small_parts() -> None:
    assert counting_epochs(30) == [0, 1, 2, 4, 8, 16, 30]
    assert check_view([], [0.0, 1.0]) == []
    points = torch.arange(12.0).view(6, 2)
    assert torch.equal(three_points(points, torch.tensor([1, 1, 0, 0, 2, 2])), points[[2, 0, 4]])
    assert torch.equal(three_points(points, torch.tensor([1, 1, 0, 0, 1, 1])), points[[2, 0, 1]])
    assert standard_errors([1.0, 3.0], [0.0, 0.0]) == pytest.approx(2.0)
    history = History()
    torch.manual_seed(0)
    history.add(0, [Stack(1, [2, 20, 1], 0.0)], Slice(-1.0, 1.0, 2, 5))
    assert np.isnan(history.counts[0][0][0])
    assert "more than 5 linear regions" in history.most


def test_the_lines_of_an_mlp_run_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--model",
        "mlp",
        "--data.num_samples",
        "300",
        "--data.steps",
        "4",
        "--model.widths",
        "[3,5]",
        "--device",
        "cpu",
    ]
    words += ["--model.seeds", "1", "--model.compare", "false", "--report", "none", "--data.function", "square"]
    for name, more in (("lines", []), ("tanh", ["--model.activation", "tanh"])):
        assert train.main([*words, "--epochs", "2", *more, "--root", str(tmp_path / name)]) == 0
    (lines,), (tanh,) = ((tmp_path / name).glob("*/*") for name in ("lines", "tanh"))
    small = ["--data", "depth-targets", *SMALL[:6], "--epochs", "1", "--report", "none", "--device", "cpu"]
    capsys.readouterr()
    run([*small, "--model.checkpoint", str(lines)], tmp_path / "again")
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("checkpoint")]
    assert [int(line.split(" linear regions")[0].split()[-1]) for line in printed] == [3, 5]

    for folder, data, said in ((tanh, small, "activation tanh"), (lines, SMALL, "takes 1 inputs, the data has 2")):
        refused = ["--model", "deep-vs-wide", *data, "--model.checkpoint", str(folder), "--root", str(tmp_path / "no")]
        assert train.main(refused) == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error
