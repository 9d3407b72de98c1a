"""Shows what a data set is made of: a table at the end of a run and `report.html`."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jinja2
import numpy as np

from poph_tf import theory
from poph_tf.data import examples
from poph_tf.data.preparation.sources import UNREAD_FOLDER

_MOST_ROWS = 30
_MOST_STYLES = 12
_MOST_MEMBERS = 20
_MOST_METRES = 12
_NUM_BINS = 40
# What becomes of near-duplicates, by setting.
_FATE = {
    "keep": "kept",
    "group": "kept within one split",
    "drop": "left out as well",
}
# Scores lie below 0.05 steps, tuplets included.
_OFF_THE_GRID = 0.1


@dataclasses.dataclass(frozen=True)
class Chart:
    """Bars side by side: how often values occur in each of several series.

    Attributes:
        title: what the values are.
        names: names of the bins [bin].
        shares: by series, float [bin].
    """

    title: str
    names: Sequence[str]
    shares: Mapping[str, np.ndarray]

    @property
    def top(self) -> float:
        """The largest share."""
        return max((s.max(initial=0) for s in self.shares.values()), default=0) or 1


def by_reason(rejects: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Counts rejects, (source, reason) of each, by reason; most frequent first.

    Example:
        >>> by_reason([("a", "no notes"), ("b", "too long"), ("c", "too long")])
        {'too long': 2, 'no notes': 1}
    """
    counts = collections.Counter(reason for _, reason in rejects)
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def table(info: examples.DatasetInfo) -> str:
    """The table at the end of a run, as text."""
    fate = info.settings.get("near_duplicates", "group")
    lines = ["split     pieces          steps  shards"]
    lines += [
        f"{name:<6}{s.num_pieces:>10,}{s.num_steps:>15,}  {len(s.shards)}"
        for name, s in info.splits.items()
    ]
    more = ", ..." if len(info.styles) > _MOST_STYLES else ""
    lines += [
        "",
        f"styles: {', '.join(info.styles[:_MOST_STYLES])}{more}",
        f"left out: {info.num_duplicates:,} duplicates; {_FATE[fate]}: "
        f"{info.num_near_duplicates:,} near-duplicates",
    ]
    for title, counts in (
        ("rejected  reason", info.rejects),
        ("repaired  damage", info.repairs),
    ):
        rows = list(counts.items())[:_MOST_ROWS]
        lines += ["", title] if rows else []
        lines += [f"{f'{count:,}':<10}{reason}" for reason, count in rows]
    return "\n".join(lines)


def warnings(info: examples.DatasetInfo) -> list[str]:
    """What a user should know about a data set before training."""
    found = [
        f"The {name} split is empty: more distinct pieces are needed, or a larger "
        f"--{name}_fraction."
        for name, split in info.splits.items()
        if not split.num_pieces
    ]
    unread = sum(n for why, n in info.rejects.items() if why.startswith(UNREAD_FOLDER))
    if unread:
        found.append(
            f"{unread:,} folders could not be read, and what they hold is missing: see "
            "rejects.csv."
        )
    if info.split_by_time:
        found.append(
            "There are fewer compositions than splits: each piece is cut by time, its "
            "beginning for training, its end for validation and test."
        )
    if info.num_leaked:
        found.append(
            f"{info.num_leaked:,} pieces of validation and test are the same "
            "composition as a training piece: consider --near_duplicates=drop, or "
            "group with --split_by=hash."
        )
    if info.grid_error > _OFF_THE_GRID and info.settings.get("align") == "off":
        found.append(
            f"Onsets lie {info.grid_error:.2f} steps off the grid on average (0.25 "
            "would be random); pieces do not seem to begin on it: consider "
            "--align=auto."
        )
    return found


