"""Coordinates for pictures: against scikit-learn, scipy, automatic differentiation, and sums over samples."""

import itertools
import math

import numpy as np
import pytest
import scipy.fft
import torch
from sklearn.decomposition import PCA

from theory.compression import (
    cosine_errors_fixed,
    cosine_errors_largest,
    cosine_transform,
    psnr,
    rank_errors,
    truncate,
)
from theory.denoising import least_denoising_error, optimal_denoiser, score_of_denoiser
from theory.linear_autoencoder import (
    alternate,
    alternating_least_squares,
    alternation_rate,
    covariance_loss,
    critical_points,
    least_loss,
    smallest_curvature,
    tie,
    weights_at,
)
from theory.principal import (
    decode,
    encode,
    kept_energy,
    least_error,
    mean_and_covariance,
    merge_moments,
    principal,
    projection_errors,
)


def samples(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return torch.randn(count, size, generator=generator, dtype=torch.float64) @ mixing + 3


@pytest.mark.parametrize(("count", "size"), [(200, 12), (12, 40)])
def test_both_ways_to_the_components_are_scikit_learns(count, size):
    data = samples(count, size)
    basis = principal(data)
    due = PCA(min(count - 1, size)).fit(data.numpy())
    assert len(basis.eigenvalues) == min(count - 1, size), "the rank, not the size"
    np.testing.assert_allclose(basis.eigenvalues * count / (count - 1), due.explained_variance_, rtol=1e-9)
    cosines = (basis.directions.T.numpy() * due.components_).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-9)
    unseen = samples(7, size, seed=1)
    restored = due.inverse_transform(due.transform(unseen.numpy())[:, :3] @ np.eye(3, len(due.components_)))
    np.testing.assert_allclose(decode(encode(unseen, basis, 3), basis), restored, atol=1e-9)
    errors = ((unseen.numpy() - restored) ** 2).sum(1)
    np.testing.assert_allclose(projection_errors(unseen, basis, 3), errors, rtol=1e-9)


def test_training_error_is_the_sum_of_the_eigenvalues_left_out():
    data = samples(100, 9)
    basis = principal(data)
    for k in range(10):
        assert float(projection_errors(data, basis, k).mean()) == pytest.approx(
            least_error(basis.eigenvalues, k), rel=1e-11, abs=1e-12
        )
    with pytest.raises(ValueError, match="0 or more, got -1"):
        least_error(basis.eigenvalues, -1)


