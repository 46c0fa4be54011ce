"""Digits written by a fixed random teacher network."""
