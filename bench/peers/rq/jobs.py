"""What RQ's workers run."""


def adds(a: int, b: int) -> int:
    return a + b
