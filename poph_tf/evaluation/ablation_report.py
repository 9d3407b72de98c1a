"""The table and the picture of ablations, from the JSON files of their runs.

A figure of a variant is the median over its seeds. "To DeepJ's end" counts until a run
first validates as well as the DeepJ of the same seed did when its training ended, with
a straight line drawn between validations; where only some seeds get there it is the
median of those, with their number.
"""

import glob
import json
import os
import statistics

import numpy as np

from poph_tf import provenance
from poph_tf.errors import InputError
from poph_tf.rendering import figures as figures_lib

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
BASELINE = "deepj"
REAL_NAME = "real-pieces.json"
COLORS = {
    "deepj": figures_lib.INK,
    "poph_no_harmony": figures_lib.BLUE,
    "poph_no_attention": "#c79a2b",
    "poph": figures_lib.RED,
    "poph2": "#3d8f5a",
}
HEADER = (
    "| network | parameters | seeds | best nats | nats at the end | epochs to DeepJ's "
    "end | seconds to it | out of key | harmony term | notes a step |"
)
COLUMNS = HEADER.count("|") - 1


def read(folder):
    """All results of a folder: dict from case to dict from variant to list of runs."""
    cases = {}
    for path in sorted(glob.glob(os.path.join(folder, "*-seed-*.json"))):
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        variants = cases.setdefault(result["case"], {})
        variants.setdefault(result["variant"], []).append(result)
    if not cases:
        raise InputError(f"{folder} holds no results of tools/ablate.py.")
    return cases


def keep_real(folder, found):
    """Adds figures of real pieces to those that a folder of results holds.

    Args:
        folder: str.
        found: dict from case to the figures of its real pieces.

    Returns:
        dict of all that are known, for `table`.
    """
    path = os.path.join(folder, REAL_NAME)
    known = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
    provenance.write_json(path, known | found)
    return known | found


def reached(curve, target, by):
    """Where a curve of validations first comes down to a target.

    Args:
        curve: dict of lists, as `ablation.curve` makes it.
        target: float, nats.
        by: str. "epoch" or "seconds".

    Returns:
        float, or None where it never does.
    """
    nats, places = curve["nats"], curve[by]
    for k, value in enumerate(nats):
        if value <= target:
            if k == 0:
                return places[0]
            share = (nats[k - 1] - target) / (nats[k - 1] - value)
            return places[k - 1] + share * (places[k] - places[k - 1])
    return None


def table(cases, real=None):
    """Markdown tables, one for each case.

    Args:
        cases: as `read` gives them.
        real: dict from case to figures of its validation pieces, or None.
    """
    parts = []
    for name, variants in cases.items():
        lines = [f"### {name}", "", HEADER, "|" + "---|" * COLUMNS]
        targets = {
            run["seed"]: run["curve"]["nats"][-1] for run in variants.get(BASELINE, [])
        }
        order = [v for v in COLORS if v in variants]
        lines += [_row(variant, variants[variant], targets) for variant in order]
        if real and name in real:
            lines.append(_row_of_real(real[name]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _row(variant, runs, targets):
    def median(values):
        return statistics.median(values)

    best = median([min(run["curve"]["nats"]) for run in runs])
    last = [run["curve"]["nats"][-1] for run in runs]
    epochs, seconds = (_to_target(runs, targets, by) for by in ("epoch", "seconds"))
    composed = [run["composed"] for run in runs]
    cells = [
        variant,
        f"{runs[0]['parameters']:,}",
        str(len(runs)),
        f"{best:.3f}",
        _spread(last),
        epochs,
        seconds,
        f"{median([c['out_of_key_share'] for c in composed]):.3f}",
        f"{median([c['harmony'] for c in composed]):.3f}",
        f"{median([c['notes_per_step'] for c in composed]):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _spread(values):
    """The median, and how far the seeds lie apart."""
    middle = f"{statistics.median(values):.3f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.3f} to {max(values):.3f})"


def _to_target(runs, targets, by):
    known = [run for run in runs if run["seed"] in targets]
    places = [reached(run["curve"], targets[run["seed"]], by) for run in known]
    there = [place for place in places if place is not None]
    if not there:
        return "never" if places else "–"
    middle = f"{statistics.median(there):.3g}"
    if len(there) == len(places):
        return middle
    return f"{middle} ({len(there)} of {len(places)})"


def _row_of_real(figures):
    cells = ["real pieces", *[""] * (COLUMNS - 4)]
    cells += [f"{figures['out_of_key_share']:.3f}", f"{figures['harmony']:.3f}"]
    return "| " + " | ".join([*cells, f"{figures['notes_per_step']:.2f}"]) + " |"


def write(path, text):
    """Puts tables into a Markdown file, between its marks; the rest is left alone."""
    before, after = "# Ablations\n\n", "\n"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            whole = file.read()
        if BEGIN not in whole or END not in whole:
            raise InputError(f"{path} must have the lines {BEGIN} and {END}.")
        before, after = whole.split(BEGIN)[0], whole.split(END)[1]
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(f"{path}.writing", "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}{END}{after}")
    os.replace(f"{path}.writing", path)


def plot(cases, path):
    """Writes the curves as a picture: a row for each case, epochs and seconds.

    Raises:
        InputError: If matplotlib is missing or the file cannot be written.
    """
    figure = figures_lib.new_figure(10, 3.2 * len(cases))
    panels = figure.subplots(len(cases), 2, squeeze=False)
    for row, (name, variants) in zip(panels, cases.items(), strict=True):
        for axes, by in zip(row, ("epoch", "seconds"), strict=True):
            _draw(axes, variants, by)
            figures_lib.tidy(axes, f"{name}: validation")
            axes.set_xlabel("epochs" if by == "epoch" else "seconds of training")
            axes.set_ylabel("nats a step, no harmony term")
            axes.set_ylim(*_late_range(variants))
    panels[0][0].legend(fontsize=8, frameon=False)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    figures_lib.save(figure, path)


def _late_range(variants):
    """(lowest, highest) nats of the last two thirds of the runs, with a margin.

    All fall from the same height at first; what tells them apart comes later.
    """
    curves = [run["curve"]["nats"] for runs in variants.values() for run in runs]
    late = [value for nats in curves for value in nats[len(nats) // 3 :]]
    margin = 0.05 * (max(late) - min(late)) or 0.1
    return min(late) - margin, max(late) + margin


def _draw(axes, variants, by):
    for variant, color in COLORS.items():
        curves = [run["curve"] for run in variants.get(variant, [])]
        if not curves:
            continue
        for curve in curves:
            axes.plot(curve[by], curve["nats"], color=color, lw=0.6, alpha=0.5)
        # Seeds validate at the same steps; runs of other lengths are cut.
        length = min(len(curve["nats"]) for curve in curves)
        middle = [np.median([c[k][:length] for c in curves], 0) for k in (by, "nats")]
        axes.plot(*middle, color=color, lw=1.8, label=variant)
