"""A run's folder on disk, and its observations as a table."""
