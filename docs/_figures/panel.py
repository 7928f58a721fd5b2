"""A panel of a figure as SVG, in a few lines: axes, series, boxes and arrows.

Colours are classes, which docs/_static/rlcourse.css gives a value for light and for dark; text is
text, in the font of the page. The same calls make the same characters.
"""

from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, hypot, log10
from typing import Any

Points = Iterable[tuple[float, float]]
PAD = 6  # pixels around the axes in which a marker may still be drawn


def tag(element: str, text: str | None = None, /, **attributes: Any) -> str:
    """An element; `_` in the name of an attribute is `-`, and `cls` is its class."""
    named = {"class" if k == "cls" else k.replace("_", "-"): v for k, v in attributes.items()}
    shown = "".join(f' {k}="{escape(number(v))}"' for k, v in named.items() if v is not None)
    return f"<{element}{shown}/>" if text is None else f"<{element}{shown}>{text}</{element}>"


def number(x: Any) -> str:
    return f"{x:.1f}".removesuffix(".0") if isinstance(x, float) else str(x)


def label(x: float) -> str:
    """A tick: 1000 as 1,000 and a minus as long as a digit is wide."""
    return (f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.6g}").replace("-", "−")


def power(x: float) -> str:
    """The tick of a logarithmic axis."""
    return "10" + str(round(x)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def nice(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many round numbers between two numbers."""
    raw = (high - low) / most
    unit = 10 ** floor(log10(raw))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(step * k, 10) for k in range(first, last + 1)]


class Panel:
    """Axes from `x` to `y`, two pairs; what is logarithmic is handed over as log10.

    `key` collects what the legend has to say: (kind, class, text).
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        xlabel: str = "",
        ylabel: str = "",
        xticks: Sequence[float | tuple[float, str]] | None = None,
        yticks: Sequence[float | tuple[float, str]] | None = None,
        log: str = "",
        size: tuple[int, int] = (360, 270),
    ):
        self.x, self.y, self.size = x, y, size
        self.key: list[tuple[str, str, str]] = []
        self.body: list[str] = []
        ticks = [self.ticks(xticks, x, "x" in log), self.ticks(yticks, y, "y" in log)]
        widest = max((len(text) for _, text in ticks[1]), default=0)
        # left, top, right and bottom edge of the axes
        self.box = (14 + 7 * widest, 26 if ylabel else 10, size[0] - 16, size[1] - 44)
        left, top, right, bottom = self.box
        frame = []
        for at, text in ticks[1]:
            height = self.at(0, at)[1]
            frame.append(tag("path", d=f"M{left} {number(height)}H{right}", cls="grid"))
            frame.append(self.write(text, left - 6, height + 4.5, "end"))
        for at, text in ticks[0]:
            place = self.at(at, 0)[0]
            frame.append(tag("path", d=f"M{number(place)} {bottom}v4", cls="axis"))
            frame.append(self.write(text, place, bottom + 17, "middle"))
        frame.append(tag("path", d=f"M{left} {top}V{bottom}H{right}", cls="axis"))
        frame.append(self.write(ylabel, 2, 14.0, "start", "name"))
        frame.append(self.write(xlabel, (left + right) / 2, size[1] - 8.0, "middle", "name"))
        self.frame = "".join(frame)

    @staticmethod
    def ticks(given: Any, limits: tuple[float, float], log: bool) -> list[tuple[float, str]]:
        if given is None:
            given = nice(*limits)
            given = [t for t in given if t == round(t)] if log else given
        text = power if log else label
        return [t if isinstance(t, tuple) else (t, text(t)) for t in given]

    @staticmethod
    def write(text: str, x: float, y: float, anchor: str, cls: str | None = None) -> str:
        if not text:
            return ""
        return tag("text", escape(text), x=float(x), y=float(y), text_anchor=anchor, cls=cls)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point; what is far outside of the axes stays just outside."""
        left, top, right, bottom = self.box
        px = left + (x - self.x[0]) / (self.x[1] - self.x[0]) * (right - left)
        py = bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top)
        return px, min(max(py, top - 2 * PAD), bottom + 2 * PAD)

    def add(
        self,
        points: Points,
        cls: str,
        text: str = "",
        kind: str = "line",
        name: str | None = None,
        base: float = 0.0,
    ) -> "Panel":
        """A series. `text` is for the legend, `name` for a script that draws it anew."""
        shown = kind.split("-")[0]
        self.body.append(
            tag("path", d=self.shape(points, kind, base), cls=f"{shown} {cls}")
            if name is None
            else tag(
                "path",
                d=self.shape(points, kind, base),
                cls=f"{shown} {cls}",
                data_series=name,
                data_kind=kind,
                data_base=base,
            )
        )
        if text:
            self.key.append((shown, cls, text))
        return self

    def shape(self, points: Points, kind: str, base: float = 0.0) -> str:
        """The path of a `line`, of `dots`, of `bars` on a base (`bars-10` are 10 pixels wide), of
        `whiskers` (pairs of points, joined), or of an `area` that closes itself."""
        pixels = [self.at(*p) for p in points]
        if kind == "dots":
            return "".join(
                f"M{x - 3.5:.1f} {y:.1f}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0" for x, y in pixels
            )
        if kind.startswith("bars"):
            wide, foot = float(kind.partition("-")[2] or 8), self.at(0, base)[1]
            return "".join(
                f"M{x - wide / 2:.1f} {foot:.1f}V{y:.1f}h{wide:.1f}V{foot:.1f}z" for x, y in pixels
            )
        if kind == "whiskers":
            pairs = zip(pixels[::2], pixels[1::2], strict=True)
            return "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for (a, b), (c, d) in pairs)
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in pixels)
        return f"M{path}{'z' * (kind == 'area')}" if pixels else ""

    def note(self, text: str, x: float, y: float, anchor: str = "start", cls: str = "") -> "Panel":
        self.body.append(self.write(text, *self.at(x, y), anchor, cls or None))
        return self

    def svg(self) -> str:
        left, top, right, bottom = self.box
        wide, high = right - left + 2 * PAD, bottom - top + 2 * PAD
        inner = tag(  # what leaves the axes is cut off here
            "svg",
            "".join(self.body),
            x=left - PAD,
            y=top - PAD,
            width=wide,
            height=high,
            viewBox=f"{left - PAD} {top - PAD} {wide} {high}",
        )
        return tag(
            "svg",
            self.frame + inner,
            viewBox=f"0 0 {self.size[0]} {self.size[1]}",
            data_x=" ".join(map(str, (*self.x, left, right))),
            data_y=" ".join(map(str, (*self.y, bottom, top))),
        )


class Diagram:
    """Boxes and arrows, in pixels."""

    def __init__(self, width: int, height: int):
        self.size = (width, height)
        self.key: list[tuple[str, str, str]] = []
        self.body: list[str] = []

    def box(self, x: float, y: float, w: float, h: float, *lines: str, cls: str = "") -> "Diagram":
        """A box with its middle at (x, y); the first line is bold if there are several."""
        rect = dict(x=x - w / 2, y=y - h / 2, width=float(w), height=float(h), rx=6)
        self.body.append(tag("rect", cls=f"box {cls}".strip(), **rect))
        for i, text in enumerate(lines):
            high = y + 5 + 18 * (i - (len(lines) - 1) / 2)
            bold = "strong" if i == 0 and len(lines) > 1 else None
            self.body.append(Panel.write(text, x, high, "middle", bold))
        return self

    def circle(self, x: float, y: float, r: float, text: str, cls: str = "") -> "Diagram":
        self.body.append(tag("circle", cx=x, cy=y, r=r, cls=f"box {cls}".strip()))
        self.body.append(Panel.write(text, x, y + 5, "middle", "strong"))
        return self

    def arrow(self, *points: tuple[float, float], cls: str = "", bend: float = 0.0) -> "Diagram":
        """Through the points, straight, or bent to the left by so many pixels between two."""
        (x1, y1), (x2, y2) = points[-2:]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if bend:
            far = hypot(x2 - x1, y2 - y1)
            cx = (x1 + x2) / 2 + bend * (y2 - y1) / far
            cy = (y1 + y2) / 2 - bend * (x2 - x1) / far
            path = f"M{x1:.1f} {y1:.1f}Q{cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}"
            x1, y1 = cx, cy
        far = hypot(x2 - x1, y2 - y1)
        ux, uy = (x2 - x1) / far, (y2 - y1) / far
        head = (
            f"M{x2:.1f} {y2:.1f}L{x2 - 9 * ux + 4 * uy:.1f} {y2 - 9 * uy - 4 * ux:.1f}"
            f"L{x2 - 9 * ux - 4 * uy:.1f} {y2 - 9 * uy + 4 * ux:.1f}z"
        )
        self.body.append(tag("path", d=path, cls=f"arrow {cls}".strip()))
        self.body.append(tag("path", d=head, cls=f"head {cls}".strip()))
        return self

    def loop(self, x: float, y: float, text: str, cls: str = "", up: bool = True) -> "Diagram":
        """An arrow from a circle, whose edge is at (x, y), back to itself."""
        way = -1 if up else 1
        path = f"M{x - 9:.1f} {y:.1f}C{x - 26:.1f} {y + 40 * way:.1f} "
        path += f"{x + 26:.1f} {y + 40 * way:.1f} {x + 9:.1f} {y:.1f}"
        head = f"M{x + 9:.1f} {y:.1f}l{8} {6 * way}l-7 {4 * way}z"
        self.body.append(tag("path", d=path, cls=f"arrow {cls}".strip()))
        self.body.append(tag("path", d=head, cls=f"head {cls}".strip()))
        self.body.append(Panel.write(text, x, y + (-36 if up else 46), "middle", cls.split()[0]))
        return self

    def note(
        self, text: str, x: float, y: float, anchor: str = "middle", cls: str = ""
    ) -> "Diagram":
        self.body.append(Panel.write(text, x, y, anchor, cls or None))
        return self

    def svg(self) -> str:
        wide, high = self.size
        return tag("svg", "".join(self.body), viewBox=f"0 0 {wide} {high}")
