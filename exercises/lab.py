"""What a check is made of: the same steps with the learner's code and with the reference, compared.

A check is a generator that takes a module and yields Records, in the order in which the quantities
arise. It runs twice, with the learner's module and with the reference's; the first record that
differs is what the learner is told. A record with an expectation of its own (`expect`, `at_least`)
needs no reference: that is how identities are stated.

    @check("T1", "a batch of one in one dimension")
    def smallest(m):
        yield from call(m.gaussian_logp, x=torch.randn(1, 1), mu=torch.randn(1, 1), ...)

Each check starts from the same random numbers, and so does each `call` within it, so a learner may
draw noise in whatever way torch offers. Tiers T1, T2 and T4 compute in float64.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

TIERS = {
    "T1": "value and gradient",
    "T2": "identities",
    "T3": "transcript",
    "T4": "update",
    "T5": "probes",
    "T6": "training",
    "T7": "answer",
}
EXACT = ("T1", "T2", "T3", "T4", "T7")  # no chance in them, so that mutants are told apart
SECONDS = {"T1": 2, "T2": 4, "T3": 4, "T4": 8, "T5": 60, "T6": 600, "T7": 4}  # of CPU, then it ends
NOTHING = object()
SMALL = 16  # numbers that are shown in full
FLAGS = ("term", "trunc", "done")  # arguments of 0 and 1, by which nobody differentiates


class Wrong(Exception):
    """Something about the learner's answer that can be said in a line at once."""


@dataclass
class Record:
    """One quantity. `got` is compared with the reference's, or with `want`, or with bounds."""

    label: str
    got: Any
    want: Any = NOTHING
    tol: float | None = None
    least: float | None = None
    most: float | None = None
    context: list[str] = field(default_factory=list)  # shown when it differs
    says: str = ""  # what it means if it differs


@dataclass(frozen=True)
class Check:
    tier: str
    name: str
    steps: Callable[[Any], Iterator[Record]]
    seeds: int = 1  # a trained one: so many runs
    needed: int = 1  # of which so many must succeed
    free: bool = False  # it depends on what a learner draws freely: no help in naming mutants


def check(tier: str, name: str, **more: Any) -> Callable:
    """Make a generator of records a check; they run in the order in which they stand."""

    def register(steps: Callable) -> Callable:
        steps.check = Check(tier, name, steps, **more)
        return steps

    return register


def expect(label: str, got: Any, want: Any, tol: float | None = None, says: str = "") -> Record:
    """A quantity whose value is known without the reference."""
    return Record(label, got, want, tol, says=says)


def at_least(label: str, got: Any, bar: float, says: str = "") -> Record:
    return Record(label, got, least=bar, says=says)


def at_most(label: str, got: Any, bar: float, says: str = "") -> Record:
    return Record(label, got, most=bar, says=says)


# ---- calling a function of the learner's


