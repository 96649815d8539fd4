# SPDX-License-Identifier: Apache-2.0
"""A 784-128-10 ReLU network on 8,000 MNIST images: the size that proving benchmarks quote."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import _build  # noqa: E402
import _mnist  # noqa: E402

EPOCHS = 40


def fit(x, y):
    torch = _build.deterministic_torch(seed=0)
    hidden, last = torch.nn.Linear(784, 128), torch.nn.Linear(128, 10)
    net = torch.nn.Sequential(torch.nn.Flatten(), hidden, torch.nn.ReLU(), last)
    _mnist.train(torch, net, x, y, epochs=EPOCHS)
    return _build.affine(hidden), _build.affine(last)


def main():
    (images, labels), (held_images, held_labels), licence = _mnist.load()
    x = _mnist.to_input(images)
    (w1, b1), (w2, b2) = fit(x, labels)
    model = _build.onnx_model(
        "mlp-mnist",
        [
            ("Gemm", ["pixels", "w1", "b1"], "z1", {"transB": 1}),
            ("Relu", ["z1"], "a1", {}),
            ("Gemm", ["a1", "w2", "b2"], "logits", {"transB": 1}),
        ],
        inputs={"pixels": [1, 784]},
        outputs={"logits": [1, 10]},
        weights={"w1": w1, "b1": b1, "w2": w2, "b2": b2},
    )
    (FOLDER / "LICENSE.data").write_bytes(licence)
    _build.finish(
        FOLDER, model,
        train={"pixels": x}, heldout={"pixels": _mnist.to_input(held_images)},
        target=held_labels, target_name="label", samples=100,
    )  # fmt: skip


if __name__ == "__main__":
    main()
