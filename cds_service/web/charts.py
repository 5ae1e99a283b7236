"""Charts as SVG: axes and scales by leather, marks of our own that can be read without colour.

Every mark has a shape and a label of its own. Text is put in as text, so that nothing of a record becomes markup;
colours and fonts are those of the style sheet, as the content policy allows no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from leather import Chart, Linear, Ordinal, Series, Shape, Temporal
from markupsafe import Markup

_WIDTH: Final = 900
_HEIGHT: Final = 340
_LANE: Final = 48
_CROP: Final = 18  # of the margins leather leaves
_RADIUS: Final = 6.0
_ABOVE: Final = 12
_NEAR: Final = 26.0
_DASHES: Final = ("none", "8 4", "2 4", "10 4 2 4")
_PAD_SHARE: Final = 0.04
_LEAST_PAD: Final = timedelta(days=30)
_ROOM_ABOVE: Final = 1.25


class Mark(NamedTuple):
    """One thing in a chart: where it lies, its label, and its shape."""

    x: Any
    y: Any
    label: str
    shape: str
    until: Any = None


class Line(NamedTuple):
    """Marks that belong together, in their order."""

    name: str
    marks: tuple[Mark, ...]


def _element(tag: str, text: str = "", **attributes: object) -> ET.Element:
    made = ET.Element(tag, {name.rstrip("_").replace("_", "-"): _shown(value) for name, value in attributes.items()})
    made.text = text or None
    return made


def _shown(value: object) -> str:
    return f"{float(value):.1f}" if isinstance(value, int | float) else str(value)


def _polygon(*corners: tuple[float, float]) -> Callable[[float, float], ET.Element]:
    def draw(x: float, y: float) -> ET.Element:
        points = " ".join(f"{x + dx * _RADIUS:.1f},{y + dy * _RADIUS:.1f}" for dx, dy in corners)
        return _element("polygon", points=points)

    return draw


SHAPES: Final[dict[str, Callable[[float, float], ET.Element]]] = {
    "diamond": _polygon((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "square": _polygon((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle": _polygon((0, -1.2), (1.2, 1), (-1.2, 1)),
    "circle": lambda x, y: _element("circle", cx=x, cy=y, r=_RADIUS),
    "cross": _polygon(
        (-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4),
        (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4),
    ),
}  # fmt: skip


class _Marks(Shape):  # type: ignore[misc]
    """Draws marks, joined by a line of its own kind where they are a series."""

    def __init__(self, number: int, *, joined: bool) -> None:
        self._number, self._joined = number, joined

    def validate_series(self, series: Any) -> None:
        """Everything can be drawn."""

    def legend_to_svg(self, _series: Any, _palette: Any) -> list[Any]:
        """No legend: labels stand at the marks."""
        return []

    def to_svg(self, width: float, height: float, x_scale: Any, y_scale: Any, series: Any, _palette: Any) -> ET.Element:
        """The marks of one series."""
        group = _element("g", class_="marks")
        marks: list[Mark] = [found.row for found in series.data()]
        placed = [
            (mark, float(x_scale.project(mark.x, 0, width)), float(y_scale.project(mark.y, height, 0)))
            for mark in marks
        ]
        if self._joined:
            points = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in placed)
            group.append(_element("polyline", points=points, stroke_dasharray=_DASHES[self._number % len(_DASHES)]))
        labelled = []
        for mark, x, y in placed:
            end = x if mark.until is None else float(x_scale.project(mark.until, 0, width))
            group.extend(_drawn(mark, x, end, y))
            labelled.append((mark, (x + end) / 2, y))
        group.extend(_labels(labelled, width))
        return group


def _drawn(mark: Mark, x: float, end: float, y: float) -> Iterator[ET.Element]:
    """A mark; what lasts is a bar."""
    if end - x > _RADIUS:
        yield _element("rect", x=x, y=y - _RADIUS, width=end - x, height=2 * _RADIUS, class_=mark.shape)
    else:
        yield SHAPES.get(mark.shape, SHAPES["square"])(x, y)


def _labels(placed: Sequence[tuple[Mark, float, float]], width: float) -> Iterator[ET.Element]:
    """Labels above the marks; those that would touch are put together."""
    groups: list[list[tuple[Mark, float, float]]] = []
    for item in placed:
        if groups and item[1] - groups[-1][-1][1] < _NEAR and item[2] == groups[-1][-1][2]:
            groups[-1].append(item)
        else:
            groups.append([item])
    for group in groups:
        label = ", ".join(dict.fromkeys(mark.label for mark, _, _ in group))
        x = (group[0][1] + group[-1][1]) / 2
        anchor = "end" if x > width - _NEAR else "middle"
        yield _element("text", label, x=x, y=group[0][2] - _ABOVE, text_anchor=anchor)


class _Today(Shape):  # type: ignore[misc]
    """A line across all lanes."""

    def validate_series(self, series: Any) -> None:
        """There is one mark."""

    def legend_to_svg(self, _series: Any, _palette: Any) -> list[Any]:
        """The line has a label."""
        return []

    def to_svg(self, width: float, height: float, x_scale: Any, _y: Any, series: Any, _palette: Any) -> ET.Element:
        """The line, labelled at its foot."""
        (mark,) = (found.row for found in series.data())
        x = float(x_scale.project(mark.x, 0, width))
        group = _element("g", class_="today")
        group.append(_element("line", x1=x, x2=x, y1=0, y2=height))
        group.append(_element("text", mark.label, x=x, y=-9, text_anchor="middle"))
        return group


def lanes(kinds: Sequence[str], lines: Sequence[Line], today: date, name: str, about: str) -> Markup:
    """Marks on lanes over time, with a line at today."""
    days = [day for line in lines for mark in line.marks for day in (mark.x, mark.until or mark.x)]
    chart = _axes(_time([*days, today]), Ordinal(list(reversed(kinds))))
    chart.add_series(_data(Line("today", (Mark(today, kinds[0], "today", ""),))), _Today())  # behind the marks
    _put(lines, chart, joined=False)
    return _svg(chart, 110 + _LANE * len(kinds), name, about)


def series(lines: Sequence[Line], name: str, about: str, unit: str) -> Markup:
    """Values over time, each labelled; lines differ by dashes and shapes."""
    marks = [mark for line in lines for mark in line.marks]
    top = max(mark.y for mark in marks) * _ROOM_ABOVE
    chart = _axes(_time([mark.x for mark in marks]), Linear(0, top))
    chart.add_y_axis(name=unit)
    _put(lines, chart, joined=True)
    return _svg(chart, _HEIGHT, name, about)


class _Days(Temporal):  # type: ignore[misc]
    """Fills the axis with the days themselves; leather's own scale runs on to the next full tick, years away."""

    def project(self, value: date, range_min: float, range_max: float) -> float:
        """Place of a day on the axis."""
        first, last = self._data_min, self._data_max
        return float(range_min + (range_max - range_min) * ((value - first) / (last - first)))

    def ticks(self) -> list[date]:
        """Those that lie on the axis."""
        return [tick for tick in super().ticks() if self.contains(tick)]


