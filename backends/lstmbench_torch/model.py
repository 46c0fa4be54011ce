"""The model as a PyTorch module; the formulas are in `lstmbench.interface.parameters`."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmbench import ModelSpec, Parameters


class Network(nn.Module):
    """One-hot digits (T, B) -> nn.LSTM -> Linear; time-major, as the kernels work inside.

    nn.LSTM has two biases a layer that are only ever added. The second is frozen at zero:
    were both trained, Adam would move their sum twice as fast.

    Inside, all is computed in the dtype `inside`: bfloat16, or that of the parameters. It is cast
    by hand: autocast would have cuDNN compute an nn.LSTM in float16, whatever it is asked for, and
    leaves `lstm_cell` in float32.
    """

    def __init__(
        self, model: ModelSpec, device: torch.device, dtype: torch.dtype, inside: torch.dtype
    ) -> None:
        super().__init__()
        vocabulary, hidden = model.vocabulary, model.hidden
        self.dtype, self.inside = dtype, inside
        # Not initialised: all is loaded. Random numbers on a GPU would come from a generator that
        # a failed capture of a CUDA graph leaves unusable.
        lstm = nn.LSTM(vocabulary, hidden, model.layers, device="meta", dtype=dtype)
        linear = nn.Linear(hidden, vocabulary, device="meta", dtype=dtype)
        self.lstm, self.linear = lstm.to_empty(device=device), linear.to_empty(device=device)
        self.one_hot = torch.eye(vocabulary, device=device, dtype=inside)
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
        hidden, (h, c) = self._lstm(self.one_hot[tokens], state)
        logits = functional.linear(hidden, *self._output_layer()).to(self.dtype)
        return logits, (h.to(self.dtype), c.to(self.dtype))

    def after(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state after tokens (T, B), from a zero state, in the dtype used inside."""
        _, state = self._lstm(self.one_hot[tokens], None)
        return state

    def _lstm(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return h (T, B, H) of the top layer, and the last state of all, from x (T, B, V)."""
        if self.inside == self.dtype:
            result: tuple[Tensor, tuple[Tensor, Tensor]] = self.lstm(x, state)
            return result
        layers, train = self.lstm.num_layers, self.lstm.training
        state = state or self._zero_state(x.shape[1])
        weights = [weight for layer in range(layers) for weight in self._inside(layer)]
        start = tuple(part.to(self.inside) for part in state)
        hidden, h, c = torch.lstm(x, start, weights, True, layers, 0.0, train, False, False)
        return hidden, (h, c)

    def _zero_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Return h and c before the first step, each (L, B, H), in the dtype used inside."""
        zero = self.one_hot.new_zeros(self.lstm.num_layers, batch, self.lstm.hidden_size)
        return zero, zero

    def _inside(self, layer: int) -> list[Tensor]:
        """Return the weights and biases of a layer in the dtype used inside."""
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [self._of_layer(kind, layer).to(self.inside) for kind in kinds]

    def _output_layer(self) -> list[Tensor]:
        """Return weight and bias of the output layer in the dtype used inside."""
        return [self.linear.get_parameter(kind).to(self.inside) for kind in ("weight", "bias")]

    @torch.inference_mode()
    def decode(
        self, digit: Tensor, steps: int, state: tuple[Tensor, Tensor] | None = None
    ) -> list[Tensor]:
        """The `steps` greedy digits, each (B,), that follow `digit` (B,); `state` is of `after`.

        One fused cell a layer and step: nn.LSTM, made for whole sequences, spends over twice
        as long on a single step of a single sequence.
        """
        layers = self.lstm.num_layers
        weights, output = [self._inside(n) for n in range(layers)], self._output_layer()
        state = state or self._zero_state(len(digit))
        hidden, cell = list(state[0]), list(state[1])
        digits = []
        for _ in range(steps):
            x = self.one_hot[digit]
            for n in range(layers):
                hidden[n], cell[n] = torch.lstm_cell(x, (hidden[n], cell[n]), *weights[n])
                x = hidden[n]
            digit = functional.linear(x, *output).argmax(-1)
            digits.append(digit)
        return digits
