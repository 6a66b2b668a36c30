"""The examples in the documentation give what they say."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "page",
    [
        "adversarial",
        "autoencoder",
        "autoencoder-vs-rbm",
        "convolution",
        "energy",
        "generalisation",
        "geometry",
        "glm",
        "gradient-flow",
        "neural-distance",
    ],
)
def test_examples(page: str) -> None:
    result = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0
