"""`python with_pyperf.py -o FILE.json`: the step as pyperf's own documentation has it."""

import pyperf
from step import make_step

if __name__ == "__main__":
    runner = pyperf.Runner()
    runner.bench_func("step", make_step())
