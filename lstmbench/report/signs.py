"""The signs of what came of a check, the same in every format."""

SIGNS = {
    "passed": "✓",
    "passed as approximate": "≈",
    "failed": "✗",
    "not seen": "?",
    "not claimed": "–",
    "not run": "–",
}
"""By the outcome of a rung, or the status of a contender."""
