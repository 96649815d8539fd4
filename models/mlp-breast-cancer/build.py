# SPDX-License-Identifier: Apache-2.0
"""A 30-16-2 ReLU network on the breast cancer data, standardised outside the model; every fifth tumour is held out."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import _build  # noqa: E402


def fit(x, y):
    torch = _build.deterministic_torch(seed=1)
    net = torch.nn.Sequential(torch.nn.Linear(30, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(200):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y, label_smoothing=0.02).backward()
        optimiser.step()
    return _build.affine(net[0]), _build.affine(net[2])


def main():
    data, target = load_breast_cancer(return_X_y=True)
    train, heldout = _build.held_out_fifth(len(data))
    mean, std = data[train].mean(0), data[train].std(0)
    x, y = ((data - mean) / std).astype(np.float32), target.astype(np.int64)
    (w1, b1), (w2, b2) = fit(x[train], y[train])
    model = _build.onnx_model(
        "mlp-breast-cancer",
        [
            ("Gemm", ["features", "w1", "b1"], "z1", {"transB": 1}),
            ("Relu", ["z1"], "a1", {}),
            ("Gemm", ["a1", "w2", "b2"], "logits", {"transB": 1}),
        ],
        inputs={"features": [1, 30]},
        outputs={"logits": [1, 2]},
        weights={"w1": w1, "b1": b1, "w2": w2, "b2": b2},
    )
    (FOLDER / "scaler.csv").write_text(
        "feature,mean,std\n"
        + "".join(
            f"{n},{m!r},{s!r}\n" for n, m, s in zip(load_breast_cancer().feature_names, mean.tolist(), std.tolist(), strict=True)
        )
    )
    _build.finish(
        FOLDER, model,
        train={"features": x[train]}, heldout={"features": x[heldout]},
        target=y[heldout], target_name="label", samples=64,
    )  # fmt: skip


if __name__ == "__main__":
    main()
