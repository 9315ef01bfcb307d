"""The plot of the sweeps: the rate over the payload size and over the number of sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.measurement import CALLS_PER_SECOND
from benchmarks.programs import CEILING, WAMPASGI, WAMPASGI_ON_PICOWS
from benchmarks.running import SweepResult, median

mpl.use("Agg")

STYLES: dict[str, dict[str, Any]] = {
    CEILING.name: {"color": "0.55", "linestyle": "--"},
    WAMPASGI_ON_PICOWS.name: {"color": "#0b3c5d", "linewidth": 2.5},
    WAMPASGI.name: {"color": "#328cc1", "linewidth": 2.5},
    "serverwamp": {"color": "#c8553d"},
    "fastapi-headless-wamp": {"color": "#e0a030"},
}


def draw(sweeps: list[SweepResult], path: Path) -> None:
    """Write a PNG with one panel for each sweep."""
    figure, panels = plt.subplots(1, len(sweeps), figsize=(5.5 * len(sweeps), 4), squeeze=False)
    for result, panel in zip(sweeps, panels[0], strict=True):
        points = result.sweep.points
        for program, measured in result.runs.items():
            rates = [median(measured[point]).figures[CALLS_PER_SECOND] for point in points]
            panel.plot(points, rates, marker="o", markersize=4, label=program, **STYLES[program])
        panel.set_title(result.sweep.title, fontsize=10)
        panel.set_xlabel(result.sweep.axis)
        panel.set_ylabel("calls/s")
        panel.set_xscale("log", base=2)
        panel.set_xticks(points, [f"{point:,}" for point in points])
        panel.minorticks_off()
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, dpi=120)
    plt.close(figure)
