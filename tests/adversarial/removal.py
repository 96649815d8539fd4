# SPDX-License-Identifier: Apache-2.0
"""Taking one check out of a function, to see that it is what an attack fails on."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import pytest


class _Remover(ast.NodeTransformer):
    """Replaces by ``pass`` each statement that says ``words``: a raise, or a call of ``check_equal`` or ``require``."""

    def __init__(self, words: str) -> None:
        self.words = words
        self.removed = 0

    def _says(self, node: ast.AST) -> bool:
        return any(isinstance(n, ast.Constant) and isinstance(n.value, str) and self.words in n.value for n in ast.walk(node))

    def _pass(self, node: ast.stmt) -> ast.stmt:
        self.removed += 1
        return ast.copy_location(ast.Pass(), node)

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        return self._pass(node) if self._says(node) else node

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        call = node.value
        if isinstance(call, ast.Call) and self._says(node):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in ("check_equal", "require"):
                return self._pass(node)
        return node


def remove(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], words: str) -> None:
    """Exactly one check of ``function`` is gone, for all modules that have imported it."""
    assert isinstance(function, FunctionType)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    remover = _Remover(words)
    module = ast.fix_missing_locations(remover.visit(tree))
    assert remover.removed == 1, f"{remover.removed} checks of {function.__name__} say {words!r}"
    flags = __import__("__future__").annotations.compiler_flag
    codes = compile(module, inspect.getfile(function), "exec", flags=flags).co_consts
    (code,) = (c for c in codes if isinstance(c, CodeType) and c.co_name == function.__name__)
    monkeypatch.setattr(function, "__code__", code)