def call(
    fn: Callable,
    *args: Any,
    names: tuple[str, ...] = (),
    grads: tuple[str, ...] | None = None,
    changes: tuple[str, ...] = (),
    seed: int = 0,
    **kwargs: Any,
) -> Iterator[Record]:
    """Outputs of fn, and the gradient of each by each tensor and parameter that it was given.

    `names` are those of the outputs (the function's own if there is one); `grads` those of them
    that are differentiated (all); `changes` the arguments that fn is there to change: they are
    recorded afterwards, and a change to any other is a mistake. fn works on copies.
    """
    try:
        given = inspect.signature(fn).bind(*args, **kwargs).arguments
    except TypeError as e:
        raise Wrong(
            f"{fn.__name__} does not take the arguments that the exercise gives: {e}"
        ) from e
    given = {k: _copy(k, v) for k, v in given.items()}
    leaves = {k: v for name, value in given.items() for k, v in _leaves(name, value)}
    before = {k: v.detach().clone() for k, v in leaves.items()}
    context = _shown(fn.__name__, given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            out = fn(**given) if kwargs or not args else fn(*given.values())
        except Exception as e:
            e.called = context  # for who tells the learner
            raise

    names, changed = names or (fn.__name__,), []
    for name, value in leaves.items():
        if name.split(".")[0] in changes or name in changes:
            changed.append(Record(f"{name} afterwards", value.detach().clone(), context=context))
        elif not torch.equal(torch.nan_to_num(value.detach()), torch.nan_to_num(before[name])):
            raise Wrong(f"{fn.__name__} changed its argument {name} in place: work on a new tensor")
    outs = {} if changes and out is None else _outputs(fn.__name__, out, names)
    for name, value in outs.items():
        yield Record(name, value, context=context)
    yield from changed
    if changes:
        return
    for name, value in outs.items():
        if grads is None or name in grads:
            yield from _gradients(name, value, leaves, context)


def _gradients(
    name: str, out: Any, leaves: dict[str, Tensor], context: list[str]
) -> Iterator[Record]:
    floats = {k: v for k, v in leaves.items() if v.requires_grad}
    for k, v in floats.items():
        grad = None
        if isinstance(out, Tensor) and out.requires_grad:
            weight = torch.cos(torch.arange(out.numel(), dtype=out.dtype)).view(out.shape)
            total = (out * weight)[out.detach().isfinite()].sum()
            grad = torch.autograd.grad(total, v, retain_graph=True, allow_unused=True)[0]
        grad = torch.zeros_like(v) if grad is None else grad
        yield Record(f"gradient of {name} with respect to {k}", grad.detach(), context=context)


def _outputs(fn: str, out: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if out is None:
        raise Wrong(f"{fn} returned None: is a return missing?")
    if len(names) == 1:
        return {names[0]: out}
    if not isinstance(out, tuple | list) or len(out) != len(names):
        got = f"{len(out)} values" if isinstance(out, tuple | list) else kind(out)
        raise Wrong(f"{fn} returned {got}, but {len(names)} are wanted: {', '.join(names)}")
    return dict(zip(names, out, strict=True))


def _copy(name: str, value: Any) -> Any:
    """A copy whose float tensors, unless they are flags, are leaves to differentiate by."""
    if isinstance(value, Tensor):
        fresh = value.detach().clone()
        return fresh.requires_grad_(fresh.is_floating_point() and name not in FLAGS)
    if isinstance(value, nn.Module):
        return copy.deepcopy(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_copy, value._fields, value))
    return copy.deepcopy(value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors in an argument, by name: b.obs, q.net.0.weight."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, nn.Module):
        yield from ((f"{name}.{k}", p) for k, p in value.named_parameters())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for k, v in zip(value._fields, value, strict=True):
            yield from _leaves(f"{name}.{k}", v)


def _shown(fn: str, given: dict[str, Any]) -> list[str]:
    """How it was called: with its numbers if that is short enough to be read, else with shapes."""
    tensors = [v for name, value in given.items() for _, v in _leaves(name, value)]
    modules = any(isinstance(v, nn.Module) for v in given.values())
    if modules or sum(v.numel() for v in tensors) > SMALL:
        return [f"{fn}({', '.join(f'{k} {outline(v)}' for k, v in given.items())})"]
    return [f"{fn}({', '.join(f'{k}={brief(v)}' for k, v in given.items())})"]


# ---- comparing


def differs(r: Record, other: Record) -> list[str]:
    """What is wrong with a record, in lines; none if nothing is. `other` is the reference's."""
    if r.least is not None or r.most is not None:
        return _bounds(r)
    want = other.got if r.want is NOTHING else r.want
    lines = difference(r.label, r.got, want, r.tol)
    return lines + [r.says] * bool(lines and r.says)


def _bounds(r: Record) -> list[str]:
    bar, below = (r.least, True) if r.least is not None else (r.most, False)
    got = float(r.got)
    if got >= bar if below else got <= bar:
        return []
    word = "at least" if below else "at most"
    return [
        f"{r.label}   expected {word} {number(bar)}   got {number(got)}",
        *[r.says] * bool(r.says),
    ]


def difference(label: str, got: Any, want: Any, tol: float | None = None) -> list[str]:
    """Lines that say how `got` differs from `want`, none if it does not."""
    if isinstance(want, dict):
        if not isinstance(got, dict) or set(got) != set(want):
            names = sorted(got) if isinstance(got, dict) else kind(got)
            return [f"{label}   expected the keys {sorted(want)}   got {names}"]
        return next(
            filter(None, (difference(f"{label}[{k!r}]", got[k], want[k], tol) for k in want)), []
        )
    if isinstance(want, tuple | list):
        if not isinstance(got, tuple | list) or len(got) != len(want):
            what = f"{len(got)} values" if isinstance(got, tuple | list) else kind(got)
            return [f"{label}   expected {len(want)} values   got {what}"]
        parts = enumerate(zip(got, want, strict=True))
        return next(
            filter(None, (difference(f"{label}[{i}]", g, w, tol) for i, (g, w) in parts)), []
        )
    if not isinstance(want, Tensor):
        return _plain(label, got, want, tol)
    if not isinstance(got, Tensor):
        return [f"{label}   expected a tensor {shape(want)}   got {kind(got)}"]
    if got.shape != want.shape:
        return [f"{label}   expected shape {shape(want)}   got {shape(got)}"]
    if got.dtype != want.dtype:
        return [f"{label}   expected dtype {name(want.dtype)}   got {name(got.dtype)}"]
    got, want = got.detach(), want.detach()
    bad = ~close(got, want, tol)
    return _entries(label, got, want, bad) if bad.any() else []


def close(got: Tensor, want: Tensor, tol: float | None = None) -> Tensor:
    """Where two tensors agree, up to rounding at the scale of the largest number."""
    if not want.is_floating_point():
        return got == want
    tol = tol or (1e-7 if want.dtype == torch.float64 else 2e-5)
    finite = want[want.isfinite()].abs()
    scale = finite.max() if finite.numel() else torch.ones((), dtype=want.dtype)
    same = (got - want).abs() <= tol * scale + 1e-12
    return same | (got == want) | (got.isnan() & want.isnan())


def _plain(label: str, got: Any, want: Any, tol: float | None) -> list[str]:
    if isinstance(got, Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(want, bool) or not isinstance(want, int | float):
        same = got == want
    elif isinstance(got, int | float):
        same = abs(got - want) <= (tol or 1e-6) * abs(want) + 1e-9 or got == want
        same = same or got != got and want != want  # both are nan
    else:
        return [f"{label}   expected {number(want)}   got {kind(got)}"]
    return [] if same else [f"{label}   expected {brief(want)}   got {brief(got)}"]


def _entries(label: str, got: Tensor, want: Tensor, bad: Tensor) -> list[str]:
    """The first entries that differ, and what is true of all of them."""
    where = bad.nonzero().tolist()
    if got.isnan().any() and not want.isnan().any():
        index = got.isnan().nonzero().tolist()[0]
        return [f"{at(label, index)}   expected {number(want[tuple(index)])}   got nan"]
    lines = []
    shown = where[:3] if len(where) > 3 or want.numel() > SMALL else _around(want.shape, where)
    for index in shown:
        g, w = different(got[tuple(index)], want[tuple(index)])
        lines.append(f"{at(label, index)}   expected {w:>9}   got {g:>9}")
    if len(where) > len(shown):
        lines.append(f"and {len(where) - len(shown)} more of {want.numel()} entries differ")
    return lines + [f"{label} {fact}" for fact in _facts(got, want)]


def _around(size: torch.Size, where: list[list[int]]) -> list[list[int]]:
    """The entries that differ, and in a short vector those that agree: it helps to see both."""
    if len(size) == 1 and size[0] <= 6:
        return [[i] for i in range(size[0])]
    return where


def _facts(got: Tensor, want: Tensor) -> list[str]:
    """What can be said of two tensors of the same shape that differ."""
    if not want.is_floating_point() or not got.isfinite().all() or not want.isfinite().all():
        return []
    if not got.any():
        return ["is zero everywhere in your answer"]
    if close(got, -want).all():
        return ["has the opposite sign everywhere"]
    if want.numel() > 1 and want.abs().max() > 0:
        factor = (got * want).sum() / (want * want).sum()
        if abs(factor - 1) > 1e-3 and close(got, factor * want).all():
            return [f"is {number(factor)} times what is expected, everywhere"]
    offset = (got - want).mean()
    if want.numel() > 1 and close(got - offset, want).all():
        return [f"is off by {number(offset)} everywhere"]
    return []


# ---- words for values


def at(label: str, index: list[int]) -> str:
    return f"{label}[{', '.join(map(str, index))}]" if index else label


def shape(x: Tensor) -> str:
    return f"({', '.join(map(str, x.shape))}{',' * (x.ndim == 1)})"


def name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {shape(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def number(value: Any) -> str:
    value = value.item() if isinstance(value, Tensor) else value
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    value = value or 0.0  # no -0.0000
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.4g}"


def different(got: Tensor, want: Tensor) -> tuple[str, str]:
    """Both as texts, with the digits that it takes to see that they are two."""
    g, w = number(got), number(want)
    same = g == w and bool(got != want)
    return (f"{got.item():.12g}", f"{want.item():.12g}") if same else (g, w)


def brief(value: Any) -> str:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        inner = (f"{k}={brief(v)}" for k, v in zip(value._fields, value, strict=True))
        return f"{type(value).__name__}({', '.join(inner)})"
    if isinstance(value, Tensor):
        return _numbers(value.detach().tolist())
    if isinstance(value, float):
        return f"{value:.4g}"
    return repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "..."


def outline(value: Any) -> str:
    """What an argument is, in few words: a shape, the shapes of a batch, or the value."""
    if isinstance(value, Tensor):
        return shape(value)
    if isinstance(value, nn.Module):
        return "net"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (
            f"[{', '.join(f'{k} {outline(v)}' for k, v in zip(value._fields, value, strict=True))}]"
        )
    return f"= {brief(value)}"


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_numbers, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
