"""The score sheet of the fault suite: one number from 0 to 3 for each case.

0 is silently wrong, 1 is a crash whose cause is unclear, 2 is a clear error that names the file or the option, 3
recovers correctly and says so. Where an error is the right answer (`bench.faults.ERROR_IS_RIGHT`), 2 is full marks. A
test calls :func:`record` after its assertions have passed, so that a score is never better than the behaviour that was
seen. What other tools make of such faults: ``python -m bench faults``.
"""

from __future__ import annotations

SCORES: dict[str, int] = {}


def record(case: str, score: int) -> int:
    """Note the score of one fault case; a case that is tested in parts keeps its lowest score.

    Args:
        case: Identifier from the fault suite, such as ``"D4"``.
        score: 0, 1, 2 or 3.

    Returns:
        The score kept for the case.

    Raises:
        ValueError: If the score is not 0, 1, 2 or 3, or is below 2, which no test of ours may accept.
    """
    if score not in (0, 1, 2, 3):
        raise ValueError(f"score of {case} must be 0, 1, 2 or 3, got {score!r}")
    if score < 2:
        raise ValueError(f"{case} scored {score}: a fault must end in a clear error (2) or in a recovery (3)")
    SCORES[case] = min(score, SCORES.get(case, 3))
    return SCORES[case]
