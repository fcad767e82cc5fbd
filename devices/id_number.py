"""The resident ID number (GB 11643): its last place checks the 17 digits before it, after ISO 7064 MOD 11-2."""

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECKS = "10X98765432"


def id_check(first17: str) -> str:
    """The check character for 17 decimal digits."""
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, first17, strict=True))
    return CHECKS[total % 11]
