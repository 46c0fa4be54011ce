"""The readable reference, in NumPy."""
