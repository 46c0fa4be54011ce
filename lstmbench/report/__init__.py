"""The answer of a run, in one file for each output format."""
