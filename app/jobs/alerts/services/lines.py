"""Text that may come from anyone, as one short line that cannot pass for several or hide what it is."""

LONGEST_LINE = 300


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Without line breaks, control characters and marks that turn the direction of writing; cut with an ellipsis."""
    # A message may be megabytes; what is cut off need not be looked at.
    printable = (character if character.isprintable() else " " for character in text[: 4 * longest])
    line = " ".join("".join(printable).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
