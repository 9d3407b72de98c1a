"""The table and the figure of an ablation, from the results of its runs.

A variant's figure is the median over its seeds. "To DeepJ's end" counts until a run
first validates as well as DeepJ with the same seed did at the end of its training, with
linear interpolation between validations. If only some seeds get there, it is the median
of those, with their number.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from poph_tf import files
from poph_tf.errors import InputError
from poph_tf.evaluation import results
from poph_tf.rendering import figures

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
BASELINE = "deepj"
REAL_NAME = "real-pieces.json"
COLORS = {
    "deepj": figures.INK,
    "poph_no_harmony": figures.BLUE,
    "poph_no_attention": "#c79a2b",
    "poph": figures.RED,
    "poph2": "#3d8f5a",
}
HEADER = (
    "network", "parameters", "seeds", "best nats", "nats at the end",
    "epochs to DeepJ's end", "seconds to it", "out of key", "harmony term",
    "notes per step",
)  # fmt: skip
COMPOSED = {"out_of_key_share": ".3f", "harmony": ".3f", "notes_per_step": ".2f"}

Result = Mapping[str, Any]
# Results by variant, and those by case.
Variants = Mapping[str, Sequence[Result]]
Cases = Mapping[str, Variants]


def read(folder: Path) -> Cases:
    """Reads all results of a folder.

    Raises:
        InputError: If there are none.
    """
    cases: dict[str, dict[str, list[Result]]] = {}
    for result in results.read_all(folder, "*-seed-*.json"):
        variants = cases.setdefault(result["case"], {})
        variants.setdefault(result["variant"], []).append(result)
    if not cases:
        raise InputError(f"{folder} holds no results of tools/ablate.py.")
    return cases


def keep_real(folder: Path, found: Mapping[str, Result]) -> dict[str, Result]:
    """Adds figures of real pieces, by case, to those kept in a folder.

    Returns:
        The figures of all cases, for `table`.
    """
    path = folder / REAL_NAME
    known = {**(results.read(path) if path.exists() else {}), **found}
    files.write_json(path, known)
    return known


def reached(
    curve: Mapping[str, Sequence[float]], target: float, by: str
) -> float | None:
    """Where a curve of validations first falls to a target.

    Args:
        curve: lists, from `ablation.curve`.
        target: nats.
        by: "epoch" or "seconds".

    Returns:
        None if the curve never falls so far.
    """
    nats, places = curve["nats"], curve[by]
    k = next((k for k, value in enumerate(nats) if value <= target), None)
    if k is None:
        return None
    if k == 0:
        return places[0]
    share = (nats[k - 1] - target) / (nats[k - 1] - nats[k])
    return places[k - 1] + share * (places[k] - places[k - 1])


def table(cases: Cases, real: Mapping[str, Result] | None = None) -> str:
    """Markdown tables, one for each case.

    Args:
        cases: results, from `read`.
        real: figures of the validation pieces, by case.
    """
    parts = []
    for name, variants in cases.items():
        targets = {
            r["seed"]: r["curve"]["nats"][-1] for r in variants.get(BASELINE, [])
        }
        rows = [_row(v, variants[v], targets) for v in COLORS if v in variants]
        if real and name in real:
            empty = [""] * (len(HEADER) - len(COMPOSED) - 1)
            rows.append(["real pieces", *empty, *_composed([real[name]])])
        parts.append(f"### {name}\n\n{results.table(HEADER, rows)}")
    return "\n".join(parts)


def _row(
    variant: str, found: Sequence[Result], targets: Mapping[int, float]
) -> list[str]:
    last = [result["curve"]["nats"][-1] for result in found]
    spread = f" ({min(last):.3f} to {max(last):.3f})" if len(last) > 1 else ""
    return [
        variant,
        f"{found[0]['parameters']:,}",
        str(len(found)),
        f"{median(min(result['curve']['nats']) for result in found):.3f}",
        f"{median(last):.3f}{spread}",
        _to_target(found, targets, "epoch"),
        _to_target(found, targets, "seconds"),
        *_composed([result["composed"] for result in found]),
    ]


def _to_target(found: Sequence[Result], targets: Mapping[int, float], by: str) -> str:
    places = [
        reached(result["curve"], targets[result["seed"]], by)
        for result in found
        if result["seed"] in targets
    ]
    there = [place for place in places if place is not None]
    if not there:
        return "never" if places else "–"
    some = f" ({len(there)} of {len(places)})" if len(there) < len(places) else ""
    return f"{median(there):.3g}{some}"


def _composed(pieces: Sequence[Result]) -> list[str]:
    return [format(median(p[k] for p in pieces), form) for k, form in COMPOSED.items()]


def write(path: Path, text: str) -> None:
    """Writes tables into a Markdown page, between its marks.

    Raises:
        InputError: If the page lacks the marks.
    """
    page = (
        path.read_text("utf-8") if path.exists() else f"# Ablations\n\n{BEGIN}{END}\n"
    )
    if BEGIN not in page or END not in page:
        raise InputError(f"{path} must have the lines {BEGIN} and {END}.")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, f"{before}{BEGIN}\n{text}{END}{after}")


def figure(cases: Cases) -> Any:
    """The curves as a figure: a row for each case, against epochs and seconds.

    Raises:
        InputError: If matplotlib is missing.
    """
    drawn = figures.new_figure(10, 3.2 * len(cases))
    panels = drawn.subplots(len(cases), 2, squeeze=False)
    for row, (name, variants) in zip(panels, cases.items(), strict=True):
        for axes, by, label in zip(
            row, ("epoch", "seconds"), ("epochs", "seconds of training"), strict=True
        ):
            _draw(axes, variants, by)
            figures.tidy(axes, f"{name}: validation")
            axes.set_xlabel(label)
            axes.set_ylabel("nats per step, no harmony term")
            axes.set_ylim(*_late_range(variants))
    panels[0][0].legend(fontsize=8, frameon=False)
    return drawn


def _late_range(variants: Variants) -> tuple[float, float]:
    """The range of nats in the last two thirds of the runs, with a margin.

    All curves fall from the same height first; they differ later.
    """
    curves = [run["curve"]["nats"] for runs in variants.values() for run in runs]
    late = [value for nats in curves for value in nats[len(nats) // 3 :]]
    margin = 0.05 * (max(late) - min(late)) or 0.1
    return min(late) - margin, max(late) + margin


def _draw(axes: Any, variants: Variants, by: str) -> None:
    for variant in (name for name in COLORS if name in variants):
        curves = [result["curve"] for result in variants[variant]]
        for curve in curves:
            axes.plot(
                curve[by], curve["nats"], color=COLORS[variant], lw=0.6, alpha=0.5
            )
        # Seeds validate at the same steps; longer runs are truncated.
        length = min(len(curve["nats"]) for curve in curves)
        middle = [np.median([c[k][:length] for c in curves], 0) for k in (by, "nats")]
        axes.plot(*middle, color=COLORS[variant], lw=1.8, label=variant)
