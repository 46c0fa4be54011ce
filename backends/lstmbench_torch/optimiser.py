"""Adam and clipping as PyTorch ships them."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lstmbench import Options


class Adam:
    """torch.optim.Adam, fused into one kernel, after clipping to the global norm.

    Its state stays where it is in memory, as CUDA graphs need.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], options: Options) -> None:
        self.parameters = list(parameters)
        self.clip_norm = options.clip_norm
        self.adam = torch.optim.Adam(
            self.parameters,
            lr=options.learning_rate,
            betas=(options.beta1, options.beta2),
            eps=options.epsilon,
            fused=True,
            capturable=self.parameters[0].is_cuda,
        )
        # PyTorch makes the state in the first step; one along zero gradients moves nothing.
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self.step()
        self.reset()

    def state(self) -> list[Tensor]:
        """Return the moments and numbers of steps."""
        return [tensor for of_one in self.adam.state.values() for tensor in of_one.values()]

    def reset(self) -> None:
        """Forget all steps."""
        torch._foreach_zero_(self.state())

    def step(self) -> None:
        """Clip the gradients held by the parameters, move the parameters, drop the gradients."""
        # Not clip_grad_norm_: it divides by (norm + 1e-6), which is a smaller norm than asked for.
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, torch.clamp(self.clip_norm / norm, max=1))
        self.adam.step()
        self.drop()

    def drop(self) -> None:
        """Drop the gradients that the parameters hold; the next ones would be added to them."""
        self.adam.zero_grad(set_to_none=True)
