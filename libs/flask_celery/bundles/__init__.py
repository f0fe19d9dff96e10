"""Short jobs that go to a pool's process together."""
