"""A run's main figures as bars, with their spread."""

from pathlib import Path

from bench.measurement import Result, Table


def write(results: list[Result], path: Path) -> bool:
    """Whether there is a plot now: none without matplotlib or without figures."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    tables = [(result, table) for result in results for table in result.tables if table.rows]
    if not tables:
        return False
    heights = [0.8 + 0.4 * len(table.rows) for _, table in tables]
    figure, axes = pyplot.subplots(
        len(tables), figsize=(9, sum(heights) + 0.5), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (result, table) in zip(axes[:, 0], tables, strict=True):
        _draw(axis, table)
        place = f", {table.title}" if len(result.tables) > 1 else ""
        axis.set_title(f"{result.title}{place}: {table.metrics[0].title}", loc="left", fontsize=10)
    figure.savefig(path, dpi=110)
    return True


def _draw(axis, table: Table) -> None:
    spreads = {name: spread for name in table.rows if (spread := table.spread(name, table.metrics[0]))}
    names, medians = list(spreads), [spread.median for spread in spreads.values()]
    errors = [
        [spread.median - spread.low for spread in spreads.values()],
        [spread.high - spread.median for spread in spreads.values()],
    ]
    colours = ["#1f6f8b" if name.lower().startswith("sluice") else "#b8c4cc" for name in names]
    axis.barh(names, medians, xerr=errors, color=colours, capsize=3)
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.spines[["top", "right"]].set_visible(False)
