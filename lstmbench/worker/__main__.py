"""Start a worker: `python -m lstmbench.worker`."""

from lstmbench.worker.session import main

main()
