"""What the doctor found of one part of a machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of the machine. `text` says what it is like, and what to do where it is not well; `look`: where it is, too."""

    part: str
    well: bool
    text: str
    look: bool = False

    def __str__(self) -> str:
        return f"{self._word} {self.part}：{self.text}"

    @property
    def _word(self) -> str:
        if not self.well:
            return "[异常]"
        return "[提示]" if self.look else "[正常]"
