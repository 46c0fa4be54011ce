"""What lstmbench is told about this task before it is loaded."""

from lstmbench import TaskInfo, hookimpl


@hookimpl
def lstmbench_tasks() -> list[TaskInfo]:
    return [
        TaskInfo(
            name="lag",
            factory="lstmbench_lag.task:Lag",
            summary="repeats the digit from 5 steps ago, with noise; the first five are unscored",
        )
    ]
