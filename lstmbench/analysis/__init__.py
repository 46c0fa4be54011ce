"""From a run's records to estimates, comparisons and verdicts."""
