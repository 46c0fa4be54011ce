"""The model in JAX: hand-written backpropagation through time, compiled ahead of time by XLA."""
