"""Autoencoders: each kind against what it must be, the run against its contract, bad input in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import train
from models.autoencoder import AutoencoderTask
from models.coding.layerwise import layer_error, stage_at, staged_factor
from models.coding.linear import LinearAutoencoder, lbfgs
from models.coding.networks import Autoencoder, Convolutional, Dense
from models.coding.reference import HALF_WIDTH, MNIST_DEEP_30, MNIST_PCA_30, Reference, is_mnist
from models.coding.results import Result, agreement, gaussian_twins, squared_errors
from tests.models.resuming import assert_equal_runs, stopped_and_resumed
from tests.refusals import refused
from tests.runs import only_run
from theory.linear_autoencoder import least_loss
from theory.principal import mean_and_covariance, principal, projection_errors

QUICK = ["--device", "cpu", "--report", "none"]


def pictures(count: int, size: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, size, size), generator=generator).to(torch.uint8)


def run(root: Path, *words: str) -> dict[str, Any]:
    assert train.main(["--model", "autoencoder", "--root", str(root), *QUICK, *words]) == 0
    metrics: dict[str, Any] = json.loads((only_run(root) / "metrics.json").read_text())
    return metrics


def test_a_code_of_one_number_is_told_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run(tmp_path, "--model.sizes", "[1]", "--epochs", "1")
    out = capsys.readouterr().out
    times = metrics["test/squared_error"] / metrics["theory/pca_squared_error"]
    assert "from a code of 1 number (" in out
    assert f"with 1 number, ours × {times:.4f};" in out


def test_a_dense_network_is_the_chain_of_its_layers() -> None:
    torch.manual_seed(0)
    network = Dense(12, [7, 3], "silu")
    chain = nn.Sequential(
        network.encoder[0], nn.SiLU(), network.encoder[1], network.decoder[0], nn.SiLU(), network.decoder[1]
    )
    x = torch.randn(5, 1, 3, 4)
    assert torch.allclose(network.decode(network.encode(x)), chain(x.flatten(1)), atol=1e-6)


def test_tied_weights_are_one_matrix_for_both_directions() -> None:
    network = Dense(12, [7, 3], "tanh", tied=True)
    assert sum(p.numel() for p in network.parameters()) == 12 * 7 + 7 + 7 * 3 + 3 + 7 + 12
    x = torch.randn(5, 12)
    hidden = torch.tanh(x @ network.encoder[0].weight.T + network.encoder[0].bias)
    code = hidden @ network.encoder[1].weight.T + network.encoder[1].bias
    assert network.biases is not None
    back = torch.tanh(code @ network.encoder[1].weight + network.biases[0])
    due = back @ network.encoder[0].weight + network.biases[1]
    assert torch.allclose(network.decode(network.encode(x)), due, atol=1e-6)


@pytest.mark.parametrize("size", [[8, 8], [25, 25], [7, 12]])
def test_a_convolutional_network_gives_back_the_shape(size: list[int]) -> None:
    model = Autoencoder(Convolutional(3, size, [4, 6, 5], "gelu"), (3, size[0], size[1]), "linear")
    x = torch.rand(2, 3, *size)
    assert model.encode(x).shape == (2, 5)
    model(x).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_a_network_that_says_nothing_answers_with_the_mean_picture(output: Any) -> None:
    model = Autoencoder(Dense(4, [2], "relu"), (1, 2, 2), output).eval()
    mean = torch.tensor([0.2, 0.5, 0.9, 0.7])
    model.centre(mean)
    for layer in model.network.decoder:
        nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
    assert torch.allclose(model(torch.rand(3, 1, 2, 2)).flatten(1), mean.expand(3, 4), atol=1e-6)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_a_linear_autoencoder_reaches_its_floor_from_random_weights(tied: bool, noise: float) -> None:
    data = pictures(200)
    basis, (mean, covariance) = principal(data), mean_and_covariance(data)
    torch.manual_seed(0)
    model = LinearAutoencoder((1, 4, 4), 5, tied, noise)
    model.fit_moments(mean, covariance)
    optimiser = lbfgs(model, 50)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = model.loss()
        loss.backward()
        return loss

    start = float(model.loss().detach())
    optimiser.step(closure)
    near, floor = float(model.loss().detach()), least_loss(basis.eigenvalues, 5, noise)
    model.polish(400)
    assert floor < near < start
    assert float(model.loss().detach()) == pytest.approx(floor, rel=1e-9)
    if not noise:
        restored = model(data.double() / 255).detach()
        errors = squared_errors(restored, data.double() / 255)
        assert torch.allclose(errors, projection_errors(data, basis, 5), atol=1e-4)


def test_each_pair_of_layers_has_its_turn_and_then_all_learn() -> None:
    stages = [stage_at(step, 100, 0.4, 4) for step in range(100)]
    assert stages == [step // 10 for step in range(40)] + [None] * 60
    factors = [staged_factor(step, 100, 0.4, 4, 0.1) for step in range(100)]
    assert max(factors[10:20]) == max(factors[:10])
    assert factors[39] < 0.2
    assert factors[99] < 0.05
    torch.manual_seed(0)
    model = Autoencoder(Dense(16, [8, 4], "silu"), (1, 4, 4), "sigmoid")
    layer_error(model, torch.rand(5, 1, 4, 4), 0.0, 1).sum().backward()
    learns = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert learns == {f"network.{part}" for part in (
        "encoder.1.weight", "encoder.1.bias", "decoder.0.weight", "decoder.0.bias"
    )}  # fmt: skip


def test_gaussian_twins_share_mean_and_covariance_and_pca_cannot_tell_them() -> None:
    reference = Reference(pictures(400))
    twins = gaussian_twins(reference, 40_000)
    mean, covariance = mean_and_covariance(twins)
    assert torch.allclose(mean, reference.moments[0], atol=5 * 0.3 / 200)
    assert torch.allclose(covariance, reference.moments[1], atol=5 * 0.1 / 200)


def test_clusters_that_are_the_classes_agree_with_them() -> None:
    labels = torch.arange(60) % 3
    points = torch.eye(3)[labels] + 0.01 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    assert agreement(points, labels) == pytest.approx(1)


def test_a_result_says_what_the_arrays_say() -> None:
    data, test = pictures(50), pictures(20, seed=1)
    restored = test.double() / 255 + 0.1
    result = Result(Reference(data), test, torch.arange(20) % 4, torch.randn(20, 3), restored, list("abcd"))
    found = result.metrics()
    assert found["test/squared_error"] == pytest.approx(0.16, rel=1e-9)
    assert found["test/psnr_db"] == pytest.approx(20, rel=1e-9)
    assert found["theory/pca_squared_error"] == pytest.approx(
        float(projection_errors(test, principal(data), 3).mean()), rel=1e-12
    )
    assert found["gap/error_over_pca"] == pytest.approx(0.16 / found["theory/pca_squared_error"], rel=1e-9)
    assert "theory/hinton_salakhutdinov_2006" not in found, "not MNIST"
    assert not is_mnist(test)


def test_what_was_measured_is_set_beside_what_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reference, "known_answer", lambda self, test: 13.8663)
    test = pictures(20, seed=1)
    result = Result(Reference(pictures(50)), test, torch.arange(20) % 4, torch.randn(20, 3), test / 255, list("abcd"))
    found = result.metrics()
    assert (found["theory/mnist_pca_30"], found["test/mnist_pca_30"]) == (13.87, 13.8663)
    assert dict(result.findings())["known answer"].endswith(": 13.8663, published 13.87")


def test_one_picture_and_constant_pictures_are_measured_without_a_word() -> None:
    one = pictures(1)
    result = Result(Reference(one), one, torch.zeros(1, dtype=torch.int64), torch.zeros(1, 2), one / 255, ["a"])
    found = result.metrics()
    assert found["theory/rank"] == 0
    assert found["theory/pca_squared_error"] == 0
    assert result.findings()[0][0] == "squared error"
    assert not any("nan" in text or "inf" in text for _, text in result.findings())


def test_a_run_beats_pca_on_the_bundled_digits_and_draws_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "autoencoder", "--root", str(tmp_path), "--device", "cpu", "--epochs", "8"]
    assert train.main([*words, "--model.noise", "0.2"]) == 0
    folder = only_run(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["gap/error_over_pca"] < 0.9
    assert metrics["test/denoising_error"] < 0.6 * 64 * 0.2**2, "what the noise itself costs"
    assert 0 < metrics["theory/wiener_error"] < 64 * 0.2**2
    # What the filter costs on the test pictures is due by the covariance of the training pictures, but for chance.
    assert metrics["theory/least_denoising_error"] == pytest.approx(metrics["theory/wiener_error"], rel=0.1)
    assert metrics["theory/pca_squared_error"] == pytest.approx(1.35, abs=0.02)
    assert {path.stem for path in folder.glob("figures/*.png")} == {
        "reconstructions", "eigenpictures", "interpolation", "code_map", "anomalies", "compression", "denoising",
    }  # fmt: skip
    assert "PCA beside it" in capsys.readouterr().out
    assert list(folder.rglob("projector_config.pbtxt"))


def test_a_linear_run_reaches_pca_to_ten_digits(tmp_path: Path) -> None:
    metrics = run(tmp_path, "--model.kind", "linear", "--batch_size", "2000", "--epochs", "60")
    assert abs(metrics["gap/relative_to_least_loss"]) < 1e-10
    assert metrics["test/squared_error"] == pytest.approx(metrics["theory/pca_squared_error"], rel=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ["--model.pretrain", "greedy", "--model.noise", "0.1", "--model.tied", "true"],
        ["--model.kind", "linear", "--batch_size", "500", "--model.iterations", "3"],
        ["--model.kind", "convolutional", "--model.sizes", "[4,8]", "--data.aug", "shift"],
    ],
    ids=["greedy", "linear", "convolutional"],
)
def test_stop_and_resume_is_bit_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    given = ["--model", "autoencoder", *QUICK, "--epochs", "3", *words]
    assert_equal_runs(*stopped_and_resumed(AutoencoderTask, given, tmp_path, (1, 1), monkeypatch))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.sizes", "[100]"], "…a code of 100 numbers, more than the 64 of a picture"),
        (["--model.sizes", "[]"], "--model.sizes needs widths of at least 1, the last being the code's, got []"),
        (["--model.sizes", "[9,0]"], "--model.sizes needs widths of at least 1, the last being the code's, got [9, 0]"),
        (["--model.kind", "convolutional", "--model.sizes", "[8]"], "…needs channels before the code, got [8]"),
        (
            ["--model.kind", "convolutional", "--model.sizes", "[4,4,4,4,4]"],
            "4 stages are too many for pictures of 8×8",
        ),
        (
            ["--model.kind", "convolutional", "--model.tied", "true"],
            "--model.tied true needs --model.kind deep or linear",
        ),
        (["--model.kind", "linear", "--model.pretrain", "greedy"], "--model.pretrain greedy needs --model.kind deep"),
        (["--model.noise", "-0.1"], "--model.noise must be between 0 and 10, got -0.1"),
        (["--model.pretrain_share", "1"], "--model.pretrain_share must be above 0 and below 1, got 1.0"),
        (["--model.polish", "1.5"], "--model.polish must be between 0 and 1, got 1.5"),
        (
            ["--model.kind", "linear", "--model.sizes", "[80]", "--model.noise", "0.1"],
            "…it would only copy; give at most 64\n",
        ),
        (["--model.activation", "step"], "--model.activation: expected"),
    ],
)
def test_wrong_input_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    refused(["--model", "autoencoder", *words], message, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.skipif("DATA_ROOT" not in os.environ, reason="MNIST is looked for in DATA_ROOT, which is not set")
def test_pca_with_30_numbers_on_mnist_is_the_published_figure(tmp_path: Path) -> None:
    recipe = str(train.RECIPES / "autoencoder-linear.yaml")
    metrics = run(tmp_path, "-c", recipe, "--data", "mnist")
    assert metrics["test/mnist_pca_30"] == pytest.approx(MNIST_PCA_30, abs=HALF_WIDTH)
    assert metrics["test/mnist_pca_30"] == pytest.approx(13.866266013, abs=1e-6), "scikit-learn, see docs/claims.md"
    assert metrics["test/squared_error"] == pytest.approx(MNIST_PCA_30, abs=HALF_WIDTH)
    assert abs(metrics["gap/relative_to_least_loss"]) < 1e-12
    assert metrics["theory/total_variance"] == pytest.approx(52.725, abs=1e-3)


@pytest.mark.slow
@pytest.mark.skipif("DATA_ROOT" not in os.environ, reason="MNIST is looked for in DATA_ROOT, which is not set")
def test_the_deep_recipe_beats_the_published_error_of_a_pretrained_network(tmp_path: Path) -> None:
    metrics = run(tmp_path, "--data", "mnist")
    assert metrics["test/squared_error"] <= MNIST_DEEP_30
