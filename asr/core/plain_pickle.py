"""The pickle inside a checkpoint, read without being able to run anything.

What torch.save writes of tensors and plain data needs a few of the pickle machine's opcodes and a
few names. Only these are known here, and a name is compared, never imported. `torch.load` with
`weights_only=True` runs no code either, but a file can make it hang (a key whose hash takes 2^40
steps) and take memory that the file does not have (`bytearray(10 ** 12)`); here the memory that
is taken is bounded by the size of the file.
"""

import math
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

_MAX_STEPS = 2_000_000  # of the machine, and of the tree it builds: some 25,000 tensors
_MAX_DEPTH = 100
_MAX_KEY = 1 << 60  # Python hashes integers modulo 2^61 - 1: larger ones can be made to collide
_MAX_DIMENSIONS = 32

DTYPES = {
    "torch DoubleStorage": torch.float64,
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
_TENSOR = "torch._utils _rebuild_tensor_v2"
_ORDERED = "collections OrderedDict"
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ATOMS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")
_PLAIN = (str, int, float, bool, type(None))


class NotPlainError(ValueError):
    """There is more in it than tensors and plain data."""


class _Name(NamedTuple):
    """What a pickle would import; it is never imported."""

    name: str


class _Storage(NamedTuple):
    """The elements that a tensor is a view of, (n,)."""

    elements: Tensor


def read_plain(pickled: bytes, storage: Callable[[str], Tensor]) -> Any:
    """What a pickle of protocol 2 describes.

    Args:
        pickled: as torch.save writes it.
        storage: gives the bytes of a storage by its key: (bytes,) uint8.

    Returns:
        Dictionaries, lists, tuples, strings, numbers, None, and tensors on the CPU.

    Raises:
        NotPlainError: it holds something else.
        ValueError: it is damaged, too large, or claims more than there is. Other exceptions are
            possible where it is damaged.
    """
    machine = _Machine(storage)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        if count > _MAX_STEPS:
            raise ValueError(f"more than {_MAX_STEPS:,} steps to read it")
        machine.step(opcode.name, argument)
    (value,) = machine.stack
    check_plain(value)
    return value


def check_plain(value: Any) -> None:
    """Refuse what is not tensors and plain data, by an explicit stack: nesting may be hostile.

    Raises:
        NotPlainError: says what and where.
        ValueError: it is too large or too deep; or a tensor shows elements more than once.
    """
    waiting = [(value, "", 0)]
    seen = 0
    while waiting:
        value, where, depth = waiting.pop()
        if type(value) in (dict, OrderedDict, list, tuple):
            seen += len(value)
        if seen > _MAX_STEPS or depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_STEPS:,} values, or {_MAX_DEPTH} inside each other")
        if type(value) in _PLAIN:
            continue
        if type(value) is Tensor:
            _check_tensor(value, where)
        elif type(value) in (dict, OrderedDict):
            for key in value:
                _check_key(key, where)
            waiting += [(v, f"{where}[{k!r:.40}]", depth + 1) for k, v in value.items()]
            waiting += [(v, f"{where}.{k}", depth + 1) for k, v in _attributes(value, where)]
        elif type(value) in (list, tuple):
            waiting += [(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
        else:
            what = value.name if type(value) is _Name else type(value).__name__
            raise NotPlainError(f"{what} in {where or 'it'}")


def _attributes(value: dict[Any, Any], where: str) -> Iterator[tuple[str, Any]]:
    """What torch hangs onto a state_dict: versions of modules, by their names."""
    for name, attribute in getattr(value, "__dict__", {}).items():
        if (
            name != "_metadata"
            or type(attribute) not in (dict, OrderedDict)
            or not all(type(k) is str and type(v) is dict for k, v in attribute.items())
        ):
            raise NotPlainError(f"an attribute {name!r} of {where}")
        yield name, attribute


def _check_key(key: Any, where: str) -> None:
    if type(key) not in (str, int, bool, type(None)) or (
        type(key) is int and not -_MAX_KEY < key < _MAX_KEY
    ):
        raise NotPlainError(f"a key of type {type(key).__name__} in {where or 'it'}")


def _check_tensor(tensor: Tensor, where: str) -> None:
    if tensor.layout != torch.strided or tensor.dtype not in DTYPES.values():
        raise NotPlainError(f"a tensor that is {tensor.layout}, {tensor.dtype} in {where}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"an expanded tensor in {where}; take a copy of it")


class _Machine:
    """A pickle machine that knows a few opcodes, and calls nothing."""

    def __init__(self, storage: Callable[[str], Tensor]) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storage = storage

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _ATOMS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name.startswith("EMPTY_") or name.startswith("TUPLE"):
            self._make(name)
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
            self._fill(name)
        elif name == "GLOBAL":
            if argument not in (_TENSOR, _ORDERED, *DTYPES):
                raise NotPlainError(str(argument)[:100])
            stack.append(_Name(argument))
        elif name == "BINPERSID":
            stack.append(self._stored(stack.pop()))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_built(stack.pop(), arguments))
        elif name == "BUILD":
            self._hang_on(stack.pop())
        elif name not in ("PROTO", "STOP"):
            raise NotPlainError(f"the opcode {name}")

    def _slice(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _make(self, name: str) -> None:
        if name == "TUPLE":
            self.stack.append(tuple(self._slice()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            items = tuple(self.stack[-count:])
            del self.stack[-count:]
            self.stack.append(items)
        elif name == "EMPTY_TUPLE":
            self.stack.append(())
        elif name == "EMPTY_LIST":
            self.stack.append([])
        elif name == "EMPTY_DICT":
            self.stack.append({})
        else:
            raise NotPlainError(f"the opcode {name}")

    def _fill(self, name: str) -> None:
        if name in ("APPENDS", "SETITEMS"):
            items = self._slice()
        else:
            count = 1 if name == "APPEND" else 2
            items = self.stack[-count:]
            del self.stack[-count:]
        target = self.stack[-1]
        if name.startswith("APPEND") and type(target) is list:
            target += items
        elif name.startswith("SETITEM") and type(target) in (dict, OrderedDict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                _check_key(key, "it")  # before it is hashed
                target[key] = value
        else:
            raise ValueError(f"{name} on a {type(target).__name__}")

    def _stored(self, description: Any) -> _Storage:
        kind, storage_type, key, _, count = description
        if kind != "storage" or type(key) is not str or type(storage_type) is not _Name:
            raise ValueError("a storage that is none")
        dtype = DTYPES[storage_type.name]
        raw = self.storage(key)  # (bytes,) uint8
        if count != len(raw) // dtype.itemsize or len(raw) % dtype.itemsize:
            raise ValueError(f"storage {key} has {len(raw)} bytes, not {count} of {dtype}")
        return _Storage(raw.view(dtype))

    def _hang_on(self, state: Any) -> None:
        if type(self.stack[-1]) is not OrderedDict or list(state) != ["_metadata"]:
            raise NotPlainError("an object with a state")
        vars(self.stack[-1])["_metadata"] = state["_metadata"]


def _built(function: Any, arguments: Any) -> Any:
    if function == _Name(_ORDERED) and arguments == ():
        return OrderedDict()
    if function == _Name(_TENSOR):
        return _tensor(*arguments)
    raise NotPlainError(f"a call of {function.name if type(function) is _Name else function!r:.40}")


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any
) -> Tensor:
    """A view of a storage that lies within it: torch would enlarge the storage silently."""
    if type(storage) is not _Storage or hooks or type(size) is not tuple:
        raise ValueError("a tensor that is none")
    elements = storage.elements
    for number in (offset, *size, *stride):
        if type(number) is not int or not 0 <= number < 1 << 40:
            raise ValueError(f"a tensor of size {size!r:.100}")
    if len(size) != len(stride) or len(size) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor of {len(size)} dimensions")
    largest = math.prod(n or 1 for n in size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if (0 in size and largest >= 1 << 40) or (
        0 not in size and (last >= len(elements) or largest > len(elements))
    ):
        raise ValueError(f"a tensor of size {size} in a storage of {len(elements)}")
    if 0 in size:
        offset = 0
    tensor = torch.empty(0, dtype=elements.dtype)
    tensor.set_(elements.untyped_storage(), offset, size, stride)
    return tensor.requires_grad_() if requires_grad is True else tensor
