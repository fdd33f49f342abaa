"""The plot of the comparison: two groups of bars as SVG. Pure."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.report.tables import Row

WIDTH, BAR, GAP, LEFT, SPAN = 760, 18, 6, 190, 460
# They differ in lightness too, for print and for colour-blind readers.
COLOURS = {"everysec": "#1b6ca8", "always": "#8fbfe0"}
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
    'height="{height}" font-family="sans-serif" font-size="13" role="img">'
    "<title>Throughput and CPU of the contenders</title>"
)
PLOTS = (("messages a second (more is better)", "per_s"), ("CPU µs per message", "cpu_us"))


def svg(rows: Sequence[Row], connections: int) -> str:
    """Messages a second and CPU per message of each contender, for one number of connections."""
    chosen = [row for row in rows if row.load == "closed" and row.connections == connections]
    body, top = [], 30
    for title, figure in PLOTS:
        part, top = _bars(chosen, f"{title}, {connections} connections", figure, top)
        body += part
    legend = [
        f'<rect x="{LEFT + n * 200}" y="{top}" width="12" height="12" fill="{colour}"/>'
        f'<text x="{LEFT + n * 200 + 18}" y="{top + 11}">appendfsync {fsync}</text>'
        for n, (fsync, colour) in enumerate(COLOURS.items())
    ]
    return "\n".join(
        [
            HEAD.format(width=WIDTH, height=top + 30),
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *body,
            *legend,
            "</svg>\n",
        ]
    )


def _bars(rows: Sequence[Row], title: str, figure: str, top: int) -> tuple[list[str], int]:
    longest = max((row.medians[figure] for row in rows), default=1.0)
    body = [f'<text x="20" y="{top}" font-weight="bold">{escape(title)}</text>']
    top += 14
    for name in dict.fromkeys(row.contender for row in rows):
        own = [row for row in rows if row.contender == name]
        middle = top + len(own) * BAR / 2 + 5
        body.append(f'<text x="20" y="{middle:.0f}">{escape(name)}</text>')
        for row in own:
            value = row.medians[figure]
            length = value / longest * SPAN
            body.append(
                f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR - 2}" '
                f'fill="{COLOURS[row.fsync]}"/>'
                f'<text x="{LEFT + length + 6:.1f}" y="{top + 13}">{value:,.0f}</text>'
            )
            top += BAR
        top += GAP
    return body, top + 26
