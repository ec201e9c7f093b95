# SPDX-License-Identifier: MIT
"""A function of the caller's own, described so that it can be made again in another interpreter.

By its name, where it can be imported by that; else by its source text, together with what that
needs: plain values by value, modules and what can be imported by name, other functions by their
source too. Never as bytecode, and never pickled. pooled.py reads it in the worker.

Looks at functions and reads source files; knows nothing of workers.

    {"root": ref, "functions": [...], "modules": [...]}        ref = ("value", value)
    functions: those that go as source                               ("module", name)
    modules: the names of all modules that the refs take             ("name", module, name.in.it)
                                                                     ("function", its index)
"""

from __future__ import annotations
import __future__

import ast
import dis
import functools
import linecache
import sys
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, Union

from ringbridge.errors import CannotCross

Ref = tuple[Any, ...]
Description = dict[str, Any]
Named = Union[str, Callable[..., Any]]

_VALUE_BYTES_MAX = 1 << 20  # it is compared at each submit, and sent again when it differs
_DEPTH_MAX = 16
_FUNCTIONS_MAX = 1000
_FUTURES = functools.reduce(
    lambda flags, name: flags | getattr(__future__, name).compiler_flag,
    __future__.all_feature_names,
    0,
)
_ANNOTATIONS_AS_TEXT = __future__.annotations.compiler_flag
_MODULE = "put it into a module of its own, and that module's folder into paths=[...]"


def describe(function: Named, missing: Collection[str] = ()) -> Description:
    """The description of a function, or of "module:name". `missing`: modules that are known not to
    be over there. Raises CannotCross with what to do instead."""
    if isinstance(function, str):
        module, name = _parsed_name(function)
        return {"root": ("name", module, name), "functions": [], "modules": [module]}
    collector = _Collector(missing)
    root = collector.ref(function, f"the function {_shown(function)}")
    if root[0] == "value" or root[0] == "module":
        raise TypeError(f"{function!r} is no function")
    return {
        "root": root,
        "functions": collector.functions,
        "modules": sorted(collector.modules),
    }


