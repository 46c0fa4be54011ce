"""What lstmbench is told about this task before it is loaded."""

from lstmbench import TaskInfo, hookimpl


@hookimpl
def lstmbench_tasks() -> list[TaskInfo]:
    return [
        TaskInfo(
            name="arith",
            factory="lstmbench_arith.task:Arith",
            summary="noisy arithmetic progressions modulo 10; ceiling from the exact posterior",
        )
    ]
