"""PyTorch's own nn.LSTM, on CPU and CUDA."""
