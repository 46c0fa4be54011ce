"""The PyTorch backend: module and optimiser behind lstmbench's interface."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lstmbench import Backend, ModelSpec, Options, Parameters, State, keep_freed_memory
from lstmbench_torch.graphs import Function, Graphs
from lstmbench_torch.model import Network
from lstmbench_torch.optimiser import Adam


class TorchBackend(Backend):
    """Tokens are staged as (T, B) int64 on the device; what comes back is (B, T, ...)."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        keep_freed_memory()
        torch.set_num_threads(options.threads)
        torch.backends.cuda.matmul.allow_tf32 = options.tf32
        torch.backends.cudnn.allow_tf32 = options.tf32  # PyTorch's own default is True
        self.device = torch.device(options.device)
        self.dtype = getattr(torch, options.dtype)
        self.inside = torch.bfloat16 if options.products == "bfloat16" else self.dtype
        self.graphs: Graphs | None = None
        self._model: ModelSpec | None = None

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)

    def describe(self) -> dict[str, str]:
        result = {"torch": str(torch.__version__)}
        short = self.inside == torch.bfloat16
        if short:
            result["computed in"] = "bfloat16, gates and states too; parameters and Adam float32"
        if self.device.type == "cuda":
            result["cudnn"] = str(torch.backends.cudnn.version())
            kernels = "ATen's fused cell" if short else "cuDNN"  # which has no LSTM of bfloat16
            result["path"] = f"nn.LSTM, {kernels}, as CUDA graphs, fused Adam"
            if self.options.tf32:
                result["computed in"] = "TF32 products, else float32"
            if self.graphs and self.graphs.failed:
                result["not captured"] = "; ".join(self.graphs.failed)
        else:
            blas = "MKL" if torch.backends.mkl.is_available() else "native BLAS"
            onednn = self.inside != torch.float64 and torch.backends.mkldnn.is_available()
            kernels = "oneDNN" if onednn else f"ATen with {blas}"
            result["path"] = f"nn.LSTM eager, {kernels}, fused Adam"
        return result

    def load(self, parameters: Parameters) -> None:
        model = ModelSpec.of(parameters)
        if model != self._model:
            self.network = Network(model, self.device, self.dtype, self.inside)
            self.adam = Adam(self.network.canonical().values(), self.options)
            self.graphs = Graphs(self.adam.drop) if self.device.type == "cuda" else None
        self._model = model
        self.network.load(parameters)
        self.adam.reset()

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: self.fetch(p).copy() for name, p in self.network.canonical().items()}

    def stage(self, tokens: np.ndarray) -> Tensor:
        return torch.tensor(tokens.T, dtype=torch.int64, device=self.device)

    def compile(self, batch: int, length: int) -> None:
        """Capture a pass and both kinds of training step; what training moves is put back."""
        if self.graphs is None:
            return
        tokens = self.stage(np.zeros((batch, length), np.uint8))
        moving = [*self.network.canonical().values(), *self.adam.state()]
        before = [tensor.detach().clone() for tensor in moving]
        self.forward(tokens)
        for free_running in (False, True):
            self.train_step(tokens, tokens, free_running)
        with torch.no_grad():
            torch._foreach_copy_(moving, before)

    def _run(self, function: Function, *tensors: Tensor, **options: int) -> tuple[Tensor, ...]:
        run = self.graphs or eagerly
        return run(function, *tensors, **options)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Any, State]:
        logits, hidden, cell = self._run(self._forward, inputs, *(state or ()))
        return logits.transpose(0, 1), (hidden, cell)

    def loss_and_gradients(self, inputs: Tensor, targets: Tensor) -> tuple[Any, dict[str, Any]]:
        loss, *gradients = self._run(self._loss_and_gradients, inputs, targets)
        return loss, dict(zip(self.network.canonical(), gradients, strict=True))

    def train_step(self, inputs: Tensor, targets: Tensor, free_running: bool = False) -> Tensor:
        (loss,) = self._run(self._train_step, inputs, targets, free_running=free_running)
        return loss

    def generate(self, prompts: Tensor, steps: int) -> Tensor:
        (digits,) = self._run(self._generate, prompts, steps=steps)
        return digits

    @torch.inference_mode()
    def _forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, (hidden, cell) = self.network(inputs, state or None)
        return logits, hidden, cell

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        logits, _ = self.network(inputs)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def _loss_and_gradients(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        loss = self._loss(inputs, targets)
        gradients = torch.autograd.grad(loss, list(self.network.canonical().values()))
        return loss.detach(), *gradients

    def _train_step(self, inputs: Tensor, targets: Tensor, free_running: int) -> tuple[Tensor, ...]:
        if free_running:
            # No gradient flows through an argmax: decode the inputs first, then train on them.
            inputs = torch.stack([inputs[0], *self.network.decode(inputs[0], len(inputs) - 1)])
        loss = self._loss(inputs, targets)
        # Not autograd.grad, whose gradients are not laid out as the parameters: 1.3 times slower.
        loss.backward()
        self.adam.step()
        return (loss.detach(),)

    @torch.inference_mode()
    def _generate(self, prompts: Tensor, steps: int) -> tuple[Tensor, ...]:
        state = None
        if len(prompts) > 1:
            state = self.network.after(prompts[:-1])
        return (torch.stack(self.network.decode(prompts[-1], steps, state), dim=1),)

    def fetch(self, array: Any) -> np.ndarray:
        if isinstance(array, Tensor):
            return array.detach().cpu().numpy()
        return np.asarray(array)

    def elementary(self, work: str, size: int) -> Callable[[], Any] | None:
        if work == "product":
            # Random, as zeros take less power and time; made by the CPU, see Network.
            left, right = (torch.rand(size, size).to(self.device, self.inside) for _ in range(2))
            out = torch.empty_like(left)
            return lambda: torch.mm(left, right, out=out)
        if work == "copy":
            source = torch.zeros(size, dtype=torch.uint8, device=self.device)
            target = torch.empty_like(source)
            return lambda: target.copy_(source)
        number = torch.zeros(1, device=self.device)
        return lambda: number.add_(1)

    def device_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def eagerly(function: Function, *tensors: Tensor, **options: int) -> tuple[Tensor, ...]:
    """Turn `function` into one of tensors alone, as `Graphs` calls it."""
    return function(*tensors, **options)
