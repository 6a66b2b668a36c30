"""The page ``docs/claims.md``: every statement, its verdict, its correct form, and its numbers beside those due."""

from __future__ import annotations

from collections.abc import Sequence

from claims.catalogue import ARTICLES, WITHOUT_EXPERIMENT, Unchecked
from claims.registry import Claim
from claims.report import as_text, role
from claims.runner import Outcome

INTRODUCTION = """# Every statement as something you can run

Five popular texts on the mathematics of deep learning, here by number and title, make {total} statements, put in short
words of ours. {checked} of them have a check, a small function in `claims/` that computes the numbers that decide.
`python -m claims` runs all but the long ones, `--all` those too; `python -m claims ID` runs one, long or not. A
statement is *right* as written, *imprecise* (true after adding a condition, or in part) or *wrong*; a wrong one has
numbers that refute it and others that hold for its repair; where what refutes it is the repair, as in 003-03 and
003-04, the others show that it is no accident. {earlier}This page is written by

```
{command}
```

| article | title | right | imprecise | wrong | no experiment |
| --- | --- | ---: | ---: | ---: | ---: |
{overview}
"""
EARLIER = """Where it says *measured earlier*, the numbers are those of the last run of a long check.
"""


def cell(text: str) -> str:
    """A text that cannot end its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def number_rows(claim: Claim, outcome: Outcome) -> list[str]:
    """What was measured beside what is due, as a table, or why there is nothing."""
    if outcome.skipped and not outcome.numbers:
        return [f"Skipped: {cell(outcome.skipped)}."]
    lines = []
    if outcome.skipped:
        lines += [f"*Measured earlier* by `python -m claims {claim.id}`:", ""]
    if outcome.numbers:
        lines += ["| number | measured | due | tolerance |", "| --- | ---: | --- | --- |"]
    for number in outcome.numbers:
        measured, due, tolerance = as_text(number)
        part = role(claim, number)
        label = f"*{part}:* " if part else ""
        mark = "" if number.passed else "**failed** "
        lines.append(f"| {mark}{label}{cell(number.what)} | {measured} | {due} | {tolerance} |")
    if outcome.error:
        lines += ["", f"**failed** {cell(outcome.error)}"]
    return lines


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
    earlier = EARLIER if any(outcome.skipped and outcome.numbers for outcome in outcomes) else ""
    words = {"total": total, "checked": len(claims), "command": command, "overview": overview, "earlier": earlier}
    parts = [INTRODUCTION.format(**words)]
    for article, about in ARTICLES.items():
        parts.append(f"## {article}: {about.title}\n")
        ids = sorted(id for id in {*by_id, *WITHOUT_EXPERIMENT} if id.startswith(article))
        parts += [section(*by_id[id]) if id in by_id else unchecked(id, WITHOUT_EXPERIMENT[id]) for id in ids]
    return "\n".join(parts)


def section(claim: Claim, outcome: Outcome) -> str:
    """One claim: what is said, what holds, and the numbers that decide."""
    source = f" ({cell(claim.source)})" if claim.source else ""
    lines = [f"### {claim.id}: {claim.verdict}", "", f"**Said:** {cell(claim.said)}.", ""]
    lines += [f"**Correct:** {cell(claim.correct)}{source}.", "", *number_rows(claim, outcome)]
    return "\n".join(lines) + "\n"


def unchecked(id: str, statement: Unchecked) -> str:
    """One statement without an experiment."""
    lines = [f"### {id}: {statement.verdict}", "", f"**Correct:** {cell(statement.correct)}.", ""]
    return "\n".join([*lines, f"No experiment: {cell(statement.why)}."]) + "\n"
