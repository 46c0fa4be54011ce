"""Starting workers and driving them: launches, interleaved rounds, remote parity."""
