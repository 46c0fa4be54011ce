"""An LSTM for the CPU, compiled with Numba."""
