"""Whole experiments: planning, a run, a conformance check, an A/A self-test."""
