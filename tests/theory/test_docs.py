"""The examples in the documentation give what they say."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
FEW = {"fine-tuning": 3}  # examples of a page that has fewer than six


@pytest.mark.parametrize(
    "page",
    [
        "adversarial",
        "autoencoder",
        "autoencoder-vs-rbm",
        "convolution",
        "energy",
        "fine-tuning",
        "generalisation",
        "geometry",
        "glm",
        "gradient-flow",
        "neural-distance",
    ],
)
def test_examples(page: str) -> None:
    result = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False)
    assert result.attempted >= FEW.get(page, 6)
    assert result.failed == 0
