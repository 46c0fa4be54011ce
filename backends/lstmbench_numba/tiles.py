"""Tiles: small products whose sums stay in registers, which all larger products are made of.

A tile computes out = first + a b for a few rows of a and one panel of b:

                          b0    b1       one row of the panel, in two vectors
                        +-----+-----+
    column k      a0    | s00 | s01 |    In step k each number of the column of a is spread over
    of a          a1    | s10 | s11 |    a vector, multiplied by the row of b and added to the
                  a2    | s20 | s21 |    sums s. Each number that is read is used rows or two
                  a3    | s30 | s31 |    times, so that arithmetic and not memory sets the pace.
                        +-----+-----+

The sums, the row of b and one spread number must fit the registers: 8 + 2 + 1 of 16 with AVX2,
16 + 2 + 1 of 32 with AVX-512 or NEON. The IR is generated here, since only then the sums are sure
to stay in registers; LLVM's pass from memory to registers takes the stack variables away.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lstmbench_numba.vectors import (
    CONTRACT,
    VECTOR_BYTES,
    Vector,
    constant_ir,
    spread_ir,
    vector_ir,
    vector_pointer_ir,
)

TILE_ROWS = 4 if VECTOR_BYTES == 32 else 8
"""Rows of the largest tile."""


def make_tile(rows: int, vectors: int, panels: int = 1) -> Callable[..., None]:
    """Return the function that computes a tile of `rows` rows.

    The tile spans `panels` panels of b, one after the other in memory, each with rows of `vectors`
    vectors.
    """

    @intrinsic
    def tile(typingctx: Any, a: Any, b: Any, first: Any, out: Any, depth: Any) -> Any:
        """Compute out = first + a b for four `Block`s, with `depth` columns of a and rows of b.

        b's row stride is the width of its panel. `out` may be `first`.
        """
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
                _TileBody(function, kind, rows, vectors, panels).emit()
            builder.call(function, flat)
            return context.get_dummy_value()

        return types.void(a, b, first, out, types.intp), codegen

    return tile


class _TileBody:
    """Generates the IR of one tile's function.

    The function's arguments are those of `tile`, each block as start, row stride and column
    stride.
    """

    def __init__(
        self, function: ir.Function, kind: Vector, rows: int, vectors: int, panels: int
    ) -> None:
        self.kind, self.vector = kind, vector_ir(kind)
        self.rows, self.panels = rows, panels
        self.builder = ir.IRBuilder(function.append_basic_block())
        self.a, self.b, self.first, self.out = (function.args[n : n + 3] for n in (0, 3, 6, 9))
        self.depth = function.args[12]
        # The tile's columns of vectors, as (panel, vector within the panel).
        self.columns = [(p, v) for p in range(panels) for v in range(vectors)]
        self.cells = [(r, v) for r in range(rows) for v in range(len(self.columns))]

    def emit(self) -> None:
        """Generate the whole function."""
        builder = self.builder
        panel_size = builder.mul(self.b[1], self.depth)
        panels = [
            builder.gep(self.b[0], [builder.mul(panel_size, self._index(p))])
            for p in range(self.panels)
        ]
        sums = {cell: cgutils.alloca_once(builder, self.vector) for cell in self.cells}
        for cell in self.cells:
            builder.store(constant_ir(self.vector, 0.0), sums[cell])
        row_offsets = [builder.mul(self.a[1], self._index(r)) for r in range(self.rows)]
        with cgutils.for_range(builder, self.depth) as loop:
            self._accumulate(loop.index, panels, row_offsets, sums)
        self._write(sums)
        builder.ret_void()

    def _accumulate(
        self, k: Any, panels: list[Any], row_offsets: list[Any], sums: dict[tuple[int, int], Any]
    ) -> None:
        """Add column k of a times row k of b to the sums."""
        builder = self.builder
        offset = builder.mul(k, self.b[1])
        rows_of_b = [builder.gep(panel, [offset]) for panel in panels]
        places = [self._place(rows_of_b[p], self.b[1], 0, v) for p, v in self.columns]
        right = [builder.load(address, align=self.kind.align) for address in places]
        column_of_a = builder.gep(self.a[0], [builder.mul(k, self.a[2])])
        for r in range(self.rows):
            item = builder.load(builder.gep(column_of_a, [row_offsets[r]]))
            left = spread_ir(builder, item, self.vector)
            for v in range(len(self.columns)):
                product = builder.fmul(left, right[v], flags=CONTRACT)
                total = builder.fadd(product, builder.load(sums[r, v]), flags=CONTRACT)
                builder.store(total, sums[r, v])

    def _write(self, sums: dict[tuple[int, int], Any]) -> None:
        """Write first + sums to out.

        `first` is added last: had the sums begun with it, each product would have been rounded to
        its size.
        """
        builder, align = self.builder, self.kind.align
        for cell in self.cells:
            value = builder.load(self._place(self.first[0], self.first[1], *cell), align=align)
            value = builder.fadd(value, builder.load(sums[cell]))
            builder.store(value, self._place(self.out[0], self.out[1], *cell), align=align)

    def _place(self, start: Any, row_stride: Any, r: int, v: int) -> Any:
        """Return the address of vector v in row r of a block."""
        offset = self.builder.mul(row_stride, self._index(r))
        offset = self.builder.add(offset, self._index(v * self.kind.count))
        return vector_pointer_ir(self.builder, start, offset, self.vector)

    def _index(self, number: int) -> ir.Constant:
        return ir.Constant(self.depth.type, number)
