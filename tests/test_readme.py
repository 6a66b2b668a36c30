"""What README.md shows as Python runs as it stands, and its links lead somewhere."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.conftest import Trained

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_python_of_the_readme_runs(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.png", "b.png")):
        paper = Image.new("L", (32, 32), 255)
        paper.paste(0, (14, 4, 18 + number, 28))
        paper.save(name)
    names: dict[str, object] = {}
    exec(code.replace('"RUN"', f'"{trained.folder}"'), names)
    for name, shape in {"logits": (16, 10), "probabilities": (2, 10), "features": (1, 256)}.items():
        values = names[name]
        assert isinstance(values, torch.Tensor)
        assert values.shape == shape, name
        assert bool(torch.isfinite(values).all())
    assert torch.allclose(names["probabilities"].sum(1), torch.ones(2))  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.is_file(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}, target


def test_every_page_is_linked_from_the_readme() -> None:
    front = PAGES[0].read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in front] == []
