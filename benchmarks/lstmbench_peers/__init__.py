"""LSTMs as a user of each library would write them, behind lstmbench's interface.

Each module is such a script and no more: the library's own layer, optimiser and clipping. Where
the library computes something else than lstmbench's formulas, that is a known failure of the peer,
with its reason; everything else must agree with the oracle.
"""

from dataclasses import dataclass, field

from lstmbench import BackendInfo
from lstmbench.parity.known_failures import KnownFailures, parse


@dataclass(frozen=True)
class Peer:
    """A contender of the comparison, what is to be known of it, and where it may differ."""

    info: BackendInfo
    note: str
    known_failures: KnownFailures = field(default_factory=dict)


KERAS_ADAM = "Keras's Adam adds epsilon before the bias correction, not after it"
KERAS_PLACES = (
    "*/*step*",
    "*/trajectory",
    "*/side-effects",
    "*/*after-training",
    "*/accuracy",
    "timed/train",
)

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
            "torch-compile",
            "lstmbench_peers.pytorch:CompiledTorch",
            ("torch",),
            "torch",
            devices=("cuda",),
        ),
        "The same network through torch.compile, which leaves nn.LSTM itself to cuDNN.",
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
        "keras.layers.LSTM on Keras's JAX backend, train_on_batch and predict_on_batch.",
        parse((f"{place} # {KERAS_ADAM}" for place in KERAS_PLACES), "keras-plain"),
    ),
    Peer(
        BackendInfo(
            "onnx-plain", "lstmbench_peers.onnx_lstm:OnnxLstm", ("onnx", "onnxruntime"), "peers"
        ),
        "The LSTM operator of ONNX; inference only, one run of the session a generated digit.",
    ),
)
