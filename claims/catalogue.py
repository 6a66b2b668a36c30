"""All statements of the five articles: which are checked where, and why some have no experiment.

The topic modules of this room register their claims when they are imported. One id needs only its own module, which is
found by reading the sources; a search needs them all.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from claims.registry import CLAIMS, Claim

FRAMEWORK = {"__main__", "catalogue", "page", "registry", "report", "runner", "sources"}


@dataclass(frozen=True)
class Article:
    """One article: its title and how many statements were taken from it, numbered from 01."""

    title: str
    statements: int


ARTICLES = {
    "000": Article("Mathematical principles of AI algorithms", 36),
    "001": Article("Mathematical foundations of deep learning: neural networks, gradient descent, loss functions", 26),
    "002": Article("The mathematical foundations of deep learning (lecture notes)", 23),
    "003": Article("A first look at deep learning", 33),
    "004": Article("The mathematics behind convolutional networks", 21),
}
IDS = tuple(f"{name}-{number:02d}" for name, one in ARTICLES.items() for number in range(1, one.statements + 1))


@dataclass(frozen=True)
class Unchecked:
    """A statement without an experiment.

    Attributes:
        verdict: What is to be thought of it.
        correct: The correct form, or where it is found.
        why: Why there is nothing to measure.
    """

    verdict: str
    correct: str
    why: str


_TEXTBOOK = "a textbook fact without a number of its own"
_SCOPE = "it is about what the word means, and no number decides that"

WITHOUT_EXPERIMENT = {
    "000-10": Unchecked("right", "the rational numbers are dense and countable (Cantor 1874)", _TEXTBOOK),
    "000-36": Unchecked("metaphor", "its exact form is minimum description length (Rissanen 1978)", _SCOPE),
    "001-01": Unchecked("imprecise", "this describes supervised learning only", _SCOPE),
    "001-02": Unchecked(
        "imprecise",
        "universality holds on compact sets, and most functions are not even computable",
        "what can be measured of it is measured at 000-18",
    ),
    "001-05": Unchecked("imprecise", "a vanishing derivative is necessary, not sufficient", "it is measured at 001-18"),
    "001-09": Unchecked("imprecise", "regression is supervised learning too", _SCOPE),
    "001-21": Unchecked(
        "right", "up to the sign: partial derivatives add up as vectors", "what it says is measured at 001-19"
    ),
    "002-01": Unchecked("right", "linear algebra, probability and optimisation are the foundations", _SCOPE),
    "002-02": Unchecked("imprecise", "fitting every sample is not required; generalising is", _SCOPE),
    "002-10": Unchecked("right", "model, strategy and algorithm: Li Hang's division of a learning method", _SCOPE),
    "003-02": Unchecked("opinion", "networks are opaque and hard to debug", "an opinion; 003-01 measures a part of it"),
    "003-16": Unchecked("typo", "the training loss is Σ ℓ(F(xᵢ), yᵢ)", "a slip of the pen"),
    "003-23": Unchecked("dated", "three layers were the rule before 2012", "a remark on its time"),
    "003-31": Unchecked(
        "imprecise",
        "Gaussian and softmax units exist in RBMs (Welling 2004); a sigmoid autoencoder's outputs are bounded",
        _SCOPE,
    ),
    "003-32": Unchecked(
        "right",
        "autoencoders are trained by back-propagation, RBMs by sampled likelihood",
        "what it says is measured at 003-25 and 003-28",
    ),
    "004-12": Unchecked("right", "an activation makes a network nonlinear", "it is measured at 000-14"),
}


def topics() -> dict[str, str]:
    """Module name → source text of every topic of this room."""
    folder = Path(__file__).parent
    names = [module.name for module in pkgutil.iter_modules([str(folder)]) if module.name not in FRAMEWORK]
    return {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in sorted(names)}


def topic_of(claim: Claim) -> str:
    """Name of the module that checks the claim."""
    return claim.check.__module__.rpartition(".")[2]


def load(ids: set[str] | None = None) -> tuple[dict[str, Claim], dict[str, str]]:
    """Imports the topics that check ``ids`` (all by default).

    Returns:
        The claims registered by now, in the order of their ids, and for each module that could not be imported a line
        that says why.
    """
    broken = {}
    for name, text in topics().items():
        if ids is not None and not ids & set(re.findall(r'"(\d{3}-\d{2})"', text)):
            continue
        try:
            importlib.import_module(f"claims.{name}")
        except Exception as error:
            broken[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return dict(sorted(CLAIMS.items())), broken


def unknown_id(given: str) -> str:
    """Says that there is no such id, which are nearest, and which there are."""
    article = given[:3]
    message = f"no statement {given!r}"
    parts = re.findall(r"\d+", given)
    padded = f"{int(parts[0]):03d}-{int(parts[1]):02d}" if len(parts) == 2 else ""  # 0-2 for 000-02
    near = [padded] if padded in IDS else get_close_matches(given, IDS, n=1, cutoff=0.5)
    if near:
        message += f", did you mean {near[0]}?"
    if article in ARTICLES:
        return f"{message}; article {article} has {article}-01 to {article}-{ARTICLES[article].statements:02d}"
    return f"{message}; articles: {', '.join(ARTICLES)}"


def unknown_article(given: str) -> str:
    """Says which articles there are."""
    return f"no article {given!r}; known: " + ", ".join(f"{name} ({one.title})" for name, one in ARTICLES.items())


def holds(words: list[str], *texts: str) -> bool:
    """Whether every word occurs in one of the texts, in any case."""
    together = " ".join(texts).casefold()
    return all(word.casefold() in together for word in words)