def _time(days: Sequence[date]) -> Any:
    first, last = min(days), max(days)
    pad = max(_LEAST_PAD, (last - first) * _PAD_SHARE)
    return _Days(first - pad, last + pad)


def _format(ticks: Sequence[date]) -> Callable[[date, int, int], str]:
    """Years, months or days, whichever the axis is divided into."""
    form = "%Y-%m-%d" if any(tick.day != 1 for tick in ticks) else "%Y-%m" if any(t.month != 1 for t in ticks) else "%Y"
    return lambda day, _number, _count: day.strftime(form)


def _data(line: Line) -> Series:
    return Series(line.marks, x=lambda mark, _: mark.x, y=lambda mark, _: mark.y, name=line.name)


def _axes(x: Any, y: Any) -> Any:
    chart = Chart()
    chart.set_x_scale(x)
    chart.set_y_scale(y)
    chart.add_x_axis(tick_formatter=_format(x.ticks()))
    return chart


def _put(lines: Sequence[Line], chart: Any, *, joined: bool) -> None:
    for number, line in enumerate(lines):
        chart.add_series(_data(line), _Marks(number, joined=joined))


def _svg(chart: Any, height: int, name: str, about: str) -> Markup:
    """The chart as an element of a page, with a name and a description for those who do not see it."""
    root = _element("svg", class_="chart", viewBox=f"0 {_CROP} {_WIDTH} {height - 2 * _CROP}", role="img")
    root.append(_element("title", name))
    root.append(_element("desc", about))
    root.append(chart.to_svg_group(_WIDTH, height))
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - made of elements, which escape their text


class _Bar(Shape):  # type: ignore[misc]
    """Draws the parts of bars side by side, each with its number where there is room."""

    def validate_series(self, series: Any) -> None:
        """Everything can be drawn."""

    def to_svg(self, width: float, height: float, x_scale: Any, y_scale: Any, series: Any, _palette: Any) -> ET.Element:
        """All bars."""
        group = _element("g", class_="bars")
        for name, parts in (found.row for found in series.data()):
            y, x = float(y_scale.project(name, height, 0)), 0.0
            for number, part in enumerate(parts):
                end = x + float(x_scale.project(part, 0, width))
                if part:
                    group.append(_element("rect", x=x, y=y - 11, width=end - x, height=22, class_=f"part{number}"))
                if end - x > _NEAR:
                    place = {"x": (x + end) / 2, "y": y + 5, "text_anchor": "middle", "class_": f"part{number}"}
                    group.append(_element("text", str(part), **place))
                x = end
        return group


def bars(rows: Sequence[tuple[str, Sequence[int]]], parts: Sequence[str], name: str, about: str) -> Markup:
    """Whole numbers as bars that are divided into parts; grey, hatched or white, and numbered."""
    chart = Chart()
    chart.set_x_scale(Linear(0, max(sum(values) for _, values in rows)))
    chart.set_y_scale(Ordinal([label for label, _ in reversed(rows)]))
    chart.add_x_axis(name="cards: dark " + ", grey ".join(parts[:2]) + f", white {parts[2]}")
    chart.add_series(Series(rows, x=lambda row, _: sum(row[1]), y=lambda row, _: row[0]), _Bar())
    return _svg(chart, 150 + 34 * len(rows), name, about)
