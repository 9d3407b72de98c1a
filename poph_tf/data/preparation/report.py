"""What a person sees of a preparation: progress, a table at the end, `report.html`."""

import collections
import html
import os
import sys
import time

import numpy as np

from poph_tf import theory
from poph_tf.data import examples
from poph_tf.data.preparation import report_charts

_PERIOD_SECONDS = 0.5
_PERIOD_WITHOUT_TERMINAL = 10.0
_BAR = 24
_MOST_ROWS = 30
# Scores lie below 0.05 steps, tuplets included.
_OFF_THE_GRID = 0.1


class Progress:
    """A line on a terminal that says how far the work is; else a line now and then.

    Args:
        stream: file or None. Where it is shown; None shows nothing.
        clock: function that returns seconds, or None for the real clock.
    """

    def __init__(self, stream=sys.stderr, clock=None):
        self._stream = stream
        self._clock = clock or time.monotonic
        self._start = self._shown = self._clock()
        self._live = stream is not None and stream.isatty()
        self._period = _PERIOD_SECONDS if self._live else _PERIOD_WITHOUT_TERMINAL
        self.files = self.rejects = 0
        self.share = None

    def update(self, files, rejects, share):
        """Counts files that are done; `share` (0..1 or None) of the input is read."""
        self.files += files
        self.rejects += rejects
        self.share = share
        if self._stream and self._clock() - self._shown >= self._period:
            self._show()

    def _show(self):
        self._shown = self._clock()
        end = "\r" if self._live else "\n"
        self._stream.write(
            f"{self.line():<79}{end}" if self._live else self.line() + end
        )
        self._stream.flush()

    def line(self):
        """The line as it is now."""
        seconds = max(self._clock() - self._start, 1e-9)
        parts = [f"{self.files:,} files, {self.files / seconds:,.0f}/s"]
        if self.share:
            filled = int(self.share * _BAR)
            parts.insert(0, f"[{'#' * filled:<{_BAR}}] {self.share:4.0%}")
            parts.append(f"{_duration(seconds * (1 / self.share - 1))} left")
        parts.append(f"{self.rejects:,} rejected")
        return ", ".join(parts)

    def close(self):
        """The work is done."""
        self.share = 1.0
        if self._stream:
            self._show()
            if self._live:
                self._stream.write("\n")


def _duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes}:{seconds:02d}"


def by_reason(rejects):
    """Number of rejects by reason, most frequent first; dict."""
    counts = collections.Counter(reason for _, reason in rejects)
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def table(info):
    """The table at the end of a run, as text."""
    rows = [("split", "pieces", "steps", "shards")]
    for name, split in info.splits.items():
        shards = str(len(split.shards))
        rows.append((name, f"{split.num_pieces:,}", f"{split.num_steps:,}", shards))
    lines = _columns(rows)
    styles = ", ".join(info.styles[:12]) + (", ..." if len(info.styles) > 12 else "")
    lines += ["", f"styles: {styles}"]
    lines.append(
        f"left out: {info.num_duplicates:,} duplicates; in one split with their like: "
        f"{info.num_near_duplicates:,} twins"
    )
    if info.rejects:
        rows = [("rejected", "reason")]
        rows += [(f"{count:,}", reason) for reason, count in info.rejects.items()]
        lines += ["", *_columns(rows[: _MOST_ROWS + 1])]
    return "\n".join(lines)


def _columns(rows):
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if k == 0 or k == len(row) - 1 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def warnings(info):
    """What a person should know of a data set before training; list of str."""
    found = []
    for name, split in info.splits.items():
        if not split.num_pieces:
            found.append(
                f"The {name} split is empty: more distinct pieces are needed, or a "
                f"larger --{name}_fraction."
            )
    if info.grid_error > _OFF_THE_GRID and info.settings.get("align") == "off":
        found.append(
            f"Onsets lie {info.grid_error:.2f} steps off the grid on average (anywhere "
            "at all: 0.25); it seems that pieces do not begin on it: "
            "consider --align=auto."
        )
    return found


def grid_error(facts):
    """Mean over pieces of the distance of their onsets to the grid, steps.

    Args:
        facts: dict from `gather`.
    """
    errors = np.concatenate([f["aligned_error"] for f in facts.values()])
    return round(float(errors.mean()), 6)


