"""Many jobs at once: submitted, counted, followed by one more, cancelled."""
