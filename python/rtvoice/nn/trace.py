"""Writing a graph from `forward`: symbols that stand for streams, and what arithmetic and torch do to them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from rtvoice.errors import ModelError
from rtvoice.nn.advice import advice

if TYPE_CHECKING:
    from rtvoice.nn.module import Module

Arrays = Any  # numbers, numpy arrays, torch tensors


class CannotStream(ModelError):
    """A module or an operation that has no streaming form; the message names it and says what to do.

    Attributes
    ----------
    path : str
        Where it stands in the model, as in `body.3.norm`; empty for the model itself.
    told : str
        The message without the path.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path, self.told = path, message


def paths(root: torch.nn.Module) -> dict[int, str]:
    """Return the path of every module below a root, by `id`; a chain's modules stand right under it, as in `body.3`."""
    out = {id(root): ""}
    for name, module in root.named_modules():
        out.setdefault(id(module), ".".join(part for part in name.split(".") if part != "items"))
    return out


class Trace:
    """One graph being written from one root module.

    Parameters
    ----------
    root : torch.nn.Module
        Whose `forward` is written.
    builder : rtvoice.GraphBuilder
        The graph.
    prefix : str
        Of every node's name.
    """

    def __init__(self, root: torch.nn.Module, builder: Any, prefix: str) -> None:
        self.builder = builder
        self.paths = {key: ".".join(filter(None, (prefix, path))) for key, path in paths(root).items()}
        self.scope: list[tuple[torch.nn.Module, str]] = [(root, prefix)]
        self.taken: dict[str, int] = {}

    @property
    def path(self) -> str:
        """Path of the module whose `forward` runs."""
        return self.scope[-1][1]

    def path_of(self, module: torch.nn.Module) -> str:
        """Return a module's path, or its type in the path of who calls it where it belongs to nobody."""
        known = self.paths.get(id(module))
        return known if known is not None else ".".join(filter(None, (self.path, type(module).__name__)))

    def name(self, path: str) -> str:
        """Return a name of its own for a module's or a node's nodes."""
        self.taken[path] = self.taken.get(path, 0) + 1
        return path if self.taken[path] == 1 else f"{path}~{self.taken[path]}"

    def node(self, op: str, *inputs: Any, **options: Any) -> Symbol:
        """Write a node of the running `forward` itself."""
        handles = [item.handle for item in inputs]
        try:
            made = self.builder.node(op, *handles, name=self.name(".".join(filter(None, (self.path, op)))), **options)
        except ValueError as error:
            raise CannotStream(self.path, str(error)) from None
        return Symbol(self, made)

    def refuse(self, what: str) -> CannotStream:
        """Return the error for an operation of the running `forward`."""
        where = f"{type(self.scope[-1][0]).__name__}.forward"
        return CannotStream(self.path, f"{where} uses {what}")


class Width:
    """The shape of a stream: only its channels are known."""

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol

    def __getitem__(self, axis: int) -> int:
        """Return the channels; other axes have no size in a stream."""
        if axis in (-1, 2):
            return self.symbol.channels
        raise self.symbol.trace.refuse("the length of its input, which a stream has not; use the channels, shape[-1]")

    def __len__(self) -> int:
        """Return the number of axes."""
        return 3

    def __iter__(self) -> Iterator[int]:
        """Refuse: the first two axes have no size."""
        self[0]
        return iter(())


