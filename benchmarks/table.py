"""Tables as all benchmarks print them."""

from collections.abc import Sequence


def render(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Return a Markdown table with aligned columns."""
    table = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
