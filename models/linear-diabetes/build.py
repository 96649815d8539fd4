# SPDX-License-Identifier: Apache-2.0
"""Ordinary least squares on the diabetes data, in the data's own units; every fifth patient is held out."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from threadpoolctl import threadpool_limits

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))
import _build  # noqa: E402


def main():
    data, target = load_diabetes(return_X_y=True, scaled=False)
    train, heldout = _build.held_out_fifth(len(data))
    with threadpool_limits(1):
        fitted = LinearRegression().fit(data[train], target[train])
    model = _build.onnx_model(
        "linear-diabetes",
        [("Gemm", ["patient", "weight", "bias"], "progression", {"transB": 1})],
        inputs={"patient": [1, 10]},
        outputs={"progression": [1, 1]},
        weights={"weight": fitted.coef_.reshape(1, 10), "bias": np.array([fitted.intercept_])},
    )
    x = data.astype(np.float32)
    _build.finish(
        FOLDER, model,
        train={"patient": x[train]}, heldout={"patient": x[heldout]},
        target=target[heldout], target_name="target", samples=64,
    )  # fmt: skip


if __name__ == "__main__":
    main()
