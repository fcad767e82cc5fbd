"""What a transaction's body says, once it is open."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class MeaninglessBody(ValueError):
    """An opened body that is no transaction."""


class _Part(BaseModel):
    # Later programs may say more; what is said here must be right.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


class Operator(_Part):
    name: str = Field(min_length=1, max_length=64)
    verified: bool


class Resident(_Part):
    name: str = Field(max_length=64)
    id_number: str = Field(max_length=32)


class TransactionBody(_Part):
    item: str = Field(min_length=1, max_length=32)
    channel: str = Field(max_length=32)
    operator: Operator
    resident: Resident


def parse_body(data: bytes) -> TransactionBody:
    """Raises MeaninglessBody, which names fields and never their values."""
    try:
        return TransactionBody.model_validate_json(data)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or "body" for one in error.errors())
        raise MeaninglessBody(f"the body is no transaction: {fields}") from error
