"""What XLA has compiled, kept for the calls to come: shared by all backends of a process."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Literal

import jax

MOST_EXECUTABLES = 256
"""How many are kept; beyond, the one that was not called for longest is dropped."""

Effort = Literal["quick", "small", "large"]
"""How much is done for fast code on a GPU: as little as can be, for what is called a few times; or
what pays for products of small matrices, or of large ones, that are called often."""

CPU_OPTIONS: dict[str, Any] = {
    # XLA's own default, level 3, makes a forward pass half as long again.
    "xla_backend_optimization_level": 1,
    # It prefers vectors of 256 bits where the machine has wider ones.
    "xla_cpu_prefer_vector_width": 512,
}
CUDA_OPTIONS: dict[Effort, dict[str, Any]] = {
    # Products by cuBLAS, which need no compiling. XLA's own kernels for them, by Triton, do.
    "quick": {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False},
    # Without trying several kernels for each product: it takes three times as long, for nothing.
    "small": {"xla_gpu_autotune_level": 0},
    "large": {},
}

_kept: OrderedDict[Hashable, jax.stages.Compiled] = OrderedDict()


def executable(
    key: Hashable,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    donate: bool,
    matmul_precision: str,
    effort: Effort,
    **static: Any,
) -> jax.stages.Compiled:
    """Return `function`, its `static` arguments fixed, compiled for the shapes of `arguments`.

    `key` tells apart what differs in any of these. Donated, the memory of the first argument is
    used again for the results.
    """
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]
    jitted = jax.jit(partial(function, **static), donate_argnums=0 if donate else ())
    with jax.default_matmul_precision(matmul_precision):
        lowered = jitted.lower(*arguments)
    (device,) = {d for array in jax.tree.leaves(arguments) for d in array.devices()}
    options = CPU_OPTIONS if device.platform == "cpu" else CUDA_OPTIONS[effort]
    compiled = _kept[key] = _compile(lowered, options)
    if len(_kept) > MOST_EXECUTABLES:
        _kept.popitem(last=False)
    return compiled


def _compile(lowered: jax.stages.Lowered, options: dict[str, Any]) -> jax.stages.Compiled:
    """Compile with XLA's options; without them where this version of XLA does not know them."""
    try:
        return lowered.compile(options)
    except jax.errors.JaxRuntimeError as error:
        if "option" not in str(error).lower():
            raise
        return lowered.compile()
