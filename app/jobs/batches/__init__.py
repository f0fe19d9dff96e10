"""Jobs about batches of jobs."""
