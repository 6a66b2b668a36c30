"""Statements of the glossary about derivatives, tensors and descent."""

import math

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from theory.differences import central_difference, hyperdeterminant, log_slope, taylor_remainder
from theory.linear_autoencoder import alternating_least_squares


@claim(
    "004-14",
    "the derivative is the limit of the difference quotient",
    RIGHT,
    "on a computer h must not go to 0: the central quotient errs by h², and rounding makes h ≈ ε^(1/3) the best",
    "Nocedal, Wright 2006, section 8.1",
)
def difference_quotient() -> Numbers:
    x, due = torch.tensor(1.0, dtype=torch.float64), math.cos(1.0)
    h = torch.logspace(-3, -1, 20, dtype=torch.float64)
    yield equals("order of the error in h", log_slope(h, central_difference(torch.sin, x, h) - due), 2, 0.025)
    fine = torch.logspace(-12, -1, 111, dtype=torch.float64)
    error = (central_difference(torch.sin, x, fine) - due).abs()
    best = math.log10(float(fine[error.unfold(0, 11, 1).amax(1).argmin() + 5]))  # of neighbourhoods: rounding is rough
    yield equals(
        "log10 of the best h, one third of log10 ε", best, math.log10(torch.finfo(torch.float64).eps) / 3, 0.15
    )
    yield at_least("error at h = 1e-12 over the error at the best", error[0] / error.min(), 1e4)


