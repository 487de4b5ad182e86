"""What pytest drives: options, fixtures, the hooks of workers and of the process that reports, and what processes share."""
