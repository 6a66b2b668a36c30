"""The page ``docs/claims.md``: every statement, its verdict, its correct form, and its numbers beside those due."""

from __future__ import annotations

from collections.abc import Sequence

from claims.catalogue import ARTICLES, WITHOUT_EXPERIMENT, Unchecked
from claims.registry import Claim
from claims.report import as_text, role
from claims.runner import Outcome

INTRODUCTION = """# Every statement as something you can run

Five popular articles on the mathematics of deep learning make {total} statements. {checked} of them have a check, a
small function in `claims/` that computes the numbers that decide; `python -m claims ID` runs one, `python -m claims`
all. A statement is *right* as written, *imprecise* (true after adding a condition, or in part) or *wrong*; a wrong one
has numbers that refute it and numbers that hold for its repair. Checks that take long run with `--all` only;
where it says *measured earlier*, the numbers are those of the last such run. This page is written by

```
{command}
```

| article | title | right | imprecise | wrong | no experiment |
| --- | --- | ---: | ---: | ---: | ---: |
{overview}
"""


def cell(text: str) -> str:
    """A text that cannot end its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def number_lines(claim: Claim, outcome: Outcome) -> str:
    """All numbers of a claim in one cell, or why there is none."""
    if outcome.skipped and not outcome.numbers:
        return f"skipped: {cell(outcome.skipped)}"
    lines = []
    if outcome.skipped:
        lines.append(f"*measured earlier* by `python -m claims {claim.id}`:")
    for number in outcome.numbers:
        measured, due, tolerance = as_text(number)
        part = role(claim, number)
        label = f"*{part}* " if part else ""
        mark = "" if number.passed else "**failed** "
        note = f" ({tolerance})" if tolerance else ""
        lines.append(f"{mark}{label}{cell(number.what)}: {measured} {due}{note}")
    if outcome.error:
        lines.append(f"**failed** {cell(outcome.error)}")
    return "<br>".join(lines)


def overview_row(article: str, claims: Sequence[Claim]) -> str:
    """How many statements of the article are of which kind."""
    own = [claim for claim in claims if claim.id.startswith(article)]
    counts = [sum(claim.verdict == verdict for claim in own) for verdict in ("right", "imprecise", "wrong")]
    without = sum(id.startswith(article) for id in WITHOUT_EXPERIMENT)
    return f"| {article} | {ARTICLES[article].title} | {counts[0]} | {counts[1]} | {counts[2]} | {without} |"


def page(claims: Sequence[Claim], outcomes: Sequence[Outcome], command: str) -> str:
    """The whole page.

    Args:
        claims: In the order of their ids.
        outcomes: One for each claim.
        command: The one that writes this page.
    """
    by_id = {outcome.id: (claim, outcome) for claim, outcome in zip(claims, outcomes, strict=True)}
    overview = "\n".join(overview_row(article, claims) for article in ARTICLES)
    total = sum(article.statements for article in ARTICLES.values())
    parts = [INTRODUCTION.format(total=total, checked=len(claims), command=command, overview=overview)]
    for article, about in ARTICLES.items():
        parts.append(f"## {article}: {about.title}\n")
        rows = ["| id | the article says | verdict | correct form (source) | measured and due |",
                "| --- | --- | --- | --- | --- |"]  # fmt: skip
        ids = sorted(id for id in {*by_id, *WITHOUT_EXPERIMENT} if id.startswith(article))
        rows += [checked_row(*by_id[id]) if id in by_id else unchecked_row(id, WITHOUT_EXPERIMENT[id]) for id in ids]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def checked_row(claim: Claim, outcome: Outcome) -> str:
    """One claim."""
    source = f" ({cell(claim.source)})" if claim.source else ""
    numbers = number_lines(claim, outcome)
    return f"| {claim.id} | {cell(claim.said)} | {claim.verdict} | {cell(claim.correct)}{source} | {numbers} |"


def unchecked_row(id: str, statement: Unchecked) -> str:
    """One statement without an experiment."""
    return f"| {id} | – | {statement.verdict} | {cell(statement.correct)} | no experiment: {cell(statement.why)} |"
