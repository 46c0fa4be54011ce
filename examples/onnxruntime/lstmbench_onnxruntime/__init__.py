"""ONNX Runtime's LSTM as a backend of lstmbench, for inference."""
