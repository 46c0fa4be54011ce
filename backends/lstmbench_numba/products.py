"""Matrix products of any size, put together from tiles.

The left matrix is any `Block`, the right one lies in panels (see `panels`). Rows are taken in
tiles of `TILE_ROWS`, then of 4, 2 and 1, so that no row has to be padded. Columns are taken panel
by panel: a panel, which every tile of rows reads anew, stays in the cache meanwhile.
"""

from collections.abc import Callable
from typing import Any

from lstmbench_numba.compilation import compiled
from lstmbench_numba.memory import Block, ahead, down, right
from lstmbench_numba.tiles import TILE_ROWS, make_tile
from lstmbench_numba.vectors import outlined, width

# With fewer rows than these a product waits for the right matrix to come from memory.
FEW_ROWS = 4
# So many panels are then read at once: as many streams from memory, which one core reads faster
# than a single one.
PANELS_AT_ONCE = 4

_row_by_panels = make_tile(1, 2, PANELS_AT_ONCE)


def _make_strip(vectors: int) -> Callable[..., None]:
    """Return the product of any number of rows with one panel of `vectors` vectors."""
    tile, tile_4, tile_2, tile_1 = (make_tile(rows, vectors) for rows in (TILE_ROWS, 4, 2, 1))

    @compiled
    def strip(a: Block, b: Block, first: Block, out: Block, rows: int, depth: int) -> None:
        """Compute out = first + a b for a (rows, depth) and one panel b (depth, vectors)."""
        at = 0
        while at + TILE_ROWS <= rows:
            tile(down(a, at), b, down(first, at), down(out, at), depth)
            at += TILE_ROWS
        if at + 4 <= rows:
            tile_4(down(a, at), b, down(first, at), down(out, at), depth)
            at += 4
        if at + 2 <= rows:
            tile_2(down(a, at), b, down(first, at), down(out, at), depth)
            at += 2
        if at < rows:
            tile_1(down(a, at), b, down(first, at), down(out, at), depth)

    return strip


strip_2 = _make_strip(2)
strip_1 = _make_strip(1)


@compiled
def product(
    a: Block, panels: Any, first: Block, out: Block, rows: int, depth: int, columns: int
) -> None:
    """Compute out = first + a b.

    a is (rows, depth); b is (depth, columns), whole vectors, in panels from the pointer `panels`
    on; first and out are (rows, columns) and may be the same. A bias is added to all rows if the
    row stride of `first` is 0.
    """
    outlined()
    one, done = width(out.start), 0
    if rows < FEW_ROWS:
        group = 2 * PANELS_AT_ONCE * one
        done = columns // group * group
        for c in range(0, done, group):
            b = Block(ahead(panels, c * depth), 2 * one, 1)
            for row in range(rows):
                here = right(down(first, row), c), right(down(out, row), c)
                _row_by_panels(down(a, row), b, *here, depth)
    for c in range(done, columns, 2 * one):
        panel = ahead(panels, c * depth)
        if columns - c > one:
            b = Block(panel, 2 * one, 1)
            strip_2(a, b, right(first, c), right(out, c), rows, depth)
        else:
            b = Block(panel, one, 1)
            strip_1(a, b, right(first, c), right(out, c), rows, depth)
