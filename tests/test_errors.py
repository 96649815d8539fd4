# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from verifiable import errors


def test_exit_codes_are_those_of_the_documented_tree() -> None:
    lines = (errors.__doc__ or "").splitlines()
    tree = {line.split()[0]: line.split()[-1] for line in lines if line.startswith("      ") and " exit " in line}
    assert len(tree) >= 7
    for name, code in tree.items():
        assert getattr(errors, name).exit_code == int(code), name


def test_every_class_is_drawn_in_the_tree_and_is_an_error() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert all(issubclass(c, errors.Error) and f" {c.__name__} " in (errors.__doc__ or "") for c in classes)


def test_an_error_carries_its_hint() -> None:
    error = errors.TrustError("no circuit is pinned", hint="pass --circuit")
    assert (str(error), error.hint, error.exit_code) == ("no circuit is pinned", "pass --circuit", 66)
