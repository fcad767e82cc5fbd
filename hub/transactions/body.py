"""What a transaction's body says, once it is open."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.projection.view import MeaninglessBody
from security.attachment import ATTACHMENT_MAX_BYTES, AttachmentSeal

ATTACHMENTS_MAX = 100


class _Part(BaseModel):
    # Later programs may say more; what is said here must be right.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)


class Operator(_Part):
    name: str = Field(min_length=1, max_length=64)
    verified: bool


class Resident(_Part):
    name: str = Field(max_length=64)
    id_number: str = Field(max_length=32)


class NamedAttachment(_Part):
    """Hexadecimal: SHA-256 of the sealed bytes, key, SHA-256 of the content."""

    blob: str = Field(pattern="^[0-9a-f]{64}$")
    key: str = Field(pattern="^[0-9a-f]{64}$", repr=False)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0, le=ATTACHMENT_MAX_BYTES)
    media_type: str = Field(pattern=r"^[a-z]+/[a-z0-9.+-]{1,64}$")

    @property
    def seal(self) -> AttachmentSeal:
        return AttachmentSeal(bytes.fromhex(self.blob), bytes.fromhex(self.key), bytes.fromhex(self.sha256), self.size)


class TransactionBody(_Part):
    item: str = Field(min_length=1, max_length=32)
    channel: str = Field(max_length=32)
    operator: Operator
    resident: Resident
    attachments: tuple[NamedAttachment, ...] = Field(default=(), max_length=ATTACHMENTS_MAX)


def parse_body(data: bytes) -> TransactionBody:
    """Raises MeaninglessBody, which names fields and never their values."""
    try:
        return TransactionBody.model_validate_json(data)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or "body" for one in error.errors())
        raise MeaninglessBody(f"the body is no transaction: {fields}") from error
