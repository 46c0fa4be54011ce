"""Each digit a permutation of the last, with noise."""