class Symbol:
    """A stream, or a control, of a graph being written: stands for a tensor `(batch, frames, channels)`."""

    __array_ufunc__ = None  # numpy's arrays leave arithmetic to the symbol

    def __init__(self, trace: Trace, handle: Any) -> None:
        self.trace, self.handle = trace, handle

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.handle.channels)

    @property
    def frames(self) -> int:
        """Frames per hop."""
        return int(self.handle.frames)

    @property
    def shape(self) -> Width:
        """Shape of which the channels are known."""
        return Width(self)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    def size(self, axis: int) -> int:
        """Return the channels of axis -1."""
        return self.shape[axis]

    def dim(self) -> int:
        """Return the number of axes."""
        return 3

    def __getitem__(self, key: Any) -> Symbol:
        """Take channels: `x[..., a:b]`."""
        parts = list(key) if isinstance(key, tuple) else [key]
        last = parts[-1]
        whole = parts[:-1] in ([Ellipsis], [slice(None), slice(None)])
        if not whole or not isinstance(last, slice) or last.step not in (None, 1):
            raise self.trace.refuse("an index other than x[..., start:stop], which takes channels")
        start, stop, _ = last.indices(self.channels)
        return self if (start, stop) == (0, self.channels) else self.trace.node("slice", self, start=start, stop=stop)

    def __bool__(self) -> bool:
        """Refuse: a stream's values are not known when its graph is written."""
        raise self.trace.refuse("a value of the signal in a condition, which a graph cannot; use arithmetic (clamp)")

    def _compared(self, other: Any) -> bool:
        return bool(self)

    __lt__ = __le__ = __gt__ = __ge__ = _compared

    def __getattr__(self, name: str) -> Any:
        """Return a tensor's method: what `torch` has under that name."""
        if name.startswith("_") or name in ("trace", "handle"):
            raise AttributeError(name)
        function = FUNCTIONS.get(name)
        if function is None:
            raise self.trace.refuse(f"the method {name}() of a tensor, which has no streaming form here; {_KNOWN}")
        return lambda *args, **options: function(self, *args, **options)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Write what a function of torch computes."""
        name = str(getattr(func, "__name__", func)).rstrip("_")
        name = name.strip("_")
        symbol = next(item for item in _flat([*args, *(kwargs or {}).values()]) if isinstance(item, Symbol))
        function = FUNCTIONS.get(name)
        if function is None:
            raise symbol.trace.refuse(f"torch's {name}, which has no streaming form here; {_KNOWN}")
        return function(*args, **(kwargs or {}))

    def __add__(self, other: Any) -> Any:
        return _arithmetic("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return _arithmetic("add", self, other)

    def __sub__(self, other: Any) -> Any:
        return _arithmetic("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _arithmetic("add", self._affine(-1.0, None), other)

    def __mul__(self, other: Any) -> Any:
        return _arithmetic("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _arithmetic("mul", self, other)

    def __truediv__(self, other: Any) -> Any:
        return _arithmetic("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _arithmetic("mul", self.trace.node("reciprocal", self), other)

    def __neg__(self) -> Any:
        return self.trace.node("neg", self)

    def __pow__(self, power: Any) -> Any:
        return _power(self, power)

    def __matmul__(self, matrix: Any) -> Any:
        return _linear(self, _array(matrix).T)

    def _affine(self, scale: Arrays, shift: Arrays) -> Symbol:
        weights = {key: value for key, value in (("scale", scale), ("shift", shift)) if value is not None}
        vectors = {key: _vector(self, value) for key, value in weights.items()}
        width = max(len(vector) for vector in vectors.values())
        if self.channels == 1 and width > 1:  # a constant spreads one channel over several
            ones = np.ones(width, np.float32)
            weight = np.broadcast_to(vectors.get("scale", ones), (width,))[:, None]
            bias = {"bias": vectors["shift"]} if "shift" in vectors else {}
            return self.trace.node("linear", self, weight=np.ascontiguousarray(weight), **bias)
        return self.trace.node("affine", self, **vectors)


def _flat(items: Any) -> Iterator[Any]:
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from _flat(item)
        else:
            yield item


def _array(values: Arrays) -> Any:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, np.float32)


def _vector(symbol: Symbol, values: Arrays) -> Any:
    """Return a constant over channels as `(1,)` or `(channels,)`."""
    array = _array(values)
    if array.size != (array.shape[-1] if array.ndim else 1):
        raise symbol.trace.refuse(f"a constant of shape {tuple(array.shape)}; it must be a number or one per channel")
    return np.ascontiguousarray(array.reshape(-1))


def _arithmetic(op: str, a: Any, b: Any) -> Any:
    if not isinstance(a, Symbol):
        return {"add": b.__radd__, "sub": b.__rsub__, "mul": b.__rmul__, "div": b.__rtruediv__}[op](a)
    if isinstance(b, Symbol):
        return a.trace.node(op, a, b)
    if op == "add":
        return a._affine(None, b)
    if op == "sub":
        return a._affine(None, -_array(b))
    return a._affine(_array(b) if op == "mul" else 1.0 / _array(b), None)


def _power(x: Any, power: Any) -> Any:
    if power == 2:
        return x.trace.node("square", x)
    if power == 0.5:
        return x.trace.node("sqrt", x)
    if power == -1:
        return x.trace.node("reciprocal", x)
    raise x.trace.refuse(f"the power {power!r}; those of 2, 0.5 and -1 have a streaming form")


def _linear(x: Any, weight: Arrays, bias: Arrays = None) -> Any:
    extra = {} if bias is None else {"bias": _array(bias)}
    return x.trace.node("linear", x, weight=np.ascontiguousarray(_array(weight)), **extra)


def _channels_only(x: Any, dim: Any, what: str) -> None:
    if dim not in (-1, 2, (-1,), (2,), [-1], [2]):
        raise x.trace.refuse(f"{what} over axis {dim!r}; only over channels, axis -1, does it stream")


def _sum(x: Any, dim: Any = None, keepdim: bool = False, *, scale: float = 1.0, what: str = "a sum") -> Any:
    _channels_only(x, dim, what)
    if not keepdim:
        raise x.trace.refuse(f"{what} without keepdim=True; streams keep their channel axis")
    return _linear(x, np.full((1, x.channels), scale, np.float32))


def _cat(items: Any, dim: Any = 0, axis: Any = None) -> Any:
    symbols = list(items)
    first = next(item for item in symbols if isinstance(item, Symbol))
    _channels_only(first, dim if axis is None else axis, "concatenation")
    if not all(isinstance(item, Symbol) for item in symbols):
        raise first.trace.refuse("a constant in a concatenation; use rtvoice.nn.Parameter, or a bias")
    return first if len(symbols) == 1 else first.trace.node("concat", *symbols)


def _chunk(x: Any, chunks: int, dim: Any = 0) -> Any:
    _channels_only(x, dim, "chunk")
    return _split(x, -(-x.channels // chunks), dim)


def _split(x: Any, size: Any, dim: Any = 0) -> Any:
    _channels_only(x, dim, "split")
    sizes = (
        [size] * (x.channels // size) + ([x.channels % size] if x.channels % size else [])
        if isinstance(size, int)
        else list(size)
    )
    ends = np.cumsum(sizes).tolist()
    return tuple(x[..., end - part : end] for part, end in zip(sizes, ends, strict=True))


def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    most = 3.4e38
    return x.trace.node("clip", x, min=-most if min is None else float(min), max=most if max is None else float(max))


def _plain(op: str) -> Callable[..., Any]:
    return lambda x, inplace=False: x.trace.node(op, x)


def _leaky_relu(x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    return x.trace.node("leaky_relu", x, alpha=float(negative_slope))


def _elu(x: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    return x.trace.node("elu", x, alpha=float(alpha))


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return x.trace.node("softplus", x, beta=float(beta))


def _same(x: Any, *args: Any, **options: Any) -> Any:
    return x


def _softmax(x: Any, dim: Any = None, dtype: Any = None, **options: Any) -> Any:
    _channels_only(x, dim, "softmax")
    return x.trace.node("softmax", x)


def _mean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return _sum(x, dim, keepdim, scale=1.0 / x.channels, what="a mean")


def _gelu(x: Any, approximate: str = "none") -> Any:
    return x.trace.node("gelu", x, approximate=approximate)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _plain(name) for name in ("relu", "silu", "tanh", "sigmoid", "exp", "log", "sqrt", "square", "abs")},
    **{name: _plain(name) for name in ("neg", "reciprocal", "sin", "cos")},
    **{name: _plain(op) for name, op in (("negative", "neg"), ("absolute", "abs"))},
    **{name: (lambda a, b, op=name: _arithmetic(op, a, b)) for name in ("add", "sub", "mul", "div")},
    **{name: _same for name in ("detach", "float", "contiguous", "clone", "to", "type_as", "dropout", "double")},
    "multiply": lambda a, b: _arithmetic("mul", a, b),
    "true_divide": lambda a, b: _arithmetic("div", a, b),
    "subtract": lambda a, b: _arithmetic("sub", a, b),
    "rsub": lambda a, b: a.__rsub__(b) if isinstance(a, Symbol) else _arithmetic("sub", b, a),
    "pow": _power,
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
    "softmax": _softmax,
    "linear": _linear,
    "matmul": lambda a, b: a @ b,
    "clamp": _clamp,
    "clip": _clamp,
    "sum": _sum,
    "mean": _mean,
    "cat": _cat,
    "concat": _cat,
    "concatenate": _cat,
    "chunk": _chunk,
    "split": _split,
}
_KNOWN = "arithmetic, slices of channels, torch.cat over channels and these have: " + ", ".join(sorted(FUNCTIONS))

#: Modules of torch that only call their children, or do nothing once trained.
_TRANSPARENT = (torch.nn.Sequential, torch.nn.Identity, torch.nn.Dropout, torch.nn.ModuleList)


@contextlib.contextmanager
def _watching(trace: Trace) -> Iterator[None]:
    """Refuse plain layers of torch by name, as soon as one is called with a symbol."""
    from rtvoice.nn.module import Module

    def before(module: torch.nn.Module, args: Any) -> None:
        if any(isinstance(item, Symbol) for item in _flat(args)) and not isinstance(module, (Module, *_TRANSPARENT)):
            path, kind = trace.path_of(module), type(module)
            if kind.__module__.startswith("torch."):
                raise CannotStream(path, advice(module))
            raise CannotStream(path, f"{kind.__name__} is no module of rtvoice.nn; derive it from rtvoice.nn.Module")

    handle = torch.nn.modules.module.register_module_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def _unwrapped(result: Any, trace: Trace) -> Any:
    if isinstance(result, Symbol):
        return result.handle
    if isinstance(result, dict):
        return {key: _unwrapped(value, trace) for key, value in result.items()}
    if isinstance(result, (tuple, list)):
        return tuple(_unwrapped(value, trace) for value in result)
    kind = type(result).__name__
    raise trace.refuse(f"a result that does not depend on its input ({kind}); a graph's outputs are streams")


def _wrapped(result: Any, trace: Trace) -> Any:
    if isinstance(result, dict):
        return {key: _wrapped(value, trace) for key, value in result.items()}
    if isinstance(result, (tuple, list)):
        return tuple(_wrapped(value, trace) for value in result)
    return Symbol(trace, result)


def write(module: torch.nn.Module, builder: Any, inputs: Sequence[Any], name: str) -> Any:
    """Run a module's `forward` over symbols; return the handle or handles that it makes."""
    trace = Trace(module, builder, name)
    with _watching(trace), _named(module, name):
        return _unwrapped(module.forward(*(Symbol(trace, handle) for handle in inputs)), trace)


