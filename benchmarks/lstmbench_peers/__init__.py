"""LSTMs as a user of each library would write them, behind lstmbench's interface.

Each module is such a script and no more: the library's own layer, optimiser and clipping. What
the library computes differently from lstmbench's formulas is said in the peer's `note`, and may
show on TRAINING alone: what a peer computes forward must agree with the reference.
"""

from dataclasses import dataclass

from lstmbench import BackendInfo

TRAINING = frozenset({"clip", "step", "steps", "trajectory", "after-training", "accuracy", "train"})
"""Rungs of the ladder, and the workload, that depend on a library's own optimiser."""


@dataclass(frozen=True)
class Peer:
    """A row of the comparison, and what is to be known of it."""

    info: BackendInfo
    note: str


PEERS = (
    Peer(
        BackendInfo(
            "torch-plain",
            "lstmbench_peers.pytorch:PlainTorch",
            ("torch",),
            "torch",
            devices=("cpu", "cuda"),
        ),
        "nn.LSTM(batch_first), Adam and clip_grad_norm_ as they come; the second bias of each "
        "layer is frozen at zero. clip_grad_norm_ divides by (norm + 1e-6), not by the norm.",
    ),
    Peer(
        BackendInfo(
            "flax-plain",
            "lstmbench_peers.flax_nnx:PlainFlax",
            ("flax", "optax"),
            "peers",
            devices=("cpu", "cuda"),
        ),
        "nnx.RNN over nnx.OptimizedLSTMCell, optax's clip_by_global_norm and adam, nnx.jit.",
    ),
    Peer(
        BackendInfo(
            "keras-plain", "lstmbench_peers.keras_jax:PlainKeras", ("keras", "jax"), "peers"
        ),
        "keras.layers.LSTM on Keras's JAX backend, train_on_batch and predict_on_batch. Keras's "
        "Adam adds epsilon before the bias correction, not after it.",
    ),
    Peer(
        BackendInfo(
            "onnx-plain", "lstmbench_peers.onnx_lstm:OnnxLstm", ("onnx", "onnxruntime"), "peers"
        ),
        "The LSTM operator of ONNX; inference only, one run of the session a generated digit.",
    ),
)
