"""SIMD vectors as a Numba type, and the register-blocked product that everything rests on.

LLVM vectorises a plain loop only where it can prove that no two of its arrays overlap, which it
gives up on in the cell's loops. So vectors are explicit here: `load` gives `width` neighbouring
numbers as one value, `+ - * /` work on it (a Python number is spread over all lanes, in the
vector's own precision) and `store` puts it back. The same code then serves float32 and float64,
and any CPU: LLVM splits a vector that is wider than the machine's registers.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

_FEATURES = llvm.get_host_cpu_features()
_WIDE = bool(_FEATURES.get("avx512f"))
VECTOR_BYTES = 64 if _WIDE else 32 if _FEATURES.get("avx2") else 16
# Rows of a register tile: with two vectors a row its sums, one row of b and one spread number
# must fit the registers, 16 of them with AVX2 and 32 with AVX-512 or NEON.
TILE_ROWS = 4 if VECTOR_BYTES == 32 else 8
# Lets LLVM fuse a product and a sum into one instruction; nothing else may change.
_FLAGS = ("contract",)


def lanes(itemsize: int) -> int:
    """How many numbers of `itemsize` bytes one vector holds."""
    return VECTOR_BYTES // itemsize


# Division by zero gives inf instead of raising. Of the compiled loops, only the parallel ones,
# which hold all others, are kept on disk; Numba notices a change of their own file alone, so
# after a change of another one its cache has to be emptied.
compiled = njit(error_model="numpy", fastmath={"contract"})
compiled_parallel = njit(
    error_model="numpy", fastmath={"contract"}, parallel=True, cache=True, nogil=True
)


class Vector(types.Type):  # type: ignore[misc]  # Numba is untyped, here and below
    """Numba's type of a vector of `count` floats of type `scalar`."""

    def __init__(self, scalar: Any) -> None:
        self.scalar = scalar
        self.count = lanes(scalar.bitwidth // 8)
        super().__init__(name=f"Vector({scalar} x {self.count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, _vector_ir(kind))


def _vector_ir(kind: Vector) -> ir.VectorType:
    element = ir.FloatType() if kind.scalar == types.float32 else ir.DoubleType()
    return ir.VectorType(element, kind.count)


def _spread(builder: Any, number: Any, kind: ir.VectorType) -> Any:
    """IR of a vector with `number` in each lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, undefined, mask)


def _arithmetic(operation: Any, instruction: str) -> None:
    """Give vectors one operator, between each other or with a number on either side."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            vectors = [a for a in args if isinstance(a, Vector)]
            if len(args) == 2 and vectors:
                return signature(vectors[0], *args)
            return None

    infer_global(operation)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        operands = []
        for value, kind in zip(args, sig.args, strict=True):
            if not isinstance(kind, Vector):
                number = context.cast(builder, value, kind, sig.return_type.scalar)
                value = _spread(builder, number, _vector_ir(sig.return_type))
            operands.append(value)
        return getattr(builder, instruction)(*operands, flags=_FLAGS)

    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(operation, *pair)(lower)


for _operation, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _arithmetic(_operation, _instruction)


@intrinsic
def outlined(typingctx: Any) -> Any:
    """Keep the calling function from being inlined, and so compiled anew, into its callers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """Address of an array's first element."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def ahead(typingctx: Any, start: Any, offset: Any) -> Any:
    """The pointer `offset` numbers after `start`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return start(start, types.intp), codegen


def _vector_pointer(builder: Any, start: Any, offset: Any, kind: ir.VectorType) -> Any:
    return builder.bitcast(builder.gep(start, [offset]), kind.as_pointer())


@intrinsic
def load(typingctx: Any, start: Any, offset: Any) -> Any:
    """The vector that begins `offset` numbers after the pointer `start`."""
    result = Vector(start.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = _vector_ir(result)
        address = _vector_pointer(builder, args[0], args[1], kind)
        return builder.load(address, align=start.dtype.bitwidth // 8)

    return result(start, types.intp), codegen


@intrinsic
def store(typingctx: Any, start: Any, offset: Any, vector: Any) -> Any:
    """Write `vector` from `offset` numbers after the pointer `start` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = _vector_pointer(builder, args[0], args[1], _vector_ir(vector))
        builder.store(args[2], target, align=start.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(start, types.intp, vector), codegen


@intrinsic
def spread(typingctx: Any, start: Any, number: Any) -> Any:
    """A vector of the pointer's type with `number` in each lane."""
    result = Vector(start.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = context.cast(builder, args[1], number, result.scalar)
        return _spread(builder, value, _vector_ir(result))

    return result(start, number), codegen


@intrinsic
def total(typingctx: Any, vector: Any) -> Any:
    """Sum of the lanes in float64."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = context.get_constant(types.float64, 0.0)
        for lane in range(vector.count):
            number = builder.extract_element(args[0], ir.Constant(ir.IntType(32), lane))
            number = context.cast(builder, number, vector.scalar, types.float64)
            result = builder.fadd(result, number)
        return result

    return types.float64(vector), codegen


@intrinsic
def width(typingctx: Any, start: Any) -> Any:
    """How many numbers of the pointer's type one vector holds, a constant."""
    count = lanes(start.dtype.bitwidth // 8)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.intp, count)

    return types.intp(start), codegen


def _unary(name: str) -> Callable[..., Any]:
    """An LLVM intrinsic of one vector as a function."""

    @intrinsic
    def function(typingctx: Any, vector: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = _vector_ir(vector)
            full_name = f"{name}.v{kind.count}f{vector.scalar.bitwidth}"
            declared = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind]), full_name
            )
            return builder.call(declared, args)

        return vector(vector), codegen

    return function


square_root = _unary("llvm.sqrt")
nearest = _unary("llvm.rint")


@intrinsic
def clamp(typingctx: Any, vector: Any, bound: Any) -> Any:
    """Each lane within [-bound, bound]; NaN stays NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = _vector_ir(vector)
        high = _spread(builder, context.cast(builder, args[1], bound, vector.scalar), kind)
        low = builder.fsub(ir.Constant(kind, [0.0] * kind.count), high)
        value = args[0]
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return vector(vector, bound), codegen


@intrinsic
def power_of_two(typingctx: Any, vector: Any) -> Any:
    """2^n of lanes that hold whole numbers n in the range of the exponent."""
    bits, mantissa = vector.scalar.bitwidth, 23 if vector.scalar == types.float32 else 52
    bias = (1 << (bits - mantissa - 2)) - 1

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = _vector_ir(vector)
        whole = ir.VectorType(ir.IntType(bits), kind.count)

        def constant(number: int) -> Any:
            return ir.Constant(whole, [number] * kind.count)

        # 1.5 * 2^mantissa + n has n in its lowest bits: no conversion, which NaN would upset.
        magic = ir.Constant(kind, [1.5 * 2.0**mantissa] * kind.count)
        raw = builder.bitcast(builder.fadd(args[0], magic), whole)
        raw = builder.add(builder.shl(raw, constant(mantissa)), constant(bias << mantissa))
        return builder.bitcast(raw, kind)

    return vector(vector), codegen


@intrinsic
def is_single(typingctx: Any, vector: Any) -> Any:
    """Whether the lanes are float32, a constant."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.boolean, vector.scalar == types.float32)

    return types.boolean(vector), codegen


def _interleave(builder: Any, pair: tuple[Any, Any], half: int, count: int) -> Any:
    """Lanes of two vectors in turn, from their lower (half = 0) or upper (half = 1) halves."""
    first = half * count // 2
    order = [lane + side * count for lane in range(first, first + count // 2) for side in (0, 1)]
    mask = ir.Constant(ir.VectorType(ir.IntType(32), count), order)
    return builder.shuffle_vector(*pair, mask)


@intrinsic
def transpose_square(typingctx: Any, source: Any, row: Any, target: Any, target_row: Any) -> Any:
    """Transpose `width` x `width` numbers; the rows of each side lie `row` numbers apart.

    Row i and row i + width / 2 are interleaved into rows 2 i and 2 i + 1: that turns the bits of
    each number's place (row, lane) round by one, and so exchanges row and lane in log2(width).
    """
    kind = Vector(source.dtype)
    count, align = kind.count, kind.scalar.bitwidth // 8

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = _vector_ir(kind)

        def place(start: Any, distance: Any, r: int) -> Any:
            offset = builder.mul(distance, context.get_constant(types.intp, r))
            return _vector_pointer(builder, start, offset, vector)

        rows = [builder.load(place(args[0], args[1], r), align=align) for r in range(count)]
        for _ in range(count.bit_length() - 1):
            pairs = list(zip(rows[: count // 2], rows[count // 2 :], strict=True))
            rows = [_interleave(builder, p, half, count) for p in pairs for half in (0, 1)]
        for r, value in enumerate(rows):
            builder.store(value, place(args[2], args[3], r), align=align)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), codegen


class Block(NamedTuple):
    """Part of a matrix in memory: element (i, k) lies at `start + i * row + k * step`."""

    start: Any
    row: int
    step: int


class Table(NamedTuple):
    """Consecutive rows of `columns` numbers each, from a pointer on."""

    start: Any
    columns: int


class Grid(NamedTuple):
    """A (layers, steps, rows, columns) array, from a pointer on."""

    start: Any
    steps: int
    rows: int
    columns: int


@compiled
def row_of(table: Table, n: int) -> Any:
    """Pointer to row n."""
    return ahead(table.start, n * table.columns)


@compiled
def at(grid: Grid, n: int, t: int, row: int) -> Block:
    """Rows from [n, t, row] on, those of the steps after t following those of step t."""
    offset = ((n * grid.steps + t) * grid.rows + row) * grid.columns
    return Block(ahead(grid.start, offset), grid.columns, 1)


@compiled
def down(block: Block, rows: int) -> Block:
    """The same block from `rows` further down."""
    return Block(ahead(block.start, rows * block.row), block.row, block.step)


def _tile_body(function: ir.Function, kind: Vector, rows: int, vectors: int, panels: int) -> None:
    """Fill `function` in: its arguments are those of `tile`, each block as three."""
    vector, index = _vector_ir(kind), function.args[-1].type
    align = kind.scalar.bitwidth // 8
    builder = ir.IRBuilder(function.append_basic_block())
    a, a_row, a_step, b, b_row, _, first, first_row, _, out, out_row, _, depth = function.args

    def place(start: Any, row: Any, r: int, v: int) -> Any:
        offset = builder.mul(row, ir.Constant(index, r))
        offset = builder.add(offset, ir.Constant(index, v * kind.count))
        return _vector_pointer(builder, start, offset, vector)

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
            left = _spread(builder, item, vector)
            for v in range(len(columns)):
                product = builder.fmul(left, right[v], flags=_FLAGS)
                total = builder.fadd(product, builder.load(sums[r, v]), flags=_FLAGS)
                builder.store(total, sums[r, v])
    # What the product is added to comes last: at first it would round each term to its size.
    for cell in cells:
        value = builder.load(place(first, first_row, *cell), align=align)
        value = builder.fadd(value, builder.load(sums[cell]))
        builder.store(value, place(out, out_row, *cell), align=align)
    builder.ret_void()


def _make_tile(rows: int, vectors: int, panels: int = 1) -> Callable[..., None]:
    """The product of a tile of `rows`, with all of its sums in registers.

    It is as wide as `panels` panels of b, which follow each other, of `vectors` vectors.
    """

    @intrinsic
    def tile(typingctx: Any, a: Any, b: Any, first: Any, out: Any, depth: Any) -> Any:
        """out = first + a b, with `depth` columns of a and rows of b."""
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
    """The product for one strip of `vectors` vectors of columns and any number of rows."""
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


PANELS_AT_ONCE = 4
# One row by several panels: as many streams from memory, which one core reads faster than one.
row_by_panels = _make_tile(1, 2, PANELS_AT_ONCE)
strip_2 = _make_strip(2)
strip_1 = _make_strip(1)
