"""Pictures of TensorBoard's tabs by a headless Chromium, for people to look at."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60


def find_browser() -> str | None:
    """The first Chromium on PATH, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def take(browser: str, address: str, tabs: Sequence[str], folder: Path) -> list[str]:
    """Save one picture per tab as ``folder/<tab>.png``.

    Args:
        browser: The program.
        address: Of the server, without a path.
        tabs: Names as in the address after ``#``.
        folder: Made when missing.

    Returns:
        Problems, one line each; empty when every picture was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    for tab in tabs:
        target = folder.resolve() / f"{tab}.png"
        target.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1600,1200",
                "--disable-dev-shm-usage", "--no-first-run", "--virtual-time-budget=15000",
                f"--user-data-dir={profile}", f"--screenshot={target}", f"{address}/?darkMode=false#{tab}",
            ]  # fmt: skip
            try:
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                problems.append(f"screenshot of {tab}: {error}")
                continue
        if not target.is_file():
            problems.append(f"screenshot of {tab}: {browser} wrote no picture")
    return problems
