"""What a matrix does to space, how large its rank is under noise, and when a plane separates two classes."""

import math
from fractions import Fraction

import numpy as np
import torch
from sklearn.datasets import load_digits

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from models.point_network import PointNetwork, anatomy
from theory.random_matrices import bulk_edges, power_iteration, sample_eigenvalues, spike, stable_rank
from theory.separability import cover_count, cover_probability, separating_plane


def rank_by_rows(matrix: np.ndarray) -> int:
    """Rows that are not 0 after elimination in rational numbers: the dimension of the row space, exactly."""
    rows = [[Fraction(int(value)) for value in row] for row in matrix]
    rank = 0
    for column in range(matrix.shape[1]):
        pivot = next((row for row in range(rank, len(rows)) if rows[row][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for row in range(rank + 1, len(rows)):
            factor = rows[row][column] / rows[rank][column]
            rows[row] = [value - factor * above for value, above in zip(rows[row], rows[rank], strict=True)]
        rank += 1
    return rank


@claim(
    "002-03",
    "multiplying by a matrix twists space and dimension",
    RIGHT,
    "A = U Σ Vᵀ: a rotation or reflection, a scaling of the axes (which may change the dimension), a rotation or "
    "reflection",
    "Eckart and Young 1936",
)
def rotate_scale_rotate() -> Numbers:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((5, 3))
    _, values, vt = np.linalg.svd(a)
    stretched = a @ vt.T  # the images of the axes V: at right angles, and as long as the singular values
    lengths = np.linalg.norm(stretched, axis=0)
    cosines = (stretched / lengths).T @ (stretched / lengths) - np.eye(3)
    yield equals("5×3: largest |cosine| between the images of the axes V", np.abs(cosines).max(), 0, 1e-14)
    yield equals("their lengths / singular values − 1, largest", np.abs(lengths / values - 1).max(), 0, 1e-14)
    top = power_iteration(a.T @ a, rng.standard_normal(3), 400).rayleigh[-1] ** 0.5
    yield equals("longest image of a unit vector, by power iteration; σ₁", top, values[0], 1e-10)
    flat = rng.standard_normal((3, 2)) @ rng.standard_normal((2, 3))
    yield equals("3×3 of σ₃ = 0: volume of the image of the cube", np.linalg.det(flat), 0, 1e-14)
    for matrix in (a[:3], a[:3] * [-1, 1, 1]):  # one of them turns the orientation around
        u, values, vt = np.linalg.svd(matrix)
        found, due = np.linalg.det(u) * np.linalg.det(vt) * values.prod(), np.linalg.det(matrix)
        what = "det U · det Vᵀ · Πσ; det A" + (" below 0: a reflection" if due < 0 else "")
        yield equals(what, found, due, 1e-12)


@claim(
    "002-04",
    "A x = λ x: a direction that does not change",
    IMPRECISE,
    "λ < 0 turns the vector around; complex λ rotate, and there may be no real eigenvector at all",
    "any textbook of linear algebra",
)
def eigenvalues_that_turn() -> Numbers:
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    values = np.sort_complex(np.linalg.eigvals(quarter))
    yield equals("R(90°): largest distance of the eigenvalues from −i, +i", np.abs(values - [-1j, 1j]).max(), 0, 1e-14)
    angles = np.linspace(0, np.pi, 181)
    v = np.stack([np.cos(angles), np.sin(angles)])
    yield equals("R(90°): largest |cos(v, Rv)| over all directions", np.abs((v * (quarter @ v)).sum(0)).max(), 0, 1e-14)
    x = np.linalg.eigh([[-1.0, 1.0], [1.0, -1.0]]).eigenvectors[:, 0]  # λ = −2
    turned = np.array([[-1.0, 1.0], [1.0, -1.0]]) @ x
    yield equals("cos(x, Ax) for λ = −2", x @ turned / (np.linalg.norm(x) * np.linalg.norm(turned)), -1, 1e-14)


@claim(
    "002-05",
    "Aᵏ v approaches the top eigenvector, closer each time",
    IMPRECISE,
    "needs |λ₁| > |λ₂| and a share of v along it; the direction, at the rate |λ₂/λ₁|; not always closer at once",
    "von Mises and Pollaczek-Geiringer 1929; Golub and Van Loan, section 7.3",
)
def power_rate() -> Numbers:
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    a = q @ np.diag([2.0, 1.6, 0.6, 0.2]) @ q.T
    run = power_iteration(a, rng.standard_normal(4), 60)
    yield equals("factor a step of the angle, λ₂/λ₁ = 0.8", run.rate(), 0.8, 1e-3)
    yield equals("Rayleigh quotient after 60 steps, λ₁ = 2", run.rayleigh[-1], 2, 1e-10)
    error = 2 - run.rayleigh[[20, 40]]
    yield equals("factor a step of its error, (λ₂/λ₁)²", (error[1] / error[0]) ** (1 / 20), 0.8**2, 1e-3)
    flip = power_iteration(np.diag([1.0, -1.0]), [1.0, 1.0], 101)
    yield equals("λ = ±1: sine of the angle after 101 steps", flip.distance[-1], math.sin(math.pi / 4), 1e-12)
    stuck = power_iteration(np.diag([2.0, 1.0]), [0.0, 1.0], 50)
    yield equals("no share along the top: sine of the angle", stuck.distance[-1], 1, 1e-12)
    yield at_least("symmetric: all 60 steps come closer", float((np.diff(run.distance) < 0).all()), 1)
    sheared = power_iteration(np.array([[1.0, 10.0], [0.0, 0.9]]), [1.0, -0.09], 2)
    start = 0.09 / math.hypot(1, 0.09)
    yield at_least("not normal: sine after a step, the start's doubled", sheared.distance[0], 2 * start)


@claim(
    "002-06",
    "full rank iff rows or columns are independent; rank = number of rows",
    IMPRECISE,
    "for square matrices; in general rank = dimension of the row space = dimension of the column space",
    "Frobenius 1879",
)
def row_rank_is_column_rank() -> Numbers:
    rng = np.random.default_rng(0)
    for rows, columns, rank in ((4, 7, 4), (7, 4, 4), (6, 5, 2)):
        a = rng.integers(-3, 4, (rows, rank)) @ rng.integers(-3, 4, (rank, columns))
        ranks = rank_by_rows(a), rank_by_rows(a.T)
        yield equals(f"rank of A − rank of Aᵀ, {rows}×{columns}", ranks[0] - ranks[1], 0)
        yield equals(f"rank of a product through {rank} dimensions", ranks[0], rank)
        yield equals("singular values that are not 0", np.linalg.matrix_rank(a), rank)


@claim(
    "002-07",
    "rank = number of basis vectors needed; structure means small rank, as of images and tables of ratings",
    IMPRECISE,
    "with noise every rank is full: look at the spectrum. Noise alone fills σ²(1−√γ)² to σ²(1+√γ)², and 0 if γ > 1; "
    "structure is what lies outside",
    "Marchenko and Pastur 1967; Baik and Silverstein 2006; Paul 2007; Rudelson and Vershynin 2007",
)
def rank_under_noise() -> Numbers:
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 40))
    noisy = flat + 1e-3 * rng.standard_normal(flat.shape)
    yield equals("rank of a rank-3 table", np.linalg.matrix_rank(flat), 3)
    yield equals("rank with noise of 0.1 %", np.linalg.matrix_rank(noisy), 40)
    yield equals("stable rank of diag(2, 1, 1), (4 + 1 + 1)/4", stable_rank(np.diag([2.0, 1.0, 1.0])), 1.5, 1e-12)
    yield equals("stable rank with the noise", stable_rank(noisy), stable_rank(flat), 1e-3)
    pixels = load_digits().data
    yield at_most(
        "digits, 64 pixels: stable rank", stable_rank(pixels - pixels.mean(0)), np.linalg.matrix_rank(pixels) / 5
    )
    samples, dimension = 4000, 400
    ratio = dimension / samples
    noise, _ = sample_eigenvalues(samples, dimension, rng)
    low, high = bulk_edges(ratio)
    yield equals("largest eigenvalue of noise, n = 4000, p = 400: (1+√γ)²", noise[-1], high, 0.02)
    yield equals("smallest: (1−√γ)²", noise[0], low, 0.02)
    for strength in (3.0, 1.1):  # above and below 1 + √γ = 1.316
        draws = [sample_eigenvalues(samples, dimension, rng, strength=strength) for _ in range(6)]
        found, cosine = np.mean([values[-1] for values, _ in draws]), np.mean([cosine for _, cosine in draws])
        due = spike(strength, ratio)
        # above, one draw has the relative standard error √(2/n) = 2.2 %: three of the mean of 6 are 2.7 %
        what = f"largest eigenvalue with a direction of variance {strength:g}, mean of 6"
        yield equals(what, found, due.eigenvalue, 0.027)
        if due.cosine:
            yield equals("cosine of its eigenvector to that direction, mean", cosine, due.cosine, 0.01)
        else:
            yield at_most("below 1 + √γ the direction is lost: cosine, mean", cosine, 0.4)


@claim(
    "003-12",
    "y = a(W x + b): scale, rotate, shift, bend, change the dimension",
    RIGHT,
    "W = U Σ Vᵀ rotates or reflects, scales, rotates or reflects; b shifts; a bends; the rank of W says how many "
    "dimensions arrive",
    "Eckart and Young 1936",
)
def a_layer_taken_apart() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((2, 2), (5, 2), (2, 5)):
        weight = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        bias = torch.randn(rows, generator=generator, dtype=torch.float64)
        x = torch.randn(50, columns, generator=generator, dtype=torch.float64)
        due = x @ weight.T + bias
        rebuilt = anatomy(weight, bias, x)[-1][1]
        yield equals(
            f"{columns} → {rows}: distance of the four steps from W x + b",
            (rebuilt - due).norm() / due.norm(),
            0,
            1e-14,
        )
        arrived = torch.linalg.matrix_rank(due - due.mean(0))
        yield equals(f"{columns} → {rows}: dimensions that arrive", arrived, min(rows, columns))


@claim(
    "003-13",
    "networks map to a space where the classes are linearly separable",
    RIGHT,
    "as an aim; random labels of n points in general position in d dimensions are separable with Cover's probability: "
    "by a plane through 0 it is 1/2 at n = 2d, by one with a bias at n = 2(d + 1)",
    "Cover 1965",
)
def cover_and_xor() -> Numbers:
    for d in (1, 5, 50):
        yield equals(f"through 0: P(separable) at n = 2d, d = {d}", cover_probability(2 * d, d), 1 / 2)
    # 2^n sign patterns of n points in general position, all of them tried by linear programming
    rng = np.random.default_rng(0)
    points = rng.standard_normal((6, 3))
    patterns = (np.arange(64)[:, None] >> np.arange(6)) & 1
    found = sum(separating_plane(points, signs, bias=False).separable for signs in patterns)
    yield equals("separable patterns of 6 points in 3 dimensions, of 64", found, cover_count(6, 3))
    for n, bias in ((8, False), (8, True), (10, True)):
        due = float(cover_probability(n, 4 + bias))
        draws = [separating_plane(rng.standard_normal((n, 4)), rng.integers(0, 2, n), bias=bias) for _ in range(400)]
        score = (np.mean([plane.separable for plane in draws]) - due) / math.sqrt(due * (1 - due) / len(draws))
        name = f"{n} random points, d = 4, {'with a bias' if bias else 'through 0'}"
        yield equals(f"{name}: (frequency of 400 − {due:.4g}) in standard errors", score, 0, 3)
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = torch.tensor([0, 1, 1, 0])
    network = PointNetwork(2, [2], "tanh")
    with torch.no_grad():  # one unit is OR, the other AND
        network.hidden()[0].weight.copy_(torch.tensor([[4.0, 4.0], [4.0, 4.0]]))
        network.hidden()[0].bias.copy_(torch.tensor([-2.0, -6.0]))
        before, after = network.stages(corners)
    yield equals("XOR as it comes: is it separable (1 yes, 0 no)", separating_plane(before, labels).separable, 0)
    yield equals("XOR behind two units of tanh: is it separable", separating_plane(after, labels).separable, 1)