@claim(
    "004-15",
    "the rank (order) of a tensor has nothing to do with the rank of a matrix",
    IMPRECISE,
    "order and rank differ, but the CP rank of an order-2 tensor is the matrix rank; over the real numbers order 3 has "
    "several typical ranks in some formats, such as 2×2×2",
    "de Silva, Lim 2008; Bergqvist 2013",
)
def tensor_rank() -> Numbers:
    factors = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = torch.einsum("ir,jr->ij", *factors)
    yield equals("matrix rank of a sum of 3 outer products", torch.linalg.matrix_rank(matrix), 3, counterexample=True)
    start = torch.randn(6, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    left, right = alternating_least_squares(matrix, torch.ones_like(matrix), start, 300)
    near, third = torch.linalg.matrix_norm(matrix - left @ right.T), torch.linalg.svdvals(matrix)[2]
    what = "distance of the nearest sum of 2, by alternating least squares; third singular value of the matrix"
    yield equals(what, near, third, 1e-10, counterexample=True)
    yield equals("components of order 3 and size 6", torch.einsum("ir,jr,kr->ijk", *factors, factors[0]).numel(), 6**3)
    draws = 1_000_000
    cubes = torch.randn(draws, 2, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    two = hyperdeterminant(cubes) > 0
    share = two.double().mean()
    error = math.sqrt(math.pi / 4 * (1 - math.pi / 4) / draws)
    yield equals("P(rank 2) of Gaussian 2×2×2 − π/4, in standard errors", (share - math.pi / 4) / error, 0, 3)
    # Slices A, B of rank 2: A = X diag(p) Y and B = X diag(q) Y, so that B A⁻¹ = X diag(q/p) X⁻¹ has real eigenvalues
    some = cubes[:1000]
    first, second = some[:, 0], some[:, 1]
    values, vectors = torch.linalg.eig(second @ torch.linalg.inv(first))
    real = (values.imag == 0).all(1)
    yield equals("of 1000, those where the eigenvalues of B A⁻¹ give another rank", (real != two[:1000]).sum(), 0)
    x = vectors.real[real]  # (R, 2, 2), columns
    rows = torch.linalg.solve(x, first[real])
    weights = torch.stack([torch.ones_like(values.real[real]), values.real[real]], 1)  # (R, 2, 2): slice, term
    rebuilt = torch.einsum("nst,nit,ntj->nsij", weights, x, rows)
    defect = (rebuilt - some[real]).flatten(1).norm(dim=1) / some[real].flatten(1).norm(dim=1)
    yield equals("of rank 2, rebuilt from two outer products: relative error, median", defect.median(), 0, 1e-13)


@claim(
    "004-16",
    "gradient descent goes to the minimum, ascent to the maximum",
    IMPRECISE,
    "to a local one: the start decides which",
    "Nesterov 2004, section 1.2",
)
def two_basins() -> Numbers:
    function = lambda x: x**4 / 4 - x**2 / 2 + x / 10

    def limit(start: float, maximise: bool = False) -> float:
        x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([x], lr=0.1, maximize=maximise)
        for _ in range(500):
            optimizer.zero_grad()
            function(x).backward()
            optimizer.step()
        return x.item()

    left, right = limit(-0.5), limit(0.5)
    roots = sorted(
        torch.linalg.eigvals(torch.tensor([[0.0, 1, -0.1], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)).real.tolist()
    )
    yield equals("limit from −0.5: a root of f' = x³ − x + 0.1", left, roots[0], 1e-10)
    yield equals("limit from 0.5", right, roots[2], 1e-10, counterexample=True)
    yield at_least("f there − f at the other minimum", function(right) - function(left), 0.1, counterexample=True)
    yield equals("ascent from 0.5: the local maximum; f has no other", limit(0.5, maximise=True), roots[1], 1e-10)


@claim(
    "004-18",
    "classification is supervised learning, binary or of several classes",
    RIGHT,
    "softmax of two classes is the logistic function of the difference of the logits",
    "Bridle 1990",
)
def two_classes() -> Numbers:
    logits = 3 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    difference = logits.softmax(1)[:, 1] - torch.sigmoid(logits[:, 1] - logits[:, 0])
    yield equals("softmax − σ(difference)", difference.abs().max(), 0, 1e-15)
    labels = torch.arange(1000) % 2
    losses = F.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], labels.double())
    yield equals("cross entropy of both", F.cross_entropy(logits, labels) - losses, 0, 1e-14)


@claim(
    "004-19",
    "the chain rule",
    RIGHT,
    "in reverse, the whole gradient costs at most 4 to 5 times the function, whatever the number of variables",
    "Baur, Strassen 1983; Griewank 1989",
)
def chain_rule() -> Numbers:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(30, 30, generator=generator, dtype=torch.float64) / 5 for _ in range(4)]
    x = torch.randn(1, 30, generator=generator, dtype=torch.float64)

    def network(x: torch.Tensor) -> torch.Tensor:
        for weight in weights:
            x = torch.tanh(x @ weight)
        return x.sum()

    jacobian, point = torch.eye(30, dtype=torch.float64), x[0]
    for weight in weights:
        point = torch.tanh(point @ weight)
        jacobian = jacobian @ weight * (1 - point**2)  # d layer / d x, one factor after the other
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(network(x), x)
    yield equals("reverse mode − product of the Jacobians", (gradient[0] - jacobian.sum(1)).abs().max(), 0, 1e-14)
    for weight in weights:
        weight.requires_grad_()
    with FlopCounterMode(display=False) as forward:
        loss = network(x)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    ratio = 1 + backward.get_total_flops() / forward.get_total_flops()
    yield at_most("operations (matrix products) with all 3630 derivatives, over those without", ratio, 5)
    yield at_least("the same is not below 2, so both passes were counted", ratio, 2)


@claim(
    "004-21",
    "nonlinear relations can be approximated by linear ones",
    IMPRECISE,
    "locally: the remainder of Taylor's first-order polynomial is of order h²",
    "Taylor 1715",
)
def linear_approximation() -> Numbers:
    h = torch.logspace(-4, -2, 20, dtype=torch.float64)
    for name, function in (("exp", torch.exp), ("sin", torch.sin), ("1/x", torch.reciprocal)):
        remainder = taylor_remainder(function, torch.tensor(0.7, dtype=torch.float64), h)
        yield equals(f"{name}: order of the remainder", log_slope(h, remainder), 2, 0.01)
    far = taylor_remainder(torch.exp, torch.tensor(0.0, dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64))
    yield at_least("far away: error of 1 + x for eˣ at x = 3", far[0], 16)
