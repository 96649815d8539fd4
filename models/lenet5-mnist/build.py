# SPDX-License-Identifier: Apache-2.0
"""LeNet-5 with ReLU and average pooling, 28 x 28 without padding, on 8,000 MNIST images.

Average pooling is what the original used, and it is the cheaper one to prove: a sum and one rescale, where a maximum takes three
comparisons. Without padding the proof fits 2^18 rows; the padded variant needs 2^19.
"""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import _build  # noqa: E402
import _mnist  # noqa: E402

EPOCHS = 40


def fit(x, y):
    torch = _build.deterministic_torch(seed=0)
    nn = torch.nn
    layers = [nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)]
    c1, c2, f3, f4, f5 = layers
    pool = [nn.ReLU(), nn.AvgPool2d(2)]
    net = nn.Sequential(c1, *pool, c2, *pool, nn.Flatten(), f3, nn.ReLU(), f4, nn.ReLU(), f5)
    _mnist.train(torch, net, x, y, epochs=EPOCHS)
    return [_build.affine(layer) for layer in layers]


def main():
    (images, labels), (held_images, held_labels), licence = _mnist.load()
    x = _mnist.to_input(images)
    layers = fit(x, labels)
    model = _build.onnx_model(
        "lenet5-mnist",
        [
            ("Conv", ["image", "w1", "b1"], "z1", _build.conv(5)),
            ("Relu", ["z1"], "a1", {}),
            ("AveragePool", ["a1"], "p1", _build.POOL),
            ("Conv", ["p1", "w2", "b2"], "z2", _build.conv(5)),
            ("Relu", ["z2"], "a2", {}),
            ("AveragePool", ["a2"], "p2", _build.POOL),
            ("Flatten", ["p2"], "f2", {"axis": 1}),
            ("Gemm", ["f2", "w3", "b3"], "z3", {"transB": 1}),
            ("Relu", ["z3"], "a3", {}),
            ("Gemm", ["a3", "w4", "b4"], "z4", {"transB": 1}),
            ("Relu", ["z4"], "a4", {}),
            ("Gemm", ["a4", "w5", "b5"], "logits", {"transB": 1}),
        ],
        inputs={"image": [1, 1, 28, 28]},
        outputs={"logits": [1, 10]},
        weights={f"{kind}{i}": value for i, layer in enumerate(layers, 1) for kind, value in zip("wb", layer, strict=True)},
    )
    (FOLDER / "LICENSE.data").write_bytes(licence)
    _build.finish(
        FOLDER, model,
        train={"image": x}, heldout={"image": _mnist.to_input(held_images)},
        target=held_labels, target_name="label", samples=100,
    )  # fmt: skip


if __name__ == "__main__":
    main()
