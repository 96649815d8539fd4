# SPDX-License-Identifier: Apache-2.0
"""What the build scripts of the catalogue share: ONNX by hand, data files, measuring, and sealing a folder by digest.

Loaded by ``models/<name>/build.py``; not importable from the library. Run by itself, ``python models/_build.py`` seals every
folder again without training, which is what to do after editing a CARD.md or the upper half of a model.toml.
The graphs are written node by node: an exporter would add names, metadata and opset noise that change with its version.
"""

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

OPSET = 17
IR_VERSION = 8
MARK = "# Everything below is measured and written by build.py; edit above, then run `python models/_build.py`.\n"
POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}
HERE = Path(__file__).resolve().parent


def deterministic_torch(seed):
    """Torch, one thread, deterministic kernels only, seeded: the same bytes from every run on one machine."""
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    return torch


def affine(layer):
    """A torch layer's (weight, bias) as float32 arrays."""
    return tuple(p.detach().numpy().astype(np.float32) for p in (layer.weight, layer.bias))


def conv(kernel, pad=0):
    """Attributes of a square Conv, spelled out: some importers do not know ONNX's defaults."""
    return {"kernel_shape": [kernel] * 2, "strides": [1, 1], "pads": [pad] * 4, "dilations": [1, 1], "group": 1}


def onnx_model(name, nodes, *, inputs, outputs, weights):
    """The bytes of an ONNX file. ``nodes``: (op, inputs, output, attributes); ``inputs``/``outputs``: {name: shape}, float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(op, sources, [target], **attributes) for op, sources, target, attributes in nodes],
        name,
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs.items()],
        [numpy_helper.from_array(np.ascontiguousarray(value, "<f4"), n) for n, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def held_out_fifth(count):
    """Row numbers (training, held out): every fifth row is held out."""
    rows = np.arange(count)
    return rows[rows % 5 != 4], rows[rows % 5 == 4]


def calibration_rows(x, count):
    """Rows that reach the minimum and maximum of every column (the admissible range comes from them), then evenly spaced ones."""
    flat = x.reshape(len(x), -1)
    extremes = np.unique(np.concatenate([flat.argmin(0), flat.argmax(0)])) if flat.shape[1] * 2 <= count else np.array([], int)
    for spaced in range(count + 1):
        rows = np.union1d(extremes, np.linspace(0, len(x) - 1, spaced).round().astype(int))
        if len(rows) >= count:
            break
    return rows


def finish(folder: Path, model: bytes, *, train, heldout, target, target_name, samples=64):
    """Write model, calibration, held-out set and sample, then seal. ``train``, ``heldout``: {input name: [N, *shape] float32}."""
    name, x = next(iter(train.items()))
    shape = _input_shape(model)
    (folder / "model.onnx").write_bytes(model)
    _write_npz(folder / "calibration.npz", {name: x[calibration_rows(x, samples)].reshape(-1, *shape)})
    held = heldout[name].reshape(-1, *shape)
    one = held[len(held) // 2]  # the middle one: a fixed rule, not picked for its result
    _write_npz(folder / "heldout.npz", {name: held, target_name: target})
    sample = folder / tomllib.loads((folder / "model.toml").read_text())["files"]["sample"]
    if sample.suffix == ".json":
        # Through float64: the digits then name the float32 exactly, so no reader has to round.
        sample.write_text(json.dumps({name: one.astype(float).tolist()}) + "\n")
    else:
        np.save(sample, one)
    seal(folder)


def seal(folder: Path):
    """Rewrite the measured part of model.toml: parameters, accuracy, the sample's result, and the digest of every other file."""
    path = folder / "model.toml"
    described = path.read_text().split(MARK)[0]
    head = tomllib.loads(described)
    x, target = _held_out(folder / head["files"]["heldout"], head["inputs"][0]["name"])
    outputs = run(folder / head["files"]["model"], x)
    middle = len(x) // 2
    lines = ["[measured]", f"parameters = {_parameters(folder / head['files']['model'])}", f"heldout_samples = {len(x)}"]
    lines += [f"{metric} = {value!r}" for metric, value in score(head["task"], outputs, target).items()]
    lines += ["", "[expected]", f"target = {target[middle].item()!r}", f"output = {_floats(outputs[middle].ravel())}"]
    lines += ["", "[sha256]"]
    for file in sorted(p.name for p in folder.iterdir() if p.is_file() and p.name != "model.toml"):
        lines.append(f'"{file}" = "{hashlib.sha256((folder / file).read_bytes()).hexdigest()}"')
    path.write_text(described + MARK + "\n".join(lines) + "\n")
    print(f"{folder.name}: {score(head['task'], outputs, target)}")


def run(model: Path, x):
    """onnxruntime's float outputs, one sample at a time, on one thread: [N, *output shape]."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.stack([session.run(None, {name: sample})[0] for sample in x])


def score(task, outputs, target):
    """Classification: accuracy. Regression: R^2 and mean absolute error, the latter in the target's units."""
    if task == "classification":
        return {"accuracy": float((outputs.reshape(len(target), -1).argmax(1) == target).mean())}
    error = outputs.reshape(-1).astype(float) - target
    r2 = 1 - (error**2).sum() / ((target - target.mean()) ** 2).sum()
    return {"r2": round(float(r2), 4), "mean_absolute_error": round(float(np.abs(error).mean()), 4)}


def _held_out(path: Path, name):
    with np.load(path, allow_pickle=False) as file:
        (target,) = (key for key in file.files if key != name)
        return file[name], file[target]


def _write_npz(path: Path, arrays):
    np.savez_compressed(path, **arrays)  # members carry the fixed date of 1980, so the bytes repeat


def _input_shape(model: bytes):
    import onnx

    dims = onnx.load_from_string(model).graph.input[0].type.tensor_type.shape.dim
    return tuple(d.dim_value for d in dims)


def _parameters(path: Path):
    import onnx

    return sum(int(np.prod(weight.dims)) for weight in onnx.load(path).graph.initializer)


def _floats(values: Sequence[np.float32]):
    return "[" + ", ".join(re.sub(r"e-0?", "e-", repr(float(v))) for v in values) + "]"


if __name__ == "__main__":
    for entry in sorted(HERE.glob("*/model.toml")):
        seal(entry.parent)
