"""How work is divided among threads.

A parallel kernel is a `prange` over part numbers, one part for each thread, and gives each part a
range [start, stop) of the batch's rows or of a matrix's columns. No two parts write to the same
numbers, so that nothing has to be locked or added up afterwards, and results do not depend on
which thread comes first.
"""

from lstmbench_numba.compilation import compiled


@compiled
def part(count: int, parts: int, index: int, unit: int) -> tuple[int, int]:
    """Return [start, stop) of part number `index` of `parts` parts of `count` items.

    Parts consist of whole units of `unit` items, except that the last unit may be cut off.
    """
    units = -(-count // unit)
    return index * units // parts * unit, min((index + 1) * units // parts * unit, count)