def page(
    info: examples.DatasetInfo,
    statistics: Mapping[str, np.ndarray],
    groups: Sequence[Sequence[str]] = (),
    score_seconds: float = 0.0,
    picture: tuple[str, str] = ("", ""),
) -> str:
    """The content of report.html.

    Args:
        info: the info of the data set.
        statistics: by non-empty split, conversion.STATISTICS [piece].
        groups: names of near-duplicates, the largest group first.
        score_seconds: how long the conversion of scores took, over all workers.
        picture: name of a performance, and the SVG of `beat_picture.draw`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poph_tf.data.preparation"),
        autoescape=True,
        trim_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        info=info,
        table=table(info),
        score_seconds=score_seconds,
        performance=picture[0],
        picture=picture[1],
        warnings=warnings(info),
        charts=list(_charts(info, statistics)),
        num_groups=len(groups),
        groups=[(len(g), g[:_MOST_MEMBERS]) for g in groups[:_MOST_ROWS]],
    )


def _charts(
    info: examples.DatasetInfo, statistics: Mapping[str, np.ndarray]
) -> Iterator[Chart]:
    def column(name: str) -> dict[str, np.ndarray]:
        return {s: values[name] for s, values in statistics.items()}

    def totals(name: str) -> dict[str, np.ndarray]:
        return {s: values.sum(0) for s, values in column(name).items()}

    yield _histogram("Length (steps)", column("steps"), log=True)
    yield _histogram("Tempo (quarters per minute)", column("tempo_qpm"))
    silence = {
        s: v["silent_steps"] / np.maximum(v["steps"], 1) for s, v in statistics.items()
    }
    yield _histogram("Share of silent steps", silence)
    yield _bars("Notes sounding at a time (share of steps)", totals("polyphony"))
    yield _bars("Pitch of onsets (MIDI number)", totals("pitches"))
    names = [str(8 * k) for k in range(16)]
    yield _bars("Velocity of onsets", totals("velocities"), names)
    keys = {s: np.bincount(k[k >= 0], minlength=12) for s, k in column("key").items()}
    yield _bars("Major scale that fits best", keys, theory.PITCH_CLASS_NAMES)
    yield _metres(statistics)
    styles = {
        s: np.array([info.splits[s].pieces_by_style.get(n, 0) for n in info.styles])
        for s in statistics
    }
    yield _bars("Style (share of pieces)", styles, info.styles)
    errors = {
        name: np.concatenate(list(column(source).values()))
        for name, source in (("as filed", "grid_error"), ("used", "aligned_error"))
    }
    title = "Mean distance of onsets to the grid (steps; random: 0.25)"
    yield _histogram(title, errors, limits=(0, 0.5))


def _metres(statistics: Mapping[str, np.ndarray]) -> Chart:
    counted = {
        s: collections.Counter(
            f"{n}/{d}" for n, d in zip(v["numerator"], v["denominator"], strict=True)
        )
        for s, v in statistics.items()
    }
    total = sum(counted.values(), collections.Counter())
    names = [name for name, _ in total.most_common(_MOST_METRES)]
    counts = {s: np.array([c[n] for n in names]) for s, c in counted.items()}
    return _bars("Metre at the start", counts, names)


def _histogram(
    title: str,
    series: Mapping[str, np.ndarray],
    *,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Chart:
    """A chart of how often values [value] occur in bins, of equal ratio if `log`."""
    values = np.concatenate([np.asarray(v, float) for v in series.values()])
    low, high = limits or (float(values.min()), float(values.max()))
    if high <= low:
        high = low + 1
    if log:
        edges = np.geomspace(max(low, 1), max(high, 2), _NUM_BINS + 1)
    else:
        edges = np.linspace(low, high, _NUM_BINS + 1)
    # Rounding must not drop the extremes out of the outer bins.
    counts = {
        name: np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0]
        for name, v in series.items()
    }
    return _bars(title, counts, [f"{edge:.4g}" for edge in edges[:-1]])


def _bars(
    title: str, counts: Mapping[str, np.ndarray], names: Sequence[str] | None = None
) -> Chart:
    """A chart of counts [bin], as shares of each series."""
    shares = {n: c / max(np.sum(c), 1) for n, c in counts.items()}
    count = len(next(iter(shares.values())))
    return Chart(title, names or [str(k) for k in range(count)], shares)