def test_bytes_are_read_as_zero_to_one_and_constant_pixels_have_no_direction():
    data = torch.randint(0, 256, (300, 1, 3, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data[:, :, 0] = 7
    mean, covariance = mean_and_covariance(data)
    flat = data.flatten(1).double().numpy() / 255
    np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-13)
    np.testing.assert_allclose(covariance, np.cov(flat.T, bias=True), atol=1e-15)
    assert len(principal(data).eigenvalues) == 6


@pytest.mark.parametrize("data", [torch.full((1, 1, 2, 2), 9.0), torch.full((9, 4), 0.3), torch.full((3, 4), 0.3)])
def test_one_picture_has_rank_zero_and_is_its_own_mean(data):
    basis = principal(data)
    assert len(basis.eigenvalues) == 0
    assert float(projection_errors(data, basis, 2).max()) < 1e-28
    with pytest.raises(ValueError, match="at least 1 sample"):
        mean_and_covariance(data[:0])


def test_moments_of_two_parts_make_those_of_the_whole():
    data = samples(50, 5)
    whole = mean_and_covariance(data)
    merged = merge_moments(20, mean_and_covariance(data[:20]), 30, mean_and_covariance(data[20:]))
    for one, other in zip(whole, merged, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_no_orthonormal_basis_keeps_more_than_pca():
    data = samples(60, 8)
    _, covariance = mean_and_covariance(data)
    best = kept_energy(covariance, principal(data).directions)
    for seed in range(20):
        basis, _ = torch.linalg.qr(samples(8, 8, seed))
        assert (kept_energy(covariance, basis) <= best * (1 + 1e-12)).all()


def test_the_exact_loss_is_the_mean_over_samples_and_with_noise_its_expectation():
    data = samples(40, 6)
    mean, covariance = mean_and_covariance(data)
    encoder, decoder = samples(2, 6, 1), samples(6, 2, 2)
    centred = data - mean
    measured = (centred - centred @ encoder.T @ decoder.T).square().sum(1).mean()
    assert float(covariance_loss(encoder, decoder, covariance)) == pytest.approx(float(measured), rel=1e-12)
    # E‖x - W(x + σε)‖² = E‖x - Wx‖² + σ²‖W‖²
    noisy = measured + 0.25 * (decoder @ encoder).square().sum()
    assert float(covariance_loss(encoder, decoder, covariance, 0.5)) == pytest.approx(float(noisy), rel=1e-12)


@pytest.mark.parametrize(("size", "k"), [(4, 2), (5, 2), (4, 1), (3, 3)])
def test_the_census_of_critical_points_agrees_with_automatic_differentiation(size, k):
    data = samples(50, size)
    basis = principal(data)
    _, covariance = mean_and_covariance(data)
    points = list(critical_points(basis.eigenvalues, k))
    assert len(points) == sum(math.comb(size, j) for j in range(k + 1))
    assert sum(len(point.kept) == k for point in points) == math.comb(size, k)
    for point in points:
        weights = weights_at(basis.directions, point.kept, k)
        gradient = torch.func.grad(covariance_loss, argnums=(0, 1))(*weights, covariance)
        assert max(float(part.abs().max()) for part in gradient) < 1e-11
        assert float(covariance_loss(*weights, covariance)) == pytest.approx(point.loss, rel=1e-11, abs=1e-11)
        assert smallest_curvature(*weights, covariance) == pytest.approx(point.curvature, rel=1e-9, abs=1e-9)
    assert [point.kept for point in points if point.curvature >= -1e-12] == [tuple(range(k))], "one minimum, no other"


def test_a_census_needs_distinct_positive_eigenvalues():
    with pytest.raises(ValueError, match="distinct"):
        next(critical_points(torch.tensor([2.0, 2.0, 1.0]), 1))
    with pytest.raises(ValueError, match="distinct"):
        next(critical_points(torch.tensor([2.0, 0.0]), 1))
    with pytest.raises(ValueError, match=r"1\.\.2, got 3"):
        next(critical_points(torch.tensor([2.0, 1.0]), 3))


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_alternating_minimisation_reaches_the_floor_and_tying_costs_nothing(noise):
    data = samples(200, 7)
    _, covariance = mean_and_covariance(data)
    floor = least_loss(principal(data).eigenvalues, 3, noise)
    encoder, losses = samples(3, 7, 5), []
    for _ in range(400):
        encoder, decoder = alternate(encoder, covariance, noise)
        losses.append(float(covariance_loss(encoder, decoder, covariance, noise)))
    assert all(later <= earlier * (1 + 1e-13) for earlier, later in itertools.pairwise(losses))
    assert losses[-1] == pytest.approx(floor, rel=1e-12)
    tied = tie(decoder, covariance, noise)
    assert float(covariance_loss(tied, tied.T, covariance, noise)) == pytest.approx(floor, rel=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_the_alternation_converges_at_its_rate(noise):
    values = torch.tensor([4.0, 2.0, 1.5, 0.5, 0.25], dtype=torch.float64)
    rotation, _ = torch.linalg.qr(samples(5, 5, 2))
    covariance = rotation @ torch.diag(values) @ rotation.T
    floor, encoder, gaps = least_loss(values, 2, noise), samples(2, 5, 5), []
    for _ in range(22):
        encoder, decoder = alternate(encoder, covariance, noise)
        gaps.append(float(covariance_loss(encoder, decoder, covariance, noise)) - floor)
    rate = alternation_rate(values, 2, noise)
    assert gaps[-1] / gaps[-2] == pytest.approx(rate, rel=1e-3)
    assert rate == pytest.approx((0.75 * (0.75 * 2.49 / 1.99 if noise else 1)) ** 2)
    assert alternation_rate(values, 5, noise) is None


def test_fewer_coordinates_than_none_are_refused():
    with pytest.raises(ValueError, match="k must be 0 or more, got -1"):
        least_loss(torch.tensor([3.0, 2, 1]), -1)


@pytest.mark.parametrize(("mean", "deviation"), [(1e5, 1e-3), (1e4, 1e-4), (1e3, 1e-5), (300.0, 1e-6), (1e6, 1e-2)])
def test_little_variance_far_from_zero_is_kept(mean, deviation):
    data = mean + deviation * samples(200, 8, 0)
    found = principal(data)
    due = torch.linalg.svdvals(data - data.mean(0)).square() / 200
    torch.testing.assert_close(found.eigenvalues, due, rtol=1e-6, atol=0)
    assert len(principal(data.round() * 0 + mean).eigenvalues) == 0, "rounding alone is no direction"
    flat = torch.cat([data[:, :4], data[:, :4]], 1)
    assert len(principal(flat).eigenvalues) == 4


def test_one_alternation_is_one_step_of_subspace_iteration():
    _, covariance = mean_and_covariance(samples(100, 6))
    encoder = samples(2, 6, 3)
    best = covariance @ encoder.T @ torch.linalg.inv(encoder @ covariance @ encoder.T)
    _, decoder = alternate(encoder, covariance)
    together = torch.linalg.matrix_rank(torch.cat([best, decoder], dim=1), rtol=1e-9)
    assert int(together) == 2, "the exact minimum over the decoder spans the same subspace"


def test_the_optimal_denoiser_beats_every_neighbour_and_points_along_the_score():
    _, covariance = mean_and_covariance(samples(100, 5))
    denoiser = optimal_denoiser(covariance, 0.8)
    identity = torch.eye(5, dtype=torch.float64)

    def error(matrix):
        return float(covariance_loss(identity, matrix, covariance, 0.8))

    assert error(denoiser) == pytest.approx(least_denoising_error(torch.linalg.eigvalsh(covariance), 0.8), rel=1e-12)
    assert error(denoiser) == pytest.approx(least_loss(torch.linalg.eigvalsh(covariance).flip(0), 5, 0.8), rel=1e-12)
    for seed in range(10):
        assert error(denoiser + 1e-3 * samples(5, 5, seed)) > error(denoiser)
    noisy, mean = samples(9, 5, 7), torch.full((5,), 3.0, dtype=torch.float64)
    restored = mean + (noisy - mean) @ denoiser.T
    density = torch.distributions.MultivariateNormal(mean, covariance + 0.64 * identity)
    due = torch.func.vmap(torch.func.grad(lambda y: density.log_prob(y)))(noisy)
    assert torch.allclose(score_of_denoiser(restored, noisy, 0.8), due, atol=1e-11)


def test_a_network_trained_on_noisy_gaussian_samples_becomes_the_optimal_denoiser():
    generator = torch.Generator().manual_seed(0)
    factor = torch.tensor([[1.0, 0.0], [0.8, 0.4]], dtype=torch.float64)
    due = optimal_denoiser(factor @ factor.T, 0.5)
    layer = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([layer], lr=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1e-3, 600)
    for _ in range(600):
        clean = torch.randn(4096, 2, generator=generator, dtype=torch.float64) @ factor.T
        noisy = clean + 0.5 * torch.randn(4096, 2, generator=generator, dtype=torch.float64)
        loss = (noisy @ layer.T - clean).square().sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    assert float((layer.detach() - due).abs().max()) < 1e-3


@pytest.mark.parametrize(("covariance", "noise", "message"), [
    (torch.eye(3)[:2], 1.0, "shape"), (torch.eye(3), 0.0, "positive"), (torch.eye(3), math.nan, "positive"),
])  # fmt: skip
def test_a_denoiser_refuses_what_it_cannot_use(covariance, noise, message):
    with pytest.raises(ValueError, match=message):
        optimal_denoiser(covariance, noise)


def test_cosines_are_scipys_and_the_errors_are_parsevals():
    pictures = samples(10, 35).view(10, 1, 5, 7) / 20
    np.testing.assert_allclose(
        cosine_transform(pictures), scipy.fft.dctn(pictures.numpy(), axes=(2, 3), norm="ortho"), atol=1e-12
    )
    kept = scipy.fft.dctn(pictures.numpy(), axes=(2, 3), norm="ortho").reshape(10, 35)
    for row in kept:
        row[np.argsort(np.abs(row))[:-4]] = 0
    restored = scipy.fft.idctn(kept.reshape(10, 1, 5, 7), axes=(2, 3), norm="ortho")
    due = ((restored - pictures.numpy()) ** 2).sum((1, 2, 3)).mean()
    assert float(cosine_errors_largest(pictures)[4]) == pytest.approx(due, rel=1e-11)
    fixed = cosine_errors_fixed(pictures, pictures)
    total = float((pictures - pictures.mean(0)).square().flatten(1).sum(1).mean())
    assert float(fixed[0]) == pytest.approx(total, rel=1e-12)
    assert (fixed.diff() <= 1e-12).all()
    assert float(fixed[-1]) == 0


def test_alternating_least_squares_ends_where_no_factor_can_gain():
    matrix, weights = samples(6, 4), samples(6, 4).square() + 0.1
    loss = lambda left, right, weights: (weights * (matrix - left @ right.T).square()).sum()
    for given in (weights, torch.ones_like(weights)):
        factors = alternating_least_squares(matrix, given, samples(4, 2), 2000)
        slopes = torch.func.grad(loss, argnums=(0, 1))(*factors, given)
        assert max(float(slope.abs().max()) for slope in slopes) < 1e-9
    torch.testing.assert_close(factors[0] @ factors[1].T, truncate(matrix, 2), atol=1e-9, rtol=0)


def test_truncation_loses_the_singular_values_left_out():
    matrix = samples(6, 4)
    errors = rank_errors(matrix.view(1, 1, 6, 4))
    for k in range(5):
        left = matrix - truncate(matrix, k)
        assert float(left.square().sum()) == pytest.approx(float(errors[k]), rel=1e-10, abs=1e-10)
    assert psnr(0.5, 50) == pytest.approx(20)
    assert psnr(0.0, 3) == math.inf
    with pytest.raises(ValueError, match="got -1 and 3"):
        psnr(-1, 3)
