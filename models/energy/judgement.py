"""What a trained machine says about pictures it has not seen: nats a picture, with log Z exact or fenced in.

The likelihood log p(v) = -F(v) - log Z is judged on the same pictures by everything that can be known: the count of all
states where there are few enough, annealed importance sampling from below and from above, the closed form of
independent pixels, and a published record.

Letters: N pictures, C chains, V visible units, K temperatures.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dashboard.style import counted
from models.energy.machine import RBM, coin
from theory.ais import LogZ, backward_log_z, base_logits, forward_log_z
from theory.rbm import MOST_COUNTABLE_UNITS, exact_samples, log_partition

MOST_TERMS = 2**26  # of a pseudo-likelihood, one for each hidden unit and turned pixel


@dataclass(frozen=True)
class Annealing:
    """Both estimates of log Z with a number of temperatures.

    Attributes:
        steps: K.
        forward: From independent pixels to the model.
        backward: From the model to independent pixels.
    """

    steps: int
    forward: LogZ
    backward: LogZ

    @property
    def doubtful(self) -> bool:
        """Whether an error is unknown, or the two estimates are further apart than four of their errors together."""
        apart = abs(self.backward.value - self.forward.value)
        error = math.hypot(self.forward.error, self.backward.error)
        # Floats of log Z carry no more than about ten digits through thousands of temperatures.
        return not apart <= 4 * error + 1e-6 * (1 + abs(self.forward.value))


@dataclass(frozen=True)
class Judgement:
    """What was measured on the test pictures.

    Attributes:
        minus_free_energy: Mean of -F(v) in nats.
        exact: log Z by counting, or None.
        annealings: By number of temperatures, the largest last; none where log Z was only counted.
        independent: Log-likelihood of independent pixels, nats a picture.
        fantasies: Probabilities of pixels in samples of the model, shape (C, V).
        scheme: How pixels became black and white.
    """

    minus_free_energy: float
    exact: float | None
    annealings: list[Annealing]
    independent: float
    fantasies: Tensor
    scheme: str

    @property
    def last(self) -> Annealing | None:
        """The annealing with most temperatures."""
        return self.annealings[-1] if self.annealings else None

    @property
    def log_z(self) -> float:
        """By counting, else the larger of the two estimates: the one that flatters less."""
        if self.exact is not None:
            return self.exact
        assert self.last is not None, "neither counted nor annealed"
        return max(self.last.forward.value, self.last.backward.value)

    @property
    def log_likelihood(self) -> float:
        """Nats a picture."""
        return self.minus_free_energy - self.log_z

    @property
    def interval(self) -> tuple[float, float] | None:
        """Nats a picture between which annealing leaves the likelihood; None where it is not to be trusted.

        The bounds ± a standard error each, whichever lies above: where they nearly coincide, chance may exchange them.
        """
        if self.last is None or self.last.doubtful:
            return None
        ways = (self.last.forward, self.last.backward)
        ends = [way.bound + sign * way.bound_error for way in ways for sign in (-1, 1)]
        return self.minus_free_energy - max(ends), self.minus_free_energy - min(ends)

    def metrics(self) -> dict[str, float]:
        """Tags for ``metrics.json``; an error that is unknown has none, nor has an interval not to be trusted."""
        values = {
            "test/log_likelihood": self.log_likelihood,
            "theory/log_likelihood_independent_pixels": self.independent,
        }
        if self.interval is not None:
            values["test/log_likelihood_low"], values["test/log_likelihood_high"] = self.interval
        if self.exact is not None:
            values["theory/log_z"] = self.exact
        if self.last is None:
            return values
        forward, backward = self.last.forward, self.last.backward
        for name, way in (("forward", forward), ("backward", backward)):
            values |= {f"test/log_z_{name}": way.value, f"test/log_z_{name}_effective_chains": way.effective}
            if not math.isnan(way.error):
                values[f"test/log_z_{name}_error"] = way.error
        values["gap/log_z_backward_forward"] = backward.value - forward.value
        if self.exact is not None:
            values["gap/log_z"] = forward.value - self.exact
        return values

    def findings(self, record: float | None = None, record_source: str = "") -> list[tuple[str, str]]:
        """Lines of the result."""
        lines = [
            ("log-likelihood", f"{self.log_likelihood:.2f} nats a test picture ({self.how}; {self.scheme})"),
            ("independent pixels", f"{self.independent:.2f} nats, in closed form: a machine without weights"),
        ]
        if record is not None:
            ahead = self.log_likelihood - record
            lines.append(("published", f"{record:.2f} nats ({record_source}); here {ahead:+.2f}"))
        if self.exact is not None:
            lines.append(("log Z by counting", f"{self.exact:.4f} nats"))
        if self.last is None:
            return lines
        forward, backward = self.last.forward, self.last.backward
        for name, way, side in (("forward", forward, "from below"), ("backward", backward, "from above")):
            text = f"{way.value:.3f} {self.doubt(way)}; {side} {way.bound:.3f} ± {way.bound_error:.3f}"
            lines.append((f"log Z {name}", text))
        if self.last.doubtful:
            gap = f"backward − forward = {backward.value - forward.value:+.3f} nats"
            lines.append(("annealing", f"not to be trusted: {gap}; more --model.ais_temperatures bring them together"))
        return lines

    @property
    def how(self) -> str:
        """How log Z was found, and what that leaves open."""
        if self.exact is not None:
            return "log Z counted exactly"
        if self.interval is None:
            return "by annealing that is not to be trusted"
        low, high = self.interval
        return f"by annealing between {low:.2f} and {high:.2f}, its bounds ± a standard error each"

    def doubt(self, way: LogZ) -> str:
        """What follows an estimate: its error and, where log Z was counted, how it compares with the truth."""
        if math.isnan(way.error):
            off = "" if self.exact is None else f", {way.value - self.exact:+.3f} from exact"
            return f"nats{off}, error unknown: {few(way)}"
        if self.exact is None or way.error == 0:  # 0 where every chain had one weight: nothing to measure in
            return f"± {way.error:.3f} nats"
        return f"± {way.error:.3f} nats, {(way.value - self.exact) / way.error:+.1f} standard errors from exact"


def few(way: LogZ) -> str:
    """Why an estimate has no error."""
    return f"{way.effective:.1f} of {counted(way.chains, 'chain')} carry the weight"


@torch.no_grad()
def fantasies(rbm: RBM, start: Tensor, sweeps: int) -> tuple[Tensor, Tensor]:
    """Samples after some sweeps from given pictures: probabilities of the pixels and pixels, both of shape (C, V)."""
    _, _, h = rbm.gibbs(coin(rbm.hidden_given_visible(start)), sweeps)
    probabilities = rbm.visible_given_hidden(h)
    return probabilities, coin(probabilities)


@torch.no_grad()
def judge(
    rbm: RBM,
    v: Tensor,
    start: Tensor,
    mean: Tensor,
    count: int,
    *,
    steps: int | None,
    sweeps: int,
    exact: bool,
    scheme: str,
) -> Judgement:
    """Judges a machine.

    Args:
        rbm: The machine.
        v: Test pictures, shape (N, V).
        start: Training pictures from which the model's samples start, one a chain, shape (C, V).
        mean: Share of the training pictures in which each pixel is on, shape (V,).
        count: Number of training pictures.
        steps: Temperatures of annealing; a tenth of them and a hundredth are tried too, to show that it has settled.
            None for no annealing, where all states are counted.
        sweeps: Gibbs sweeps after which samples count as the model's.
        exact: Whether to count all states; the backward chains then start from exact samples.
        scheme: How pixels became black and white.

    Returns:
        The judgement.
    """
    base = base_logits(mean, count)
    terms = rbm.terms()
    energies = torch.cat([rbm.free_energy(part) for part in v.split(2000)]).double()
    probabilities, samples = fantasies(rbm, start, sweeps)
    if exact:
        samples = exact_samples(len(start), *terms)
        probabilities = rbm.visible_given_hidden(coin(rbm.hidden_given_visible(samples)))
    annealings = []
    for number in sorted({max(steps // 100, 20), max(steps // 10, 20), steps}) if steps is not None else ():
        forward = forward_log_z(*terms, base, steps=number, chains=len(start))
        annealings.append(Annealing(number, forward, backward_log_z(samples, *terms, base, steps=number)))
    return Judgement(
        minus_free_energy=-float(energies.mean()),
        exact=float(log_partition(*terms)) if exact else None,
        annealings=annealings,
        independent=independent_pixels(v, base),
        fantasies=probabilities.cpu(),
        scheme=scheme,
    )


def independent_pixels(v: Tensor, base: Tensor) -> float:
    """Log-likelihood of independent pixels, nats a picture. Args: pictures v (N, V), logits of the pixels base (V,)."""
    return float((v.mean(0) @ base) - F.softplus(base).sum())


def turned_pixels(count: int, visible: int, hidden: int, seed: int) -> Tensor | None:
    """Which pixels are turned for the pseudo-likelihood of some pictures: all where that takes at most 2^26 terms.

    Elsewhere each picture has as many as that leaves it, evenly spaced from a place of its own: each pixel is as likely
    as any other, and all calls give the same ones.

    Args:
        count: N.
        visible: V.
        hidden: H.
        seed: Of the places.

    Returns:
        None for all pixels, or int64 on the CPU, shape (N, P), without repetition in a picture.
    """
    each = max(1, MOST_TERMS // max(count * hidden, 1))
    if each >= visible:
        return None
    first = torch.randint(visible, (count, 1), generator=torch.Generator().manual_seed(seed))
    return (first + torch.arange(each) * visible // each) % visible


def countable(visible: int, hidden: int) -> bool:
    """Whether Z can be counted: at most 20 units on one side."""
    return min(visible, hidden) <= MOST_COUNTABLE_UNITS
