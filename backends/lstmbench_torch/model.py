"""The model as a PyTorch module; the formulas are in `lstmbench.interface.parameters`."""

import torch
from torch import Tensor, nn

from lstmbench import ModelSpec, Parameters


class Network(nn.Module):
    """One-hot digits (T, B) -> nn.LSTM -> Linear; time-major, as the kernels work inside.

    nn.LSTM has two biases a layer that are only ever added. The second is frozen at zero:
    were both trained, Adam would move their sum twice as fast.
    """

    def __init__(self, model: ModelSpec, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        vocabulary, hidden = model.vocabulary, model.hidden
        self.lstm = nn.LSTM(vocabulary, hidden, model.layers, device=device, dtype=dtype)
        self.linear = nn.Linear(hidden, vocabulary, device=device, dtype=dtype)
        self.one_hot = torch.eye(vocabulary, device=device, dtype=dtype)
        for layer in range(model.layers):
            self._of_layer("bias_hh", layer).requires_grad_(False).zero_()

    def _of_layer(self, kind: str, layer: int) -> nn.Parameter:
        return self.lstm.get_parameter(f"{kind}_l{layer}")

    def canonical(self) -> dict[str, nn.Parameter]:
        """Return the trainable parameters by canonical name, in canonical order."""
        result: dict[str, nn.Parameter] = {}
        for layer in range(self.lstm.num_layers):
            result[f"lstm.{layer}.weight_ih"] = self._of_layer("weight_ih", layer)
            result[f"lstm.{layer}.weight_hh"] = self._of_layer("weight_hh", layer)
            result[f"lstm.{layer}.bias"] = self._of_layer("bias_ih", layer)
        result["linear.weight"] = self.linear.get_parameter("weight")
        result["linear.bias"] = self.linear.get_parameter("bias")
        return result

    @torch.no_grad()
    def load(self, parameters: Parameters) -> None:
        """Copy canonical parameters in."""
        for name, parameter in self.canonical().items():
            parameter.copy_(torch.tensor(parameters[name]))

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return logits (T, B, V) and the last state (h, c), each (L, B, H), of tokens (T, B)."""
        hidden, last = self.lstm(self.one_hot[tokens], state)
        return self.linear(hidden), last

    @torch.inference_mode()
    def decode(
        self, digit: Tensor, steps: int, state: tuple[Tensor, Tensor] | None = None
    ) -> list[Tensor]:
        """The `steps` greedy digits, each (B,), that follow `digit` (B,).

        One fused cell a layer and step: nn.LSTM, made for whole sequences, spends over twice
        as long on a single step of a single sequence.
        """
        layers = self.lstm.num_layers
        weights = [
            [self._of_layer(k, n) for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            for n in range(layers)
        ]
        if state is None:
            zero = self.one_hot.new_zeros(layers, len(digit), self.lstm.hidden_size)
            state = zero, zero
        hidden, cell = list(state[0]), list(state[1])
        digits = []
        for _ in range(steps):
            x = self.one_hot[digit]
            for n in range(layers):
                hidden[n], cell[n] = torch.lstm_cell(x, (hidden[n], cell[n]), *weights[n])
                x = hidden[n]
            digit = self.linear(x).argmax(-1)
            digits.append(digit)
        return digits
