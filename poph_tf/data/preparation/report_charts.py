"""Bar charts as SVG, for reports that open anywhere without anything installed."""

import html

import numpy as np

_WIDTH, _HEIGHT = 480, 180
_LEFT, _BOTTOM = 8, 22
_COLOURS = ("#3366aa", "#dd8833", "#44aa77", "#aa4466")
_MOST_LABELS = 12
_NUM_BINS = 40


def histogram(title, series, *, log=False, limits=None):
    """A chart of how often values occur, as shares of each series.

    Args:
        title: str.
        series: dict from name to array [value].
        log: bool. Bins of equal ratio.
        limits: (low, high) or None for the extremes of the values.

    Returns:
        str, HTML.
    """
    values = np.concatenate([np.asarray(v, float) for v in series.values()] or [[0.0]])
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
    return bars(title, counts, [f"{edge:.4g}" for edge in edges[:-1]])


def bars(title, series, names=None):
    """A chart of counts, as shares of each series, side by side.

    Args:
        title: str.
        series: dict from name to counts [bin].
        names: list of str [bin], or None for 0, 1, ...

    Returns:
        str, HTML.
    """
    shares = {n: np.asarray(c) / max(np.sum(c), 1) for n, c in series.items()}
    count = max((len(s) for s in shares.values()), default=0)
    top = max((s.max(initial=0) for s in shares.values()), default=0) or 1
    names = names or [str(k) for k in range(count)]
    slot = (_WIDTH - 2 * _LEFT) / max(count, 1)
    width = slot * 0.9 / max(len(shares), 1)
    parts = []
    for place, (label, share) in enumerate(shares.items()):
        for k, value in enumerate(share):
            height = value / top * (_HEIGHT - _BOTTOM - 4)
            parts.append(
                f'<rect x="{_LEFT + k * slot + place * width:.1f}" '
                f'y="{_HEIGHT - _BOTTOM - height:.1f}" width="{width:.1f}" '
                f'height="{height:.1f}" fill="{_COLOURS[place % len(_COLOURS)]}">'
                f"<title>{html.escape(f'{label}, {names[k]}: {value:.1%}')}"
                "</title></rect>"
            )
    parts += _labels(names, slot)
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img">'
        f"{''.join(parts)}</svg><br>{_legend(shares)}</figure>"
    )


def _labels(names, slot):
    every = -(-len(names) // _MOST_LABELS) or 1
    for k in range(0, len(names), every):
        yield (
            f'<text x="{_LEFT + (k + 0.45) * slot:.1f}" y="{_HEIGHT - 6}" '
            f'font-size="10" text-anchor="middle">{html.escape(str(names[k])[:14])}'
            "</text>"
        )


def _legend(shares):
    return " ".join(
        f'<small style="color:{_COLOURS[k % len(_COLOURS)]}">■ '
        f"{html.escape(name)}</small>"
        for k, name in enumerate(shares)
    )
