"""Invented parts by family: what a supplier's catalogue lists, before anybody retypes it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Part:
    """One real part; `words` and `sizes` make its name, `model` is empty where a norm names the part."""

    words: tuple[str, ...]
    sizes: tuple[str, ...]
    model: str
    maker: str
    detail: str
    price: float


_MAKERS = ("Arvika", "Bremhold", "Castoria", "Dunnerfeld", "Elmark", "Fosstech", "Graupner Nord", "Hallmeier",
           "Istrana", "Jorvik Industrie", "Kestrel", "Lumaro", "Mertens", "Novaplex", "Orbitek")  # fmt: skip
_COLOURS = ("black", "white", "grey", "blue", "red")


def _screw(random: Random) -> Part:
    kind, norm = random.choice(
        [("Hex bolt", "DIN 933"), ("Socket head screw", "DIN 912"), ("Countersunk screw", "DIN 7991"),
         ("Carriage bolt", "DIN 603"), ("Set screw", "DIN 916")]
    )  # fmt: skip
    thread, length = random.choice([3, 4, 5, 6, 8, 10, 12, 16, 20, 24]), random.randrange(10, 205, 5)
    material = random.choice(["steel 8.8 zinc plated", "steel 10.9 plain", "stainless A2", "stainless A4", "brass"])
    pack = random.choice([10, 25, 50, 100, 200, 500])
    detail = f"{kind} metric thread, {material}, sold in packs of {pack}"
    price = 0.02 * thread * length / 10 * pack / 10
    return Part(
        (*kind.split(), *norm.split(), *material.split()),
        (f"M{thread}x{length}", f"{pack} pcs"),
        "",
        "",
        detail,
        price,
    )


def _bearing(random: Random) -> Part:
    maker, series = random.choice(_MAKERS), random.choice([60, 62, 63, 72, 222])
    bore, seal = random.randrange(0, 40), random.choice(["2RS", "ZZ", "C3", "2RS C3", "M", "TN9"])
    kind = {60: "Deep groove ball", 62: "Deep groove ball", 63: "Deep groove ball", 72: "Angular contact"}
    words = (*kind.get(series, "Spherical roller").split(), "bearing")
    model = f"{maker[:2].upper()}{series}{bore:02d}-{seal.replace(' ', '/')}"
    return Part(words, (), model, maker, f"bore {bore * 5 + 10} mm, series {series}", 4.0 + bore * 1.7)


def _resistor(random: Random) -> Part:
    value, power = (
        random.choice([1, 1.5, 2.2, 3.3, 4.7, 6.8]) * 10 ** random.randrange(4),
        random.randrange(4),
    )
    size, maker = random.choice(["0402", "0603", "0805", "1206", "2512"]), random.choice(_MAKERS)
    model = f"{maker[:2].upper()}{size}FR-0{power}{value:g}L".replace(".", "K")
    return Part(
        ("Thick", "film", "resistor", size, "1%"),
        (f"{value:g} ohm", f"{[0.125, 0.25, 0.5, 1][power]:g} W"),
        model,
        maker,
        "RoHS, tape",
        0.05,
    )


def _device(random: Random) -> Part:
    kind, prefix, unit, values = random.choice(
        [("Centrifugal pump", "CP", "W", [370, 550, 750, 1100, 1500, 2200]),
         ("Gear motor", "GM", "rpm", [14, 28, 45, 70, 140, 280]),
         ("Solenoid valve", "SV", "V", [12, 24, 110, 230]),
         ("Proximity sensor", "PS", "mm", [2, 4, 8, 15, 20]),
         ("Contactor", "KM", "A", [9, 12, 18, 25, 40, 65]),
         ("Hydraulic filter", "HF", "bar", [16, 40, 160, 315]),
         ("Power supply", "PSU", "V", [5, 12, 24, 48])]
    )  # fmt: skip
    maker, series = random.choice(_MAKERS), random.randrange(100, 1000)
    step, colour = random.randrange(len(values)), random.choice(_COLOURS)
    quality = random.choice(["compact", "industrial", "heavy duty", "low noise", "explosion proof", "panel mount"])
    model = f"{prefix}-{maker[:2].upper()}{series}{step}/{colour[:2].upper()}"
    detail = f"{quality} {kind.lower()}, {colour} housing, series {series}, IP{random.choice([54, 65, 67])}"
    return Part(
        (*quality.split(), *kind.split(), colour),
        (f"{values[step]} {unit}",),
        model,
        maker,
        detail,
        20.0 + series / 4 * (1 + step / 3),
    )


def _cable(random: Random) -> Part:
    kind, cores = (
        random.choice(["H07RN-F", "H05VV-F", "LIYCY", "OLFLEX", "NYM-J"]),
        random.choice([2, 3, 4, 5, 7, 12]),
    )
    section, length = random.choice([0.5, 0.75, 1, 1.5, 2.5, 4, 6]), random.choice([5, 10, 25, 50, 100, 250])
    words = ("Cable", kind, f"{cores}x{section:g}", random.choice(_COLOURS))
    return Part(words, (f"{length} m",), "", "", f"{cores} cores, flexible", cores * section * length * 0.3)


FAMILIES: tuple[Callable[[Random], Part], ...] = (
    _screw,
    _bearing,
    _resistor,
    _device,
    _device,
    _device,
    _cable,
)
