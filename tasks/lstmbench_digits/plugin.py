"""What lstmbench is told about this task before it is loaded."""

from lstmbench import TaskInfo, hookimpl


@hookimpl
def lstmbench_tasks() -> list[TaskInfo]:
    return [
        TaskInfo(
            name="digits",
            factory="lstmbench_digits.task:Digits",
            summary="digits written by a fixed random teacher network; the default",
        )
    ]
