"""The digit from five steps ago, with noise."""
