"""Which code, on which machine: what a run records so that unlike runs are not taken for repetitions of each other."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "torchvision", "lightning", "numpy", "tensorboard")
PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("data", "models", "theory", "trainer")  # what decides a run's weights and figures


@cache
def code_digest(project: Path = PROJECT) -> str:
    """The first 12 digits of the SHA-256 of all Python files that decide a run's weights and figures."""
    digest = hashlib.sha256()
    for file in sorted(file for room in ROOMS for file in (project / room).rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(project).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def versions() -> dict[str, str]:
    """Versions of Python, of the libraries that decide a result, and of the project's own code."""
    libraries = {name: version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **libraries, "code": code_digest()}


def other_code(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed between two records of `versions`: ``torch 2.11.0, now 2.12.0``; what one lacks is not known."""
    return [f"{name} {then[name]}, now {now[name]}" for name in then if name in now and then[name] != now[name]]
