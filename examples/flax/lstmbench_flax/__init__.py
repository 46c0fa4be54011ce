"""flax.nnx's LSTM, trained with optax, as a backend of lstmbench."""
