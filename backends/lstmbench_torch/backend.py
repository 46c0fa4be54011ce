"""The PyTorch backend: module and optimiser behind lstmbench's interface."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lstmbench import Backend, Options, Parameters, State
from lstmbench_torch.model import Network
from lstmbench_torch.optimiser import Adam


class TorchBackend(Backend):
    """Tokens are staged as (T, B) int64 on the device; what comes back is (B, T, ...)."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        torch.set_num_threads(options.threads)
        torch.backends.cuda.matmul.allow_tf32 = options.tf32
        torch.backends.cudnn.allow_tf32 = options.tf32  # PyTorch's own default is True
        self.device = torch.device(options.device)
        self.dtype = getattr(torch, options.dtype)

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)

    def describe(self) -> dict[str, str]:
        result = {"torch": str(torch.__version__)}
        if self.device.type == "cuda":
            result["cudnn"] = str(torch.backends.cudnn.version())
            result["path"] = "nn.LSTM eager, cuDNN, TF32 " + ("on" if self.options.tf32 else "off")
        else:
            blas = "MKL" if torch.backends.mkl.is_available() else "native BLAS"
            result["path"] = f"nn.LSTM eager, ATen with {blas}, fused Adam"
        return result

    def load(self, parameters: Parameters) -> None:
        vocabulary, hidden = parameters["linear.weight"].shape
        layers = sum(name.endswith("weight_hh") for name in parameters)
        self.network = Network(vocabulary, hidden, layers, self.device, self.dtype)
        self.network.load(parameters)
        self.adam = Adam(self.network.canonical().values(), self.options)

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: self.fetch(p).copy() for name, p in self.network.canonical().items()}

    def stage(self, tokens: np.ndarray) -> Tensor:
        return torch.tensor(tokens.T, dtype=torch.int64, device=self.device)

    @torch.inference_mode()
    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Any, State]:
        logits, state = self.network(inputs, state)
        return logits.transpose(0, 1), state

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        logits, _ = self.network(inputs)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def loss_and_gradients(self, inputs: Tensor, targets: Tensor) -> tuple[Any, dict[str, Any]]:
        parameters = self.network.canonical()
        loss = self._loss(inputs, targets)
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        return loss.detach(), dict(zip(parameters, gradients, strict=True))

    def train_step(self, inputs: Tensor, targets: Tensor, free_running: bool = False) -> Tensor:
        if free_running:
            # No gradient flows through an argmax: decode the inputs first, then train on them.
            inputs = torch.stack([inputs[0], *self.network.decode(inputs[0], len(inputs) - 1)])
        loss = self._loss(inputs, targets)
        loss.backward()
        self.adam.step()
        return loss.detach()

    @torch.inference_mode()
    def generate(self, prompts: Tensor, steps: int) -> Tensor:
        state = None
        if len(prompts) > 1:
            _, state = self.network.lstm(self.network.one_hot[prompts[:-1]])
        return torch.stack(self.network.decode(prompts[-1], steps, state), dim=1)

    def fetch(self, array: Any) -> np.ndarray:
        if isinstance(array, Tensor):
            return array.detach().cpu().numpy()
        return np.asarray(array)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
