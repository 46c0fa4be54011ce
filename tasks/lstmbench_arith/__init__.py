"""Arithmetic progressions modulo 10, with noise."""
