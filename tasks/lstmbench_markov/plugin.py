"""What lstmbench is told about this task before it is loaded."""

from lstmbench import TaskInfo, hookimpl


@hookimpl
def lstmbench_tasks() -> list[TaskInfo]:
    return [
        TaskInfo(
            name="markov",
            factory="lstmbench_markov.task:Markov",
            summary="each digit is a permutation of the last, with noise; a bigram's ceiling",
        )
    ]
