"""Matrix products: tiles whose sums stay in registers, strips of tiles, and whole matrices.

The right-hand side of a product is stored in panels (see `weights`). A strip is the product with
one panel; it goes down the rows of the left-hand side in tiles::

                      panel of b: (depth, 2 vectors)
                          | | |
                          v v v
    rows of a     ---> [ tile    ]    TILE_ROWS rows by 2 vectors of sums, all in registers
    (rows, depth) ---> [ tile    ]
                  ---> [ 4, 2, 1 ]    what is left of the rows

For each of `depth` steps a tile loads two vectors of b and one number of each row of a, which is
spread over a vector; a product and a sum, fused, go to each of its sums.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lstmbench_numba.compiling import compiled, outlined
from lstmbench_numba.memory import Block, ahead, down, right
from lstmbench_numba.vector import (
    CONTRACT,
    VECTOR_BYTES,
    Vector,
    spread_ir,
    vector_ir,
    vector_pointer,
    width,
)

TILE_ROWS = 4 if VECTOR_BYTES == 32 else 8
"""Rows of a register tile: with two vectors a row its sums, one row of b and one spread number
must fit the registers, 16 of them with AVX2 and 32 with AVX-512 or NEON."""
FEW_ROWS = 4
"""A product of fewer rows than these waits for the matrix to be read."""
PANELS_AT_ONCE = 4
"""One row is multiplied by so many panels at once: as many streams from memory, which one core
reads faster than one."""


def _tile_body(function: ir.Function, kind: Vector, rows: int, vectors: int, panels: int) -> None:
    """Write the body of `function`: its arguments are those of `tile`, each block as three."""
    vector, index = vector_ir(kind), function.args[-1].type
    align = kind.scalar.bitwidth // 8
    builder = ir.IRBuilder(function.append_basic_block())
    a, a_row, a_step, b, b_row, _, first, first_row, _, out, out_row, _, depth = function.args

    def place(start: Any, row: Any, r: int, v: int) -> Any:
        offset = builder.mul(row, ir.Constant(index, r))
        offset = builder.add(offset, ir.Constant(index, v * kind.count))
        return vector_pointer(builder, start, offset, vector)

    columns = [(p, v) for p in range(panels) for v in range(vectors)]
    cells = [(r, v) for r in range(rows) for v in range(len(columns))]
    panel = builder.mul(b_row, depth)
    starts = [builder.gep(b, [builder.mul(panel, ir.Constant(index, p))]) for p in range(panels)]
    sums = {cell: cgutils.alloca_once(builder, vector) for cell in cells}
    for cell in cells:
        builder.store(ir.Constant(vector, [0.0] * kind.count), sums[cell])
    offsets = [builder.mul(a_row, ir.Constant(index, r)) for r in range(rows)]
    with cgutils.for_range(builder, depth) as loop:
        offset = builder.mul(loop.index, b_row)
        rows_of_b = [builder.gep(start, [offset]) for start in starts]
        places = [place(rows_of_b[p], b_row, 0, v) for p, v in columns]
        right = [builder.load(address, align=align) for address in places]
        column_of_a = builder.gep(a, [builder.mul(loop.index, a_step)])
        for r in range(rows):
            item = builder.load(builder.gep(column_of_a, [offsets[r]]))
            left = spread_ir(builder, item, vector)
            for v in range(len(columns)):
                product = builder.fmul(left, right[v], flags=CONTRACT)
                total = builder.fadd(product, builder.load(sums[r, v]), flags=CONTRACT)
                builder.store(total, sums[r, v])
    # What the product is added to comes last: before, each term would be rounded to its size.
    for cell in cells:
        value = builder.load(place(first, first_row, *cell), align=align)
        value = builder.fadd(value, builder.load(sums[cell]))
        builder.store(value, place(out, out_row, *cell), align=align)
    builder.ret_void()


def _make_tile(rows: int, vectors: int, panels: int = 1) -> Callable[..., None]:
    """Return the product of a tile of `rows`, with all of its sums in registers.

    It is as wide as `panels` panels of b, which follow each other, of `vectors` vectors.
    """

    @intrinsic
    def tile(typingctx: Any, a: Any, b: Any, first: Any, out: Any, depth: Any) -> Any:
        """Write out = first + a b, with `depth` columns of a and rows of b."""
        kind = Vector(a[0].dtype)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            flat = [builder.extract_value(block, n) for block in args[:4] for n in range(3)]
            flat.append(args[4])
            # A function of its own: inlined into each of its callers it would be compiled anew.
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [value.type for value in flat]),
                f"lstmbench_tile_{rows}_{vectors}_{panels}_{kind.scalar}",
            )
            if not function.blocks:
                function.linkage = "linkonce_odr"
                function.attributes.add("noinline")
                _tile_body(function, kind, rows, vectors, panels)
            builder.call(function, flat)
            return context.get_dummy_value()

        return types.void(a, b, first, out, types.intp), codegen

    return tile


def _make_strip(vectors: int) -> Callable[..., None]:
    """Return the product for one strip of `vectors` vectors of columns and any number of rows."""
    tile, tile_4, tile_2, tile_1 = (_make_tile(rows, vectors) for rows in (TILE_ROWS, 4, 2, 1))

    @compiled
    def strip(a: Block, b: Block, first: Block, out: Block, rows: int, depth: int) -> None:
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


row_by_panels = _make_tile(1, 2, PANELS_AT_ONCE)
strip_2 = _make_strip(2)
strip_1 = _make_strip(1)


@compiled
def product(
    a: Block, panels: Any, first: Block, out: Block, rows: int, depth: int, columns: int
) -> None:
    """Write out (rows, columns) = first + a (rows, depth) b (depth, columns).

    b is in panels, from the pointer `panels` on.
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
                row_by_panels(down(a, row), b, *here, depth)
    for c in range(done, columns, 2 * one):
        strip = ahead(panels, c * depth)
        if columns - c > one:
            b = Block(strip, 2 * one, 1)
            strip_2(a, b, right(first, c), right(out, c), rows, depth)
        else:
            b = Block(strip, one, 1)
            strip_1(a, b, right(first, c), right(out, c), rows, depth)
