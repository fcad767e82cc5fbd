"""A virtual chip as a small TOML text: a social-security card, or with `chip = "psam"` a PSAM."""

import tomllib

from devices.simulated.card import CardText
from devices.simulated.chip import ChipText
from devices.simulated.psam import PsamText

KIND = "chip"
CARD, PSAM = "social-card", "psam"


def from_toml(text: str) -> ChipText:
    """Raises ValueError (with the name of the key) on anything unknown."""
    table = tomllib.loads(text)
    kind = table.pop(KIND, CARD)
    if kind not in (CARD, PSAM):
        raise ValueError(f"unknown chip: {kind}; it is {CARD} or {PSAM}")
    return PsamText.from_table(table) if kind == PSAM else CardText.from_table(table)