def called(module: Module, inputs: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Write a module that a running `forward` calls."""
    trace = next(item for item in inputs if isinstance(item, Symbol)).trace
    path = trace.path_of(module)
    trace.scope.append((module, path))
    try:
        with _named(module, path):
            if not module.written_by_hand:
                return module.forward(*inputs, **options)
            handles = [item.handle if isinstance(item, Symbol) else item for item in inputs]
            return _wrapped(module.emit(trace.builder, *handles, name=trace.name(path), **options), trace)
    finally:
        trace.scope.pop()


@contextlib.contextmanager
def _named(module: torch.nn.Module, path: str) -> Iterator[None]:
    """Name the module at whose `forward` or `emit` something fails."""
    try:
        yield
    except CannotStream:
        raise
    except ValueError as error:
        raise CannotStream(path, str(error)) from None
    except Exception as error:
        what = f"{type(module).__name__} fails when its graph is written: {type(error).__name__}: {error}"
        raise CannotStream(path, what) from error


def concat(*parts: Any) -> torch.Tensor:
    """Join the channels of streams; a control, one frame for all, is repeated along the others.

    Parameters
    ----------
    *parts : torch.Tensor
        `(batch, frames, channels)` each; frames may be 1.

    Returns
    -------
    torch.Tensor
        `(batch, frames, sum of channels)`.
    """
    if any(isinstance(part, Symbol) for part in parts):
        return cast(torch.Tensor, _cat(parts, -1))
    frames = max(part.shape[1] for part in parts)
    batch = max(part.shape[0] for part in parts)
    return torch.cat([part.expand(batch, frames, part.shape[2]) for part in parts], dim=-1)
