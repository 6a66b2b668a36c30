"""How a claim and its outcome look in a terminal: what is said, what is right, and each number beside the one due."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from claims.catalogue import Unchecked
from claims.registry import Claim, Number
from claims.runner import Outcome

VERDICT_STYLE = {"right": "green", "imprecise": "yellow", "wrong": "red"}
STATE_STYLE = {"passed": "green", "failed": "bold red", "skipped": "dim"}


def digits_for(tolerance: float) -> int:
    """Significant digits that show a number as exactly as it is decided, 4 to 12."""
    return 12 if tolerance <= 0 else min(max(2 - math.floor(math.log10(tolerance)), 4), 12)


def written(value: float, tolerance: float, beside_zero: bool = False) -> str:
    """A number in as many digits as decide; rounding errors beside a due 0 in two."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    value += 0.0  # no −0
    digits = 2 if beside_zero else digits_for(tolerance)
    return f"{value:.{digits}g}".replace("-", "−")


def as_text(number: Number) -> tuple[str, str, str]:
    """Measured, relation with the number due, and tolerance."""
    # A bound needs no more digits than tell its sides apart; its tolerance is what rounding may add.
    shown = number.tolerance if number.relation == "=" else 1e-4
    measured, due = written(number.measured, shown, number.due == 0), written(number.due, shown)
    if number.relation != "=" and measured == due and number.measured != number.due:
        measured, due = written(number.measured, 0), written(number.due, 0)
    kind = "absolute" if number.due == 0 or number.relation != "=" else "relative"
    tolerance = "exactly" if number.tolerance == 0 and number.relation == "=" else ""
    if number.tolerance:
        tolerance = f"± {number.tolerance:.2g} {kind}".replace("e-0", "e-").replace("e-", "e−")
    return measured, f"{number.relation} {due}", tolerance


def role(claim: Claim, number: Number) -> str:
    """In a wrong statement: whether the number refutes it or belongs to its repair."""
    if number.counterexample:
        return "refutes"
    return "repairs" if claim.verdict == "wrong" else ""


def numbers_table(claim: Claim, outcome: Outcome) -> Table:
    """One row for each number."""
    table = Table.grid(padding=(0, 2))
    table.add_column(ratio=1)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    for number in outcome.numbers:
        measured, due, tolerance = as_text(number)
        mark = Text("✓", "green") if number.passed else Text("✗", "bold red")
        table.add_row(
            Text.assemble(mark, " ", number.what),
            Text(role(claim, number), "red" if number.counterexample else "green"),
            Text(measured, "" if number.passed else "bold red"),
            due,
            Text(tolerance, "dim"),
        )
    return table


def facts(rows: Sequence[tuple[str, RenderableType]]) -> Table:
    """Names at the left, texts at the right."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, text in rows:
        table.add_row(name, text)
    return table


def block(claim: Claim, outcome: Outcome) -> RenderableType:
    """Everything about one claim."""
    head = Text.assemble(
        (claim.id, "bold"),
        "  ",
        (claim.verdict, VERDICT_STYLE[claim.verdict]),
        "  ",
        (outcome.state, STATE_STYLE[outcome.state]),
        ("" if outcome.skipped else f"  {outcome.seconds:.2f} s", "dim"),
    )
    rows: list[tuple[str, RenderableType]] = [("said", Text(claim.said)), ("correct", Text(claim.correct))]
    if claim.source:
        rows.append(("source", Text(claim.source)))
    if outcome.skipped:
        rows.append(("skipped", Text(outcome.skipped + ("; numbers of an earlier run" if outcome.numbers else ""))))
    if outcome.numbers:
        rows.append(("numbers", numbers_table(claim, outcome)))
    if outcome.error:
        rows.append(("broken", Text(outcome.error, "bold red")))
    return Group(head, Padding(facts(rows), (0, 0, 1, 2), expand=False))


def unchecked_block(id: str, statement: Unchecked) -> RenderableType:
    """A statement without an experiment."""
    head = Text.assemble((id, "bold"), "  ", statement.verdict, "  ", ("no experiment", "dim"))
    rows: list[tuple[str, RenderableType]] = [("correct", Text(statement.correct)), ("why", Text(statement.why))]
    return Group(head, Padding(facts(rows), (0, 0, 1, 2), expand=False))


def summary(claims: Sequence[Claim], outcomes: Sequence[Outcome], seconds: float) -> list[str]:
    """The last lines: how many hold, which do not, and what was left out."""
    ran = [outcome for outcome in outcomes if not outcome.skipped]
    passed = sum(not outcome.failed for outcome in ran)
    failed = [outcome.id for outcome in outcomes if outcome.failed]
    skipped = [outcome for outcome in outcomes if outcome.skipped]
    numbers = sum(len(outcome.numbers) for outcome in ran)
    verdicts = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in VERDICT_STYLE}
    lines = [
        f"{passed} of {len(ran)} checks passed, {numbers} numbers, {seconds:.1f} s; "
        + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        + (" (with those skipped)" if skipped else "")
    ]
    if skipped:
        reasons: dict[str, list[str]] = {}
        for outcome in skipped:
            reasons.setdefault(outcome.skipped, []).append(outcome.id)
        lines += [f"skipped {' '.join(ids)}: {reason}" for reason, ids in reasons.items()]
    if failed:
        lines.append(f"FAILED {' '.join(failed)}")
    return lines


class OpenConsole(Console):
    """Lets the program say that its reader has gone; rich would end it with status 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Raised while a BrokenPipeError is handled: that one goes on."""
        raise


def consoles(width: int = 110) -> tuple[Console, Console]:
    """Where results and where progress are written: the same terminal, or stdout and stderr apart.

    A pipe or a file gets lines of ``width`` characters; a terminal its own.
    """
    out = OpenConsole(highlight=False)
    if out.is_terminal:
        return out, out
    return OpenConsole(highlight=False, width=width), Console(stderr=True)