def _parsed_name(text: str) -> tuple[str, str]:
    module, colon, name = text.partition(":")
    parts = [*module.split("."), *name.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise ValueError(f"{text!r} is no function's name: write 'module:function'")
    return module, name


def name_of(thing: Any) -> tuple[str, str] | None:
    """(module, name.in.it), when it can be imported here by that; not of what is in __main__."""
    owner = getattr(thing, "__self__", None)
    if isinstance(owner, type):  # a class method
        module: Any = owner.__module__
        name: Any = f"{owner.__qualname__}.{thing.__name__}"
    else:
        module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    # Equal, since a class method is another object each time.
    same = found is thing or (isinstance(owner, type) and found == thing)
    return (module, name) if same and found is not None else None


class _Collector:
    """Follows what functions refer to. A function that is met again is not described again."""

    def __init__(self, missing: Collection[str]) -> None:
        self.functions: list[Description] = []
        self.modules: set[str] = set()
        self._missing = missing
        self._indices: dict[int, int] = {}

    def ref(self, value: Any, where: str) -> Ref:
        """How the description names a value; `where` is for the message when it cannot."""
        size = _plain_bytes(value, 0)
        if size is not None and size <= _VALUE_BYTES_MAX:
            return ("value", value)
        if size is not None:
            raise CannotCross(
                f"{where} is a {type(value).__name__} of {size} bytes, more than the "
                f"{_VALUE_BYTES_MAX} that go with a function: make it an argument, or share() it"
            )
        if isinstance(value, ModuleType):
            return self._module(value, where)
        name = name_of(value)
        if name is not None and name[0] not in self._missing:
            self.modules.add(name[0])
            return ("name", *name)
        if type(value) is FunctionType:
            return ("function", self._function(value, where))
        raise CannotCross(_refusal(value, name, where))

    def _module(self, module: ModuleType, where: str) -> Ref:
        name = module.__name__
        if sys.modules.get(name) is not module or name in self._missing or name == "__main__":
            reason = "is not found over there" if name in self._missing else "has no import name"
            raise CannotCross(
                f"{where} is the module {name!r}, which {reason}: install it in that environment, "
                "or put its folder into paths=[...]"
            )
        self.modules.add(name)
        return ("module", name)

    def _function(self, function: FunctionType, where: str) -> int:
        index = self._indices.get(id(function))
        if index is not None:
            return index
        code = function.__code__
        linecache.lazycache(code.co_filename, function.__globals__)
        source = _source(code, code.co_filename, where)
        index = self._indices[id(function)] = len(self.functions)
        if index >= _FUNCTIONS_MAX:
            raise CannotCross(f"{where}: it needs more than {_FUNCTIONS_MAX} others: {_MODULE}")
        spec: Description = {
            "module": str(function.__globals__.get("__name__", function.__module__)),
            "name": function.__name__,
            "qualname": function.__qualname__,
            "file": code.co_filename,
            "text": source.text,
            "shift": source.shift,
            "flags": (code.co_flags & _FUTURES) | _ANNOTATIONS_AS_TEXT,
            "stores": sorted(source.stores),
        }
        self.functions.append(spec)  # before what it refers to, which may be itself
        shown = _shown(function)
        spec["closure"] = self._closure(function, shown)
        spec["uses"] = {
            name: self.ref(function.__globals__[name], f"{name!r}, a global that {shown} uses,")
            for name in sorted(source.loads | source.stores)
            if name in function.__globals__
        }
        self._submodules(spec["uses"].values(), source.attributes)
        defaults, keywords = function.__defaults__, function.__kwdefaults__
        at = f"a default of {shown}"
        spec["defaults"] = None if defaults is None else [self.ref(v, at) for v in defaults]
        spec["kwdefaults"] = keywords and {n: self.ref(v, at) for n, v in keywords.items()}
        return index

    def _closure(self, function: FunctionType, shown: str) -> dict[str, Ref]:
        closure = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            try:
                value = cell.cell_contents
            except ValueError:
                raise CannotCross(f"{shown} uses {name!r}, which has no value yet") from None
            closure[name] = self.ref(value, f"{name!r}, which {shown} has from around it,")
        return closure

    def _submodules(self, refs: Collection[Ref], attributes: frozenset[str]) -> None:
        """What `import package` gives here may have submodules that it would not have there."""
        packages = tuple(f"{ref[1]}." for ref in refs if ref[0] == "module")
        for name in list(sys.modules) if packages else ():
            if name.startswith(packages):
                inside = next(name[len(each) :] for each in packages if name.startswith(each))
                if attributes.issuperset(inside.split(".")) and name not in self._missing:
                    self.modules.add(name)


def _refusal(value: Any, name: tuple[str, str] | None, where: str) -> str:
    kind = type(value)
    shown = f"{kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
    if name is not None:
        return (
            f"{where} is {name[1]!r} of the module {name[0]!r}, which is not found over there: "
            "install it in that environment, or put its folder into paths=[...]"
        )
    if isinstance(value, type):
        return f"{where} is a class, and only functions are sent as source: {_MODULE}"
    if callable(value):
        return (
            f"{where} is a {shown}, and only functions made by `def` or `lambda` are sent as "
            f"source: {_MODULE}, or give its name as 'module:name'; Pool(pickle=True) pickles it"
        )
    return f"{where} is a {shown}, which does not go with a function: make it an argument"


def _shown(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__) + "()"


_ATOMS = frozenset({type(None), bool, float, complex, type(...), range})
_MORE_ATOMS = {
    "datetime": ("date", "datetime", "time", "timedelta"),
    "decimal": ("Decimal",),
    "pathlib": ("PosixPath", "PurePosixPath", "PureWindowsPath"),
    "uuid": ("UUID",),
}


def _plain_bytes(value: Any, depth: int) -> int | None:
    """About how many bytes a value takes whose repr says all about it; None for another."""
    kind = type(value)
    if kind in _ATOMS:
        return 8
    if kind is int:
        return 8 + int(value.bit_length()) // 8
    if kind is str or kind is bytes:
        return 8 + len(value)
    if depth < _DEPTH_MAX and kind in (list, tuple, dict, set, frozenset):
        items = (*value, *value.values()) if kind is dict else tuple(value)
        sizes = [_plain_bytes(each, depth + 1) for each in items]
        return None if None in sizes else 8 + sum(filter(None, sizes))
    package = kind.__module__.partition(".")[0]  # pathlib is a package in newer versions
    return 32 if kind.__name__ in _MORE_ATOMS.get(package, ()) else None


# ---------------------------------------------------------------------------------- source texts


class _Source(NamedTuple):
    """What the text and the code of a function say; the same as long as the code lives.

    Line n of `text` is line n + shift of the file.
    """

    text: str
    shift: int
    loads: frozenset[str]
    stores: frozenset[str]
    attributes: frozenset[str]


@functools.lru_cache(maxsize=512)
def _source(code: CodeType, file: str, where: str) -> _Source:
    linecache.checkcache(file)
    # What Python counts as lines: str.splitlines() also splits at form feeds and such.
    text = "".join(linecache.getlines(file)).replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise CannotCross(
            f"{where} has no source text that could be sent (it was made in {file}): {_MODULE}"
        )
    nodes = _nodes(text, code, file)
    if not nodes:
        raise CannotCross(
            f"{where} is not what {file}:{code.co_firstlineno} says now: the file has changed "
            f"since, or a tool has changed the function. Load it again, or {_MODULE}"
        )
    texts = {ast.get_source_segment(text, node) for node, _ in nodes}
    if len(texts) > 1:
        raise CannotCross(
            f"{where}: {file}:{code.co_firstlineno} has {len(nodes)} functions on one line, and it "
            "cannot be told which one is meant: give each a line of its own"
        )
    node, parent = nodes[0]
    if isinstance(parent, ast.ClassDef) or "__class__" in code.co_freevars:
        raise CannotCross(f"{where} is a method of a class, and only functions are sent: {_MODULE}")
    loads: set[str] = set()
    stores: set[str] = set()
    attributes: set[str] = set()
    for each in _codes(code):
        attributes.update(each.co_names)
        for step in dis.get_instructions(each):
            if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                stores.add(step.argval)
            elif "GLOBAL" in step.opname or step.opname == "LOAD_NAME":
                loads.add(step.argval)
    names = frozenset(loads), frozenset(stores), frozenset(attributes)
    cut, shift = _cut(text, node)
    if not _is_alone(cut, shift, text, node):
        raise CannotCross(f"{where} cannot be cut out of the text of {file}: {_MODULE}")
    return _Source(cut, shift, *names)


def _cut(text: str, node: Any) -> tuple[str, int]:
    """The text of a function such that it can be parsed alone, and its shift."""
    first: int = node.lineno
    if isinstance(node, ast.Lambda):
        return f"({ast.get_source_segment(text, node)})", first - 1
    block = "\n".join(text.split("\n")[first - 1 : node.end_lineno])
    before = block[: len(block) - len(block.lstrip())]
    if before.rpartition("\f")[2]:  # indented, and without that texts of several lines would differ
        return "if 1:\n" + block, first - 2
    return block, first - 1


def _is_alone(cut: str, shift: int, text: str, node: Any) -> bool:
    """Whether what was cut out gives, parsed by itself, that very function on that very line."""
    padded = "\n" * shift + cut
    try:
        found = ast.walk(ast.parse(padded))
    except SyntaxError:
        return False
    alone: Any = next((each for each in found if type(each) is type(node)), None)
    return (
        alone is not None
        and alone.lineno == node.lineno
        and ast.get_source_segment(padded, alone) == ast.get_source_segment(text, node)
    )


def _nodes(text: str, code: CodeType, file: str) -> list[tuple[ast.AST, ast.AST]]:
    """(function, what it stands in): those of a file that may be what the code was made from.

    None of them when the text, compiled, does not give that very code.
    """
    try:
        tree, known = _compiled(text, file, code.co_flags & _FUTURES)
    except (SyntaxError, ValueError):
        return []
    if code not in known:
        return []
    return [
        (node, parent)
        for parent in ast.walk(tree)
        for node in ast.iter_child_nodes(parent)
        if _may_be(node, code)
    ]


@functools.lru_cache(maxsize=8)
def _compiled(text: str, file: str, flags: int) -> tuple[ast.AST, frozenset[CodeType]]:
    tree = ast.parse(text, file)
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # of a notebook's cells
    return tree, frozenset(_codes(compile(text, file, "exec", flags, True)))


def _may_be(node: ast.AST, code: CodeType) -> bool:
    if isinstance(node, ast.Lambda):
        if code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
            return False
        names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        return names == list(code.co_varnames[: code.co_argcount])
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        return code.co_name == node.name and first == code.co_firstlineno
    return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code and those of the functions in it."""
    waiting = [code]
    while waiting:
        each = waiting.pop()
        yield each
        waiting.extend(const for const in each.co_consts if isinstance(const, CodeType))