def gather(store, pieces, kept, where):
    """Sums up the facts of the pieces that stayed, chunk by chunk.

    Args:
        store: staging.Staging.
        pieces: assembly.Catalogue.
        kept: int64 [piece]; where: object [piece], their splits.

    Returns:
        dict from split to dict from column of conversion.FACTS to an array
        [piece] (lengths, tempi, ...) or a sum over pieces (pitches, ...).
    """
    split_of = dict(zip(kept.tolist(), where, strict=True))
    rows = {name: [] for name in examples.SPLITS}
    sums = {name: collections.Counter() for name in examples.SPLITS}
    first = 0
    for key in pieces.keys:
        facts = store.read(key)[2]
        for name in examples.SPLITS:
            own = [k for k in range(len(facts)) if split_of.get(first + k) == name]
            if own:
                rows[name].append(facts[list(_SCALARS)][own].copy())
                for column in _SUMS:
                    sums[name][column] += facts[column][own].sum(0)
        first += len(facts)
    return {
        name: {
            **{c: np.concatenate([r[c] for r in rows[name]]) for c in _SCALARS},
            **sums[name],
        }
        for name in examples.SPLITS
        if rows[name]
    }


_SUMS = ("pitches", "velocities", "polyphony")
_SCALARS = (
    "steps",
    "notes",
    "silent_steps",
    "tempo_qpm",
    "numerator",
    "denominator",
    "key",
    "grid_error",
    "aligned_error",
    "offset_steps",
    "found_beats",
)


def write(info, facts, path):
    """Writes report.html, whole or not at all.

    Args:
        info: DatasetInfo.
        facts: dict from `gather`.
        path: pathlib.Path.
    """
    text = _PAGE.format(
        id=html.escape(info.id[:16]),
        table=html.escape(table(info)),
        warnings="".join(f"<p class=warn>{html.escape(w)}</p>" for w in warnings(info)),
        charts="\n".join(_charts(info, facts)),
    )
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Data set {id}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; }}
figure {{ display: inline-block; margin: 0 1.5em 1.5em 0; }}
figcaption {{ font-weight: 600; }}
.warn {{ background: #fff3cd; padding: .5em 1em; }}
</style></head><body>
<h1>Data set {id}</h1>
<pre>{table}</pre>
{warnings}
{charts}
</body></html>
"""


def _charts(info, facts):
    """All pictures, as HTML."""

    def column(name):
        return {s: f[name] for s, f in facts.items()}

    yield report_charts.histogram("Length (steps)", column("steps"), log=True)
    yield report_charts.histogram("Tempo (quarters a minute)", column("tempo_qpm"))
    silence = {
        s: f["silent_steps"] / np.maximum(f["steps"], 1) for s, f in facts.items()
    }
    yield report_charts.histogram("Share of silent steps", silence)
    yield report_charts.bars(
        "Notes sounding at a time (share of steps)", column("polyphony")
    )
    yield report_charts.bars("Pitch of onsets (MIDI number)", column("pitches"))
    velocities = column("velocities")
    names = [str(8 * k) for k in range(16)]
    yield report_charts.bars("Velocity of onsets", velocities, names)
    keys = {s: _counted(f["key"], 12) for s, f in facts.items()}
    yield report_charts.bars(
        "Major scale that fits best", keys, theory.PITCH_CLASS_NAMES
    )
    yield report_charts.bars(*_metres(facts))
    styles = {
        s: np.array([info.splits[s].pieces_by_style.get(n, 0) for n in info.styles])
        for s in facts
    }
    yield report_charts.bars("Style (share of pieces)", styles, info.styles)
    yield _rounding(facts)


def _rounding(facts):
    """Rounding errors before and after alignment, over all splits."""
    errors = {
        name: np.concatenate([f[column] for f in facts.values()])
        for name, column in (("as filed", "grid_error"), ("used", "aligned_error"))
    }
    return report_charts.histogram(
        "Mean distance of onsets to the grid (steps; random: 0.25)",
        errors,
        limits=(0, 0.5),
    )


def _counted(values, count):
    return np.bincount(values[values >= 0], minlength=count)


def _metres(facts):
    named = {
        s: collections.Counter(
            f"{n}/{d}" for n, d in zip(f["numerator"], f["denominator"], strict=True)
        )
        for s, f in facts.items()
    }
    total = sum(named.values(), collections.Counter())
    names = [name for name, _ in total.most_common(12)]
    counts = {s: np.array([c[n] for n in names]) for s, c in named.items()}
    return "Metre at the start", counts, names
