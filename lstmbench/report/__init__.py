"""The answer of a run: numbers (summary), words (document), and one short file a format."""
