"""The worker process: one backend on one device, doing what the parent asks."""
