"""How many threads NumPy's BLAS uses for a product."""

from threadpoolctl import ThreadpoolController

OPERATIONS_A_THREAD = 250_000
"""A product is shared out among at most one thread for each so many operations, or two.

With more, waiting for each other takes longer than is gained: on 16 cores, a training step whose
product of one time step has 2.1 million operations took 4.2 ms with four or eight threads and
4.8 ms with 16, and one of 8.4 million was fastest with all. Whether two are better than one
OpenBLAS decides well by itself.
"""


class Threads:
    """Keeps BLAS to as many threads, out of `most`, as a product is worth.

    All products of a model grow together, so that the one of a time step decides for all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self._now = 0

    def use(self, operations: int) -> None:
        """Set the number of threads for products of so many operations."""
        wanted = min(self._most, max(2, operations // OPERATIONS_A_THREAD))
        if wanted != self._now:
            self._now = wanted
            for library in self._libraries:
                library.set_num_threads(wanted)
