"""What the attacks found, in numbers beside the closed forms of the linear model, and in figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dashboard.style import counted
from models.robustness.attacks import OnePixel, evolve_one_pixel, fgsm, pgd
from models.robustness.certificate import exact_one_pixel
from models.robustness.victim import Victim, on_pixels
from theory.adversarial import linear_one_pixel_margins, linear_worst_margins, margins
from theory.intervals import wilson_interval


@dataclass
class Attacked:
    """The test pictures after every attack.

    Attributes:
        images: Pixels of the test pictures, shape (N, 1, H, W).
        labels: Shape (N,).
        epsilons: Sizes of the changes, E of them, the first 0.
        right: Right answers of N, for each of the rows ``fgsm``, ``pgd``, ``linear_pgd``, ``linear_exact``: E numbers.
        known: Whether each picture is classified right before any change, shape (N,).
        example: Pictures changed by FGSM at the middle ε.
        example_classes: Their new classes.
        asked: Pictures that one-pixel attacks were tried on: right ones, the first of the test set.
        exact: The best change of one pixel by exhaustive search.
        evolved: The one that differential evolution found.
        decided: Whether a picture's answer is certain, shape of ``asked``; all after a search of all values.
        spared: Share of the pixels that a certificate spared the search; None where there was nothing to search.
        one_pixel_classes: Classes of ``asked`` after ``exact``.
        linear_asked: Of the linear model: pictures classified right.
        linear_fooled: Of those, fooled by one pixel, by the closed form.
        slope: Drop of the margin of the network under a step of 1e-3 over ε ‖∂m/∂x‖₁, median; 1 for a linear model.
    """

    images: Tensor
    labels: Tensor
    epsilons: list[float]
    right: dict[str, list[int]]
    known: Tensor
    example: Tensor
    example_classes: Tensor
    asked: Tensor
    exact: OnePixel
    evolved: OnePixel
    decided: Tensor
    spared: float | None
    one_pixel_classes: Tensor
    linear_asked: int
    linear_fooled: int
    slope: float

    @property
    def middle(self) -> int:
        """Place of the ε of the examples."""
        return len(self.epsilons) // 2

    def findings(self) -> list[tuple[str, str]]:
        """One pixel first, then the sizes of FGSM and PGD, then the linear model beside its closed form."""
        fooled, found, asked = int(self.exact.fooled.sum()), int(self.evolved.fooled.sum()), len(self.asked)
        count = len(self.labels)
        unknown = asked - int(self.decided.sum())
        how = "every value of every pixel searched or certified"
        if unknown:
            how = f"only extremes were tried: at most {100 * (fooled + unknown) / asked:.1f} % by certificate"
        lines = [
            ("one pixel", f"{rate(fooled, asked)} right pictures are fooled; {how}"),
            ("one pixel, DE", f"{rate(found, asked)}; {fooled} are known to be fooled"),
        ]
        if self.spared is not None:
            text = f"{100 * self.spared:.1f} % of the pixels of the other pictures needed no search"
            lines.append(("certificate", text))
        if not asked:
            lines = [("one pixel", f"not tried: the network knows none of {counted(count, 'picture')}")]
        for place, epsilon in enumerate(self.epsilons):
            if place in (0, self.middle, len(self.epsilons) - 1):
                parts = [f"{100 * self.right[name][place] / count:.1f} %" for name in ("fgsm", "pgd")]
                exact, linear = self.right["linear_exact"][place], self.right["linear_pgd"][place]
                lines.append(
                    (
                        f"ε = {epsilon:g}",
                        f"accuracy under FGSM {parts[0]}, PGD {parts[1]}; "
                        f"linear model: PGD {100 * linear / count:.1f} %, closed form {100 * exact / count:.1f} %",
                    )
                )
        lines += [
            ("margin", f"a step of 0.001 costs {self.slope:.3f} ε‖∂m/∂x‖₁, median (a linear model: exactly 1)"),
            ("linear, one pixel", f"{rate(self.linear_fooled, self.linear_asked)} by the closed form"),
        ]
        return lines

    def metrics(self) -> dict[str, float]:
        """The same as tags."""
        asked, count = len(self.asked), len(self.labels)
        found = {
            "test/accuracy": self.right["fgsm"][0] / count,  # at ε = 0
            "test/accuracy_linear": self.right["linear_pgd"][0] / count,
        }
        if asked:
            low, high = wilson_interval(int(self.exact.fooled.sum()), asked)
            found |= {
                "test/one_pixel_rate": float(self.exact.fooled.double().mean()),
                "test/one_pixel_rate_low": low,
                "test/one_pixel_rate_high": high,
                "test/one_pixel_rate_evolved": float(self.evolved.fooled.double().mean()),
                "test/one_pixel_rate_bound": float((self.exact.fooled | ~self.decided).double().mean()),
            }
        if self.spared is not None:
            found["test/certified_share"] = self.spared
        if self.linear_asked:
            found["theory/linear_one_pixel_rate"] = self.linear_fooled / self.linear_asked
        if math.isfinite(self.slope):
            found["test/margin_slope"] = self.slope
        for place, epsilon in enumerate(self.epsilons[1:], 1):
            for name, prefix in (("fgsm", "test"), ("pgd", "test"), ("linear_pgd", "test"), ("linear_exact", "theory")):
                found[f"{prefix}/accuracy_{name}_{epsilon:g}"] = self.right[name][place] / count
            found[f"gap/linear_{epsilon:g}"] = (
                self.right["linear_pgd"][place] - self.right["linear_exact"][place]
            ) / count
        return found

    def figures(self, class_names: list[str]) -> Iterator[tuple[str, Any]]:
        """Accuracy over ε; pictures that one pixel fools; pictures that a step fools."""
        from dashboard.adversarial import accuracy_figure, changes_figure

        count = len(self.labels)
        shares = {name: np.array(values) / count for name, values in self.right.items()}
        yield "accuracy", accuracy_figure(self.epsilons, shares, 1 / len(class_names))
        images, labels = self.images[self.asked].cpu(), self.labels[self.asked].cpu()
        fooled = self.exact.fooled.cpu().nonzero()[:, 0]
        changed = self.exact.apply(self.images[self.asked]).cpu()
        if len(fooled):
            yield "one_pixel", changes_figure(
                images[fooled].numpy(), changed[fooled].numpy(), [class_names[k] for k in labels[fooled]],
                [class_names[k] for k in self.one_pixel_classes.cpu()[fooled]],
                f"one pixel fools {len(fooled)} of {counted(len(self.asked), 'picture')} that the network knows",
            )  # fmt: skip
        wrong = (self.known & (self.example_classes != self.labels)).cpu().nonzero()[:, 0]
        known = int(self.known.sum())
        if len(wrong):
            yield "fgsm", changes_figure(
                self.images.cpu()[wrong].numpy(), self.example.cpu()[wrong].numpy(),
                [class_names[k] for k in self.labels.cpu()[wrong]],
                [class_names[k] for k in self.example_classes.cpu()[wrong]],
                f"one step of ε = {self.epsilons[self.middle]:g} (FGSM): {len(wrong)} of {known} fooled, "
                f"{count - known} were wrong before",
            )  # fmt: skip


def rate(successes: int, trials: int) -> str:
    """``12.5 % (95 % Wilson 9.1 to 16.9; 25 of 200)``."""
    if not trials:
        return "none asked"
    low, high = wilson_interval(successes, trials)
    share = 100 * successes / trials
    return f"{share:.1f} % (95 % Wilson {100 * low:.1f} to {100 * high:.1f}; {successes} of {trials})"


@torch.no_grad()
def attack(
    victim: Victim,
    linear: Victim,
    images: Tensor,
    labels: Tensor,
    values: Tensor,
    epsilons: list[float],
    steps: int,
    one_pixel_images: int,
    search: bool,
    population: int,
    generations: int,
    seed: int,
) -> Attacked:
    """Runs every attack.

    Args:
        victim: In evaluation mode.
        linear: A linear model beside it.
        images: Pixels, shape (N, 1, H, W).
        labels: Shape (N,).
        values: What a pixel can hold, increasing from 0, shape (V,).
        epsilons: Sizes of FGSM and PGD, above 0.
        steps: Of PGD.
        one_pixel_images: Pictures at most on which one pixel is tried.
        search: Try all values where nothing else decides.
        population: Of differential evolution.
        generations: Of differential evolution.
        seed: Of PGD's start and of the evolution.
    """
    high = float(values[-1])
    generator = torch.Generator().manual_seed(seed)
    weight, bias = on_pixels(linear)
    flat = images.flatten(1).double()
    sizes = [0.0, *epsilons]
    right, stepped = attack_everywhere(victim, linear, images, labels, sizes, high, steps, generator)
    before = margins(victim(images), labels)
    asked = (before > 0).nonzero()[:, 0][:one_pixel_images]
    network, mean, std = victim.network, victim.mean, victim.std
    exact, decided, spared = exact_one_pixel(
        victim, network, mean=mean, std=std, images=images[asked], labels=labels[asked], values=values, search=search
    )
    evolved = evolve_one_pixel(victim, images[asked], labels[asked], values, population, generations, generator)
    knows = linear_worst_margins(weight, bias, flat, flat, labels) > 0
    one = linear_one_pixel_margins(weight, bias, flat[knows], labels[knows], 0.0, high)
    middle = len(sizes) // 2
    return Attacked(
        images=images,
        labels=labels,
        epsilons=sizes,
        right=right,
        known=before > 0,
        example=stepped[middle],
        example_classes=victim(stepped[middle]).argmax(1),
        asked=asked,
        exact=exact,
        evolved=evolved,
        decided=decided,
        spared=spared,
        one_pixel_classes=victim(exact.apply(images[asked])).argmax(1) if len(asked) else asked,
        linear_asked=int(knows.sum()),
        linear_fooled=int((one <= 0).sum()),
        slope=margin_slope(victim, images, labels),
    )


def attack_everywhere(
    victim: Victim,
    linear: Victim,
    images: Tensor,
    labels: Tensor,
    sizes: Sequence[float],
    high: float,
    steps: int,
    generator: torch.Generator,
) -> tuple[dict[str, list[int]], list[Tensor]]:
    """FGSM and PGD, which change all pixels, at several sizes; the linear model beside its exact worst case.

    Args:
        victim: In evaluation mode.
        linear: The linear model.
        images: Pixels, shape (N, 1, H, W).
        labels: Shape (N,).
        sizes: Of the changes.
        high: The largest value of a pixel; the least is 0.
        steps: Of PGD.
        generator: Of PGD's start.

    Returns:
        `Attacked.right`, and the pictures after FGSM at each size.
    """
    weight, bias = on_pixels(linear)
    flat = images.flatten(1).double()
    right: dict[str, list[int]] = {"fgsm": [], "pgd": [], "linear_pgd": [], "linear_exact": []}
    stepped = []
    for epsilon in sizes:
        stepped.append(fgsm(victim, images, labels, epsilon, high))
        rows = {
            "fgsm": margins(victim(stepped[-1]), labels),
            "pgd": margins(victim(pgd(victim, images, labels, epsilon, high, steps, generator)), labels),
            "linear_pgd": margins(linear(pgd(linear, images, labels, epsilon, high, steps, generator)), labels),
            "linear_exact": linear_worst_margins(
                weight, bias, (flat - epsilon).clamp(0, high), (flat + epsilon).clamp(0, high), labels
            ),
        }
        for name, margin in rows.items():
            right[name].append(int((margin > 0).sum()))
    return right, stepped


def margin_slope(victim: Victim, images: Tensor, labels: Tensor, epsilon: float = 1e-3) -> float:
    """Median over the pictures of the margin's drop over ε ‖∂m/∂x‖₁, without the limits of the pixels' range."""
    with torch.inference_mode(False), torch.enable_grad():
        x, y = images.clone().requires_grad_(), labels.clone()
        gradient = torch.autograd.grad(margins(victim(x), y).sum(), x)[0]
    with torch.no_grad():
        drop = margins(victim(images), labels) - margins(victim(images - epsilon * gradient.sign()), labels)
    return float((drop / (epsilon * gradient.abs().sum((1, 2, 3))).clamp_min(1e-12)).median())
