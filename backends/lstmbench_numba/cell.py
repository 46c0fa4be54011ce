"""The LSTM cell between two matrix products: gates and states of one step, and its gradient.

Formulas: `lstmbench.interface.parameters`; their gradients: Werbos, https://doi.org/10.1109/5.58337.
"""

from lstmbench_numba.compilation import compiled
from lstmbench_numba.memory import Block, ahead
from lstmbench_numba.vector_math import sigmoid, tanh
from lstmbench_numba.vectors import load, outlined, store, width


@compiled
def cell_forward(
    gates: Block, before: Block, cell: Block, tanh_cell: Block, hidden: Block, rows: int, units: int
) -> None:
    """Compute the gates, c_t, tanh c_t and h_t from z and c_{t-1}, for `rows` rows.

    `gates` (rows, 4 units) holds z, which its gates replace; `before` holds c_{t-1}. It and the
    results `cell`, `tanh_cell` and `hidden` are (rows, units), with equal row strides.
    """
    outlined()
    for row in range(rows):
        z = ahead(gates.start, row * gates.row_stride)
        for u in range(0, units, width(z)):
            i = sigmoid(load(z, u))
            f = sigmoid(load(z, u + units))
            g = tanh(load(z, u + 2 * units))
            o = sigmoid(load(z, u + 3 * units))
            store(z, u, i)
            store(z, u + units, f)
            store(z, u + 2 * units, g)
            store(z, u + 3 * units, o)
            here = row * cell.row_stride + u
            c = f * load(before.start, here) + i * g
            tanh_c = tanh(c)
            store(cell.start, here, c)
            store(tanh_cell.start, here, tanh_c)
            store(hidden.start, here, o * tanh_c)


@compiled
def cell_backward(
    gates: Block,
    before: Block,
    tanh_cell: Block,
    d_hidden: Block,
    d_cell: Block,
    rows: int,
    units: int,
) -> None:
    """Compute d loss / d z and d loss / d c_{t-1} from d loss / d h_t and d loss / d c_t.

    `gates` (rows, 4 units) holds the activated gates, which d loss / d z replaces; `before` holds
    c_{t-1}. It, `tanh_cell`, `d_hidden` and `d_cell` are (rows, units), with equal row strides;
    d loss / d c_{t-1} replaces `d_cell`.
    """
    outlined()
    for row in range(rows):
        z = ahead(gates.start, row * gates.row_stride)
        for u in range(0, units, width(z)):
            here = row * d_cell.row_stride + u
            i = load(z, u)
            f = load(z, u + units)
            g = load(z, u + 2 * units)
            o = load(z, u + 3 * units)
            tanh_c = load(tanh_cell.start, here)
            d_h = load(d_hidden.start, here)
            d_c = load(d_cell.start, here) + d_h * o * (1 - tanh_c * tanh_c)
            store(z, u, d_c * g * (i * (1 - i)))
            store(z, u + units, d_c * load(before.start, here) * (f * (1 - f)))
            store(z, u + 2 * units, d_c * i * (1 - g * g))
            store(z, u + 3 * units, d_h * tanh_c * (o * (1 - o)))
            store(d_cell.start, here, d_c * f)
