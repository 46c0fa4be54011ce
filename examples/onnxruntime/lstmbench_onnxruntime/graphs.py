"""The canonical model as ONNX graphs, in float32.

Digits come in as int64 (B, T) and are turned, since the operator LSTM wants time first. Its gates
are stacked i, o, f, c, where c is the canonical g; its bias is two, of which the second stays
zero; a leading axis of length 1 stands for the direction.
https://onnx.ai/onnx/operators/onnx__LSTM.html
"""

from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lstmbench import ModelSpec, Parameters

Shape: TypeAlias = list[int | str]
"""Sizes, known or by name."""

OPSET = 21
IR_VERSION = 10
GATES = [0, 3, 1, 2]
"""Where the operator's i, o, f, c stand among the canonical i, f, g, o."""


def forward(parameters: Parameters) -> onnx.ModelProto:
    """Return the graph: tokens (B, T), hidden, cell (L, B, H) -> logits (B, T, V), state after."""
    sizes = ModelSpec.of(parameters)
    layers, hidden, vocabulary = sizes.layers, sizes.hidden, sizes.vocabulary
    nodes = [
        helper.make_node("Transpose", ["tokens"], ["steps"]),
        *network(layers, hidden, "steps", ("hidden", "cell"), "logits_by_step", "after"),
        helper.make_node("Transpose", ["logits_by_step"], ["logits"], perm=[1, 0, 2]),
    ]
    state: Shape = [layers, "B", hidden]
    return model(
        parameters,
        nodes,
        [integers("tokens", ["B", "T"]), floats("hidden", state), floats("cell", state)],
        [
            floats("logits", ["B", "T", vocabulary]),
            floats("after_hidden", state),
            floats("after_cell", state),
        ],
    )


def generate(parameters: Parameters) -> onnx.ModelProto:
    """Return the graph: tokens (B, P), further () -> digits (B, 1 + further).

    The prompt is read in one go from a zero state. Then a Loop feeds each argmax back in; what it
    carries is the last digits (1, B) and the state.
    """
    sizes = ModelSpec.of(parameters)
    layers, hidden = sizes.layers, sizes.hidden
    state: Shape = [layers, "B", hidden]
    carried = [integers("fed", [1, "B"]), floats("fed_hidden", state), floats("fed_cell", state)]
    body = helper.make_graph(
        [
            *network(layers, hidden, "fed", ("fed_hidden", "fed_cell"), "next_logits", "next"),
            helper.make_node("ArgMax", ["next_logits"], ["next"], axis=-1, keepdims=0),
            helper.make_node("Identity", ["go_on"], ["still_go_on"]),
            helper.make_node("Identity", ["next"], ["written"]),
        ],
        "step",
        [integers("iteration", []), booleans("go_on", []), *carried],
        [
            booleans("still_go_on", []),
            integers("next", [1, "B"]),
            floats("next_hidden", state),
            floats("next_cell", state),
            integers("written", [1, "B"]),
        ],
    )
    nodes = [
        helper.make_node("Transpose", ["tokens"], ["steps"]),
        *network(layers, hidden, "steps", ("", ""), "prompt_logits", "prompt"),
        helper.make_node("Gather", ["prompt_logits", "last"], ["last_logits"], axis=0),
        helper.make_node("ArgMax", ["last_logits"], ["first"], axis=-1, keepdims=0),
        helper.make_node(
            "Loop",
            ["further", "", "first", "prompt_hidden", "prompt_cell"],
            ["last_digits", "last_hidden", "last_cell", "rest"],  # left out, it crashes
            body=body,
        ),
        helper.make_node("Squeeze", ["rest", "one"], ["rest_by_step"]),
        helper.make_node("Concat", ["first", "rest_by_step"], ["digits_by_step"], axis=0),
        helper.make_node("Transpose", ["digits_by_step"], ["digits"]),
    ]
    return model(
        parameters,
        nodes,
        [integers("tokens", ["B", "P"]), integers("further", [])],
        [integers("digits", ["B", "S"])],
    )


def network(
    layers: int, hidden: int, tokens: str, state: tuple[str, str], logits: str, after: str
) -> list[onnx.NodeProto]:
    """Return nodes from tokens (T, B) and state to `logits` (T, B, V) and the state after.

    `state` names h and c, each (L, B, H), or is ("", "") for zero.
    """
    nodes = [helper.make_node("Gather", ["one_hot", tokens], [f"{after}_x0"], axis=0)]
    initial = [[f"{name}_{n}" if name else "" for n in range(layers)] for name in state]
    for name, parts in zip(state, initial, strict=True):
        if name:
            nodes.append(helper.make_node("Split", [name], parts, axis=0, num_outputs=layers))
    for n in range(layers):
        weights = [f"lstm.{n}.{part}" for part in ("weight_ih", "weight_hh", "bias")]
        before = [parts[n] for parts in initial]
        x, y = f"{after}_x{n}", f"{after}_y{n}"
        last = [f"{after}_{name}{n}" for name in ("h", "c")]
        nodes += [
            helper.make_node("LSTM", [x, *weights, "", *before], [y, *last], hidden_size=hidden),
            helper.make_node("Squeeze", [y, "one"], [f"{after}_x{n + 1}"]),
        ]
    for name, short in (("hidden", "h"), ("cell", "c")):
        parts = [f"{after}_{short}{n}" for n in range(layers)]
        nodes.append(helper.make_node("Concat", parts, [f"{after}_{name}"], axis=0))
    product = f"{after}_product"
    nodes += [
        helper.make_node("MatMul", [f"{after}_x{layers}", "linear.weight"], [product]),
        helper.make_node("Add", [product, "linear.bias"], [logits]),
    ]
    return nodes


def constants(parameters: Parameters) -> dict[str, np.ndarray]:
    """Return the arrays that the nodes name, in ONNX's layout."""
    sizes = ModelSpec.of(parameters)
    layers, hidden, vocabulary = sizes.layers, sizes.hidden, sizes.vocabulary
    result = {
        "one_hot": np.eye(vocabulary, dtype=np.float32),
        "one": np.array([1]),
        "last": np.array([-1]),
        "linear.weight": parameters["linear.weight"].T,
        "linear.bias": parameters["linear.bias"],
    }
    for n in range(layers):
        for part in ("weight_ih", "weight_hh", "bias"):
            array = parameters[f"lstm.{n}.{part}"]
            gates = array.reshape(4, hidden, *array.shape[1:])[GATES]
            result[f"lstm.{n}.{part}"] = gates.reshape(1, *array.shape)
        bias = result[f"lstm.{n}.bias"]
        result[f"lstm.{n}.bias"] = np.concatenate([bias, np.zeros_like(bias)], axis=1)
    return result


def model(
    parameters: Parameters,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """Return a checked model of nodes that name `constants`."""
    arrays = constants(parameters).items()
    tensors = [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in arrays]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, tensors)
    opset = helper.make_opsetid("", OPSET)
    result = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(result, full_check=True)
    return result


def floats(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def integers(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def booleans(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.BOOL, shape)
