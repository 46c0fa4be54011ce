"""The model in NumPy: hand-written backpropagation through time, without allocation."""
