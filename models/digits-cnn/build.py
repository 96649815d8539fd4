# SPDX-License-Identifier: Apache-2.0
"""A one-layer CNN on scikit-learn's 8 x 8 digits. The last fifth of the rows is held out: they seem to be ordered by writer."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import _build  # noqa: E402

CHANNELS = 8
EPOCHS = 150


def fit(x, y):
    torch = _build.deterministic_torch(seed=0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, CHANNELS, 3),
        torch.nn.ReLU(),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(CHANNELS * 9, 10),
    )
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows], label_smoothing=0.02).backward()
            optimiser.step()
        schedule.step()
    return _build.affine(net[0]), _build.affine(net[4])


def main():
    images, labels = load_digits(return_X_y=True)
    x, y = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels.astype(np.int64)
    train, heldout = np.split(np.arange(len(x)), [len(x) * 4 // 5])
    (w1, b1), (w2, b2) = fit(x[train], y[train])
    model = _build.onnx_model(
        "digits-cnn",
        [
            ("Conv", ["image", "w1", "b1"], "z1", _build.conv(3)),
            ("Relu", ["z1"], "a1", {}),
            ("AveragePool", ["a1"], "p1", _build.POOL),
            ("Flatten", ["p1"], "f1", {"axis": 1}),
            ("Gemm", ["f1", "w2", "b2"], "logits", {"transB": 1}),
        ],
        inputs={"image": [1, 1, 8, 8]},
        outputs={"logits": [1, 10]},
        weights={"w1": w1, "b1": b1, "w2": w2, "b2": b2},
    )
    _build.finish(
        FOLDER, model,
        train={"image": x[train]}, heldout={"image": x[heldout]},
        target=y[heldout], target_name="label", samples=100,
    )  # fmt: skip


if __name__ == "__main__":
    main()
