"""Statements about estimating and choosing: least squares, likelihood, priors, risk, evidence, clusters."""

import math

import numpy as np
import torch
from scipy import optimize, stats
from sklearn.cluster import KMeans
from torch.nn import functional as F

from claims.registry import IMPRECISE, RIGHT, Numbers, at_least, at_most, claim, equals
from theory.clustering import best_partition_cost, k_means, mixture_em
from theory.descent import edge_by_bisection
from theory.evidence import legendre, log_evidence
from theory.exponential_family import (
    FAMILIES,
    Family,
    covariance,
    irls_step,
    log_partition,
    mean,
    negative_log_likelihood,
    newton_step,
    sample,
)
from theory.newton import fit
from theory.regularisation import lasso, least_squares, ridge


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _design(samples: int, features: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(samples, features - 1, generator=_generator(seed), dtype=torch.float64)
    return torch.cat([torch.ones(samples, 1, dtype=torch.float64), drawn], 1)


@claim(
    "001-03",
    "f = a x1 + b x2² + c x3³ + d, learn a, b, c, d",
    RIGHT,
    "linear in the parameters, so the normal equations give them; with noise Cov = σ² (XᵀX)⁻¹",
    "Gauss 1809",
)
def linear_in_the_parameters() -> Numbers:
    x1, x2, x3 = torch.randn(3, 50, generator=_generator(), dtype=torch.float64)
    x = torch.stack([x1, x2**2, x3**3, torch.ones_like(x1)], 1)
    due = torch.tensor([2.0, -1.0, 0.5, 3.0], dtype=torch.float64)
    y = x @ due
    yield equals("largest error of a coefficient, no noise", (least_squares(x, y) - due).abs().max(), 0, 1e-12)
    residual = (y - x @ least_squares(x, y)).square().sum()
    yield equals("R²", 1 - residual / (y - y.mean()).square().sum(), 1, 1e-12)
    # (estimate - due)ᵀ XᵀX (estimate - due) / σ² is χ² with 4 degrees for each of 2000 data sets
    sigma, draws = 0.7, 2000
    noise = sigma * torch.randn(50, draws, generator=_generator(1), dtype=torch.float64)
    away = least_squares(x, y[:, None] + noise) - due[:, None]
    distances = torch.einsum("ir,ij,jr->r", away, x.T @ x, away) / sigma**2
    counts, _ = np.histogram(stats.chi2.cdf(distances.numpy(), 4), 20, range=(0, 1))
    yield at_least("p of the χ² test of Cov = σ²(XᵀX)⁻¹, 2000 draws", stats.chisquare(counts).pvalue, 0.01)


@claim(
    "001-10",
    "unsupervised learning is clustering",
    IMPRECISE,
    "it is also density estimation, dimension reduction and generation",
    "Lloyd 1982; Dempster, Laird, Rubin 1977",
)
def unsupervised() -> Numbers:
    worst, single = 0.0, 0.0
    for seed in range(10):
        x = torch.randn(9, 2, generator=_generator(seed), dtype=torch.float64)
        best = best_partition_cost(x, 3)
        worst = max(worst, float(k_means(x, 3, 60, _generator())[1] / best))
        single = max(single, float(k_means(x, 3, 1, _generator())[1] / best))
    yield equals("clustering 10 sets: k-means from 60 starts / best of all partitions, worst", worst, 1, 1e-12)
    yield at_least("the same from one start, worst", single, 1.01)
    cloud = torch.randn(300, 2, generator=_generator(), dtype=torch.float64)
    start = cloud[torch.randperm(300, generator=_generator())[:8]]  # where k_means begins with this generator
    peer = KMeans(8, init=start.numpy(), n_init=1, tol=0, max_iter=10_000).fit(cloud.numpy()).inertia_
    yield equals(
        "its end on 300 points from one start; scikit-learn's", k_means(cloud, 8, 1, _generator())[1], peer, 1e-12
    )
    points = torch.cat(
        [torch.randn(200, generator=_generator(seed), dtype=torch.float64) + 3 * seed for seed in (0, 1)]
    )
    likelihood = mixture_em(points, torch.tensor([-1.0, 0.5], dtype=torch.float64), 400)
    rise = likelihood.diff().min()
    yield at_least("density, no clusters asked: smallest rise of the likelihood in an EM step", rise, 0, 1e-9)
    # The same likelihood, climbed by L-BFGS in (logit of the first weight, two means, two log deviations)
    data = points.numpy()

    def cost(theta: np.ndarray) -> float:
        logs = [stats.norm(theta[1 + i], np.exp(theta[3 + i])).logpdf(data) for i in (0, 1)]
        shares = -np.logaddexp(0, -theta[0]), -np.logaddexp(0, theta[0])
        return -float(np.logaddexp(shares[0] + logs[0], shares[1] + logs[1]).sum())

    climbed = -optimize.minimize(cost, [0.0, -1.0, 0.5, 0.0, 0.0], method="L-BFGS-B", options={"ftol": 1e-14}).fun
    yield equals("its end, nats; another optimiser", likelihood[-1], climbed, 1e-7)


@claim(
    "002-11",
    "exponential families and generalised linear models correspond one to one",
    IMPRECISE,
    "a family has as many models as links, one of them with the canonical link; E[T] = ∇A and Cov T = ∇²A hold for "
    "every exponential family, that IRLS is Newton's method for the canonical link",
    "Nelder, Wedderburn 1972; McCullagh, Nelder 1989",
)
def exponential_families() -> Numbers:
    families: tuple[Family, ...] = FAMILIES
    for family in families:
        outputs = 2 if family == "softmax" else 1
        eta = torch.full((1, outputs), 0.4, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(log_partition(family, eta).sum(), eta)
        draws = sample(family, eta.detach().expand(20_000, -1), _generator())
        score = (draws.mean(0) - gradient[0]) / (draws.std(0) / math.sqrt(len(draws)))
        yield at_most(f"{family}: |sample mean - ∇A| in standard errors", score.abs().max(), 4)
        curvature = torch.autograd.functional.hessian(lambda z, f=family: log_partition(f, z).sum(), eta.detach())
        due = covariance(family, eta.detach()).reshape(outputs, outputs)
        yield equals(f"{family}: ∇²A - Cov T", (curvature.view(outputs, outputs) - due).abs().max(), 0, 1e-12)
        x = _design(300, 3)
        y = sample(
            family, x @ (0.5 * torch.randn(3, outputs, generator=_generator(1), dtype=torch.float64)), _generator(2)
        )
        start = torch.zeros(3, outputs, dtype=torch.float64)
        step = irls_step(family, x, y, start) - newton_step(family, x, y, start)
        yield equals(f"{family}: IRLS step - Newton step", step.abs().max(), 0, 1e-12)

        def objective(flat: np.ndarray, family: Family = family, x: torch.Tensor = x, y: torch.Tensor = y) -> tuple:
            theta = torch.from_numpy(flat).view(3, -1).requires_grad_()
            loss = negative_log_likelihood(family, x @ theta, y).sum()
            loss.backward()
            assert theta.grad is not None
            return loss.item(), theta.grad.flatten().numpy()

        exact = {"method": "L-BFGS-B", "jac": True, "options": {"ftol": 0, "gtol": 1e-9, "maxiter": 500, "maxcor": 30}}
        found = optimize.minimize(objective, start.flatten().numpy(), **exact).x
        yield equals(
            f"{family}: L-BFGS - IRLS", np.abs(found - fit(family, x, y).theta.flatten().numpy()).max(), 0, 1e-8
        )
    probit = torch.special.ndtr(torch.tensor([[1.0]], dtype=torch.float64))
    gap = (probit - mean("bernoulli", torch.ones(1, 1, dtype=torch.float64))).abs()
    yield at_least("another link of the same family: |Φ(1) - σ(1)|", gap.max(), 0.1, counterexample=True)


@claim(
    "002-12",
    "maximum likelihood and maximum a posteriori",
    RIGHT,
    "a Gaussian prior makes ridge with λ = σ²/τ², a Laplace prior makes the lasso",
    "Hoerl, Kennard 1970; Tibshirani 1996",
)
def priors() -> Numbers:
    x, sigma, tau = _design(60, 5), 0.5, 0.8
    y = sample("gaussian", x @ torch.tensor([[1.0], [2], [0], [-1], [0]], dtype=torch.float64), _generator(), sigma**2)
    posterior = fit("gaussian", x, y, sigma**2, tau**-2).theta
    yield equals(
        "MAP with a Gaussian prior - ridge", (posterior - ridge(x, y, sigma**2 / tau**2)).abs().max(), 0, 1e-10
    )
    # Laplace prior of scale b: -log posterior = ||y - xw||²/2σ² + ||w||₁/b, the lasso with penalty σ²/b.
    penalty = sigma**2 / 0.02
    w = lasso(x, y[:, 0], penalty)
    pull = x.T @ (y[:, 0] - x @ w) / penalty  # must be the sign of w, or in [-1, 1] where w = 0
    yield equals("subgradient of the Laplace posterior, w ≠ 0", (pull - w.sign())[w != 0].abs().max(), 0, 1e-10)
    yield at_most("the same, w = 0", pull[w == 0].abs().max(), 1)
    yield at_least("coefficients that a Laplace prior sets to 0", int((w == 0).sum()), 1)


@claim(
    "002-13",
    "empirical and structural risk minimisation",
    RIGHT,
    "P(sup |R − R̂| > ε) ≤ 2M exp(−2nε²) for M hypotheses",
    "Hoeffding 1963; Vapnik 1998",
)
def uniform_bound() -> Numbers:
    hypotheses, samples, draws = 20, 100, 20_000
    risks = torch.linspace(0.05, 0.95, hypotheses, dtype=torch.float64)
    # Empirical risks of hypotheses that err independently: binomial counts.
    trials = torch.full((draws, hypotheses), float(samples), dtype=torch.float64)
    counts = torch.binomial(trials, risks.expand(draws, -1), generator=_generator())
    worst = (counts / samples - risks).abs().amax(1)
    for epsilon in (0.14, 0.17, 0.2):
        bound = 2 * hypotheses * math.exp(-2 * samples * epsilon**2)
        yield at_most(
            f"20 hypotheses, 100 samples: frequency of sup |R − R̂| > {epsilon}",
            (worst > epsilon).double().mean(),
            bound,
        )
    # The factor M is needed: with many hypotheses of risk 1/2 one of them is far off, and the bound for one is passed.
    many, epsilon = 1000, 0.2
    trials = torch.full((2000, many), float(samples), dtype=torch.float64)
    half = torch.full_like(trials, 0.5)
    deviations = (torch.binomial(trials, half, generator=_generator(1)) - samples / 2).abs()
    frequency = (deviations.amax(1) > round(epsilon * samples)).double().mean()
    one = 2 * math.exp(-2 * samples * epsilon**2)
    tail = 2 * stats.binom.sf(round((0.5 + epsilon) * samples), samples, 0.5)  # of one hypothesis, exactly
    what = "1000 hypotheses of risk ½, 100 samples: frequency of sup |R − R̂| > 0.2"
    yield equals(what, frequency, 1 - (1 - tail) ** many, 0.4)
    yield at_most("the same, against 2M exp(−2nε²)", frequency, many * one)
    yield at_least("the same, against ten times the bound without M", frequency, 10 * one)


@claim(
    "002-14",
    "the delta rule",
    RIGHT,
    "in batches it converges to least squares for 0 < α < 2/λ_max(XᵀX/m)",
    "Widrow, Hoff 1960",
)
def delta_rule() -> Numbers:
    x = _design(40, 4)
    y = torch.randn(40, generator=_generator(1), dtype=torch.float64)
    due = 2 / torch.linalg.eigvalsh(x.T @ x / len(x))[-1]

    def distance(alpha: float, steps: int) -> float:
        w = torch.zeros(4, dtype=torch.float64)
        for _ in range(steps):
            w = w + alpha * x.T @ (y - x @ w) / len(x)
        return float((w - least_squares(x, y)).norm())

    diverges = lambda alpha: not distance(alpha, 400) < distance(alpha, 0)  # not a number, far beyond the edge
    edge = edge_by_bisection(diverges, 0.0, 10 * float(due), steps=14)
    yield equals("largest α that does not diverge, by bisection", edge, due, 0.01)
    yield equals("distance from least squares with half of it, 2000 steps", distance(float(due) / 2, 2000), 0, 1e-12)


@claim(
    "002-18",
    "Occam's razor",
    IMPRECISE,
    "a principle, not a theorem; the Bayesian evidence makes it arithmetic",
    "MacKay 1992",
)
def occams_razor() -> Numbers:
    x = 2 * torch.rand(100, generator=_generator(), dtype=torch.float64) - 1
    noise, likelihoods, evidences = 0.3, [], []
    y = legendre(x, 3) @ torch.tensor([0.0, 1, 1, 1], dtype=torch.float64)
    y = y + noise * torch.randn(100, generator=_generator(1), dtype=torch.float64)
    for degree in range(10):
        features = legendre(x, degree)
        evidences.append(float(log_evidence(features, y, 1.0, noise**2)))
        likelihoods.append(-float((y - features @ least_squares(features, y)).square().sum()))
    design = legendre(x, 3).numpy()
    prior = stats.multivariate_normal(np.zeros(100), noise**2 * np.eye(100) + design @ design.T)
    due = prior.logpdf(y.numpy())
    yield equals("log evidence of degree 3, nats: normal density of covariance σ²I + τ²XXᵀ", evidences[3], due, 1e-10)
    yield equals("degree with the highest evidence (true degree 3)", np.argmax(evidences), 3)
    yield equals("degree with the highest likelihood, of 0 to 9", np.argmax(likelihoods), 9, counterexample=True)


@claim(
    "002-21",
    "“cross entropy not understood”",
    IMPRECISE,
    "H(p, q) = H(p) + KL(p‖q), so maximum likelihood is the smallest divergence from the data",
    "Kullback, Leibler 1951",
)
def cross_entropy_is_divergence() -> Numbers:
    p, q = torch.randn(2, 7, generator=_generator(), dtype=torch.float64).softmax(1)
    divergence = F.kl_div(q.log(), p, reduction="sum")
    cross, entropy = F.cross_entropy(q.log()[None], p[None]), stats.entropy(p.numpy())
    yield equals("H(p, q) − H(p) − KL(p‖q)", cross - entropy - divergence, 0, 1e-14)
    yield at_least("KL(p‖q)", divergence, 0)
    # Of the counts of a sample, the likelihood is highest where the divergence is lowest: at the frequencies.
    logits = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(F.cross_entropy((logits + p.log())[None], p[None]), logits)
    yield equals("gradient of the cross entropy at q = p", gradient.abs().max(), 0, 1e-14)
