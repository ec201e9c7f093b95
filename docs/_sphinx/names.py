# SPDX-License-Identifier: MIT
"""The reference of Python names, from the package's source: signatures and docstrings.

The source is parsed, not imported: the pages can be built where there is no compiler.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from prose import directive, markdown

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_Definition = (ast.ClassDef, *_Function)
_Node = Union[ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign]


@dataclass(frozen=True)
class Name:
    """A public name, or a public member of one."""

    kind: str  # a directive of Sphinx's domain py
    name: str
    signature: str
    doc: str
    members: tuple[Name, ...] = ()

    def all_names(self) -> Iterator[tuple[str, str]]:
        """(name, docstring) of itself and of its members."""
        yield self.name, self.doc
        for member in self.members:
            yield f"{self.name}.{member.name}", member.doc


def read(package: Path) -> list[Name]:
    """Each name of the package's `__all__`, from the module that `__init__` has it from."""
    tree = ast.parse((package / "__init__.py").read_text())
    homes = {
        alias.name: str(node.module).rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    found = []
    for name in _constant(tree, "__all__"):
        home = ast.parse((package / f"{homes[name]}.py").read_text())
        found.append(_described(_definition(home, name), home))
    return found


def read_class(stub: Path, name: str) -> Name:
    """One class of a stub file."""
    tree = ast.parse(stub.read_text())
    return _described(_definition(tree, name), tree)


def render(names: list[Name], module: str) -> str:
    return "\n\n".join(_directive(name, f"{module}.") for name in names) + "\n"


def _directive(name: Name, prefix: str) -> str:
    content = [markdown(name.doc), *(_directive(member, "") for member in name.members)]
    made = f"{prefix}{name.name}{name.signature}"
    return directive(f"py:{name.kind}", made, "\n\n".join(content))


def _constant(tree: ast.Module, name: str) -> dict[str, str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            value: dict[str, str] = ast.literal_eval(node.value)
            return value
    raise LookupError(name)


def _definition(tree: ast.Module, name: str) -> _Node:
    for node in ast.walk(tree):
        if isinstance(node, _Definition) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return node
    raise LookupError(name)


def _described(node: _Node, home: ast.Module) -> Name:
    if isinstance(node, ast.Assign):
        name = ast.unparse(node.targets[0])
        return Name("data", name, "", f"Another name of `{ast.unparse(node.value)}`.")
    if isinstance(node, _Function):
        return Name("function", node.name, _signature(node, 0), _doc(node))
    bases = [ast.unparse(base) for base in node.bases]
    members = tuple(_member(each) for each in node.body if _is_public_member(each))
    doc = _doc(node)
    error = node.name == "RingbridgeError" or "RingbridgeError" in bases or "Exception" in bases
    if error and bases:
        doc += f"\n\nBases: {', '.join(f'`{base}`' for base in bases)}"
    return Name("exception" if error else "class", node.name, _made_by(node, home), doc, members)


def _is_public_member(node: ast.stmt) -> bool:
    return isinstance(node, _Function) and (
        not node.name.startswith("_") or node.name == "__call__"
    )


def _member(node: ast.stmt) -> Name:
    assert isinstance(node, _Function)
    if any(getattr(each, "id", None) == "property" for each in node.decorator_list):
        returns = f"\n:type: {ast.unparse(node.returns)}" if node.returns else ""
        return Name("property", node.name, returns, _doc(node))
    return Name("method", node.name, _signature(node, 1), _doc(node))


def _made_by(node: ast.ClassDef, home: ast.Module) -> str:
    """The signature of its constructor, where it has one of its own; a dataclass has its fields."""
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name in ("__init__", "__new__"):
            if node.name in ("RemoteModule", "Function", "Task", "Stream"):  # not made by the user
                return ""
            return _signature(each, 1).partition(" -> ")[0]
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        return f"({', '.join(_fields(node, home))})"
    return ""


def _fields(node: ast.ClassDef, home: ast.Module) -> list[str]:
    """Of a dataclass: first those of the bases that its own file defines."""
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    found: list[str] = []
    for each in home.body:
        if isinstance(each, ast.ClassDef) and each.name in bases:
            found += _fields(each, home)
    return found + [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, skipped: int) -> str:
    arguments = node.args
    for _ in range(skipped):
        (arguments.posonlyargs or arguments.args).pop(0)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(arguments)}){returns}"


def _doc(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return ast.get_docstring(node) or ""
