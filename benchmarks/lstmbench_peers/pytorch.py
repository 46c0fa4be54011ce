"""Plain PyTorch."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmbench import VOCABULARY, Backend, ModelSpec, NotSupported, Options, Parameters, State


class Network(nn.Module):
    """Digits (B, T) to logits (B, T, V)."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(VOCABULARY, hidden, layers, batch_first=True)
        self.linear = nn.Linear(hidden, VOCABULARY)

    def forward(self, digits: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x = functional.one_hot(digits, VOCABULARY).to(self.linear.weight.dtype)
        hidden, state = self.lstm(x, state)
        return self.linear(hidden), state


class PlainTorch(Backend):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        torch.set_num_threads(options.threads)
        torch.backends.cuda.matmul.allow_tf32 = options.tf32
        torch.backends.cudnn.allow_tf32 = options.tf32

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)

    def load(self, parameters: Parameters) -> None:
        o = self.options
        model = ModelSpec.of(parameters)
        self.names = {name: _torch_name(name) for name in parameters}
        network = Network(model.hidden, model.layers)
        self.network = network.to(o.device, getattr(torch, o.dtype))
        self.run = self.ready(self.network)
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                if "bias_hh" in name:
                    parameter.zero_().requires_grad_(False)
            for name, array in parameters.items():
                self.network.get_parameter(self.names[name]).copy_(torch.tensor(array))
        self.adam = torch.optim.Adam(
            self.network.parameters(), o.learning_rate, (o.beta1, o.beta2), o.epsilon
        )

    def ready(self, network: Network) -> Any:
        """Return what is called: the network as it is."""
        return network

    def parameters(self) -> dict[str, np.ndarray]:
        own = self.network.state_dict()
        return {name: self.fetch(own[theirs]).copy() for name, theirs in self.names.items()}

    def stage(self, tokens: np.ndarray) -> Tensor:
        return torch.tensor(tokens, dtype=torch.int64, device=self.options.device)

    @torch.inference_mode()
    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Any, State]:
        logits, after = self.run(inputs, state)
        return logits, after

    def train_step(self, inputs: Tensor, targets: Tensor, free_running: bool = False) -> Tensor:
        if free_running:
            raise NotSupported
        self.adam.zero_grad()
        logits, _ = self.run(inputs)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip_norm)
        self.adam.step()
        return loss.detach()

    @torch.inference_mode()
    def generate(self, prompts: Tensor, steps: int) -> Tensor:
        logits, state = self.run(prompts)
        digits = [logits[:, -1:].argmax(-1)]
        while len(digits) < steps:
            logits, state = self.run(digits[-1], state)
            digits.append(logits.argmax(-1))
        return torch.cat(digits, dim=1)

    def fetch(self, array: Any) -> np.ndarray:
        return array.cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)

    def synchronize(self) -> None:
        if self.options.device == "cuda":
            torch.cuda.synchronize()


class CompiledTorch(PlainTorch):
    def ready(self, network: Network) -> Any:
        return torch.compile(network)


def _torch_name(name: str) -> str:
    """Return nn.LSTM's name of a canonical parameter: lstm.0.weight_ih is lstm.weight_ih_l0."""
    if not name.startswith("lstm."):
        return name
    _, layer, part = name.split(".")
    return f"lstm.{'bias_ih' if part == 'bias' else part}_l{layer}"
