from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeclareRequest(_message.Message):
    __slots__ = ("journal", "name", "signature")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    journal: bytes
    name: str
    signature: bytes
    def __init__(self, journal: _Optional[bytes] = ..., name: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class DeclareReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HeldQuestion(_message.Message):
    __slots__ = ("journal", "position", "digest")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    journal: bytes
    position: int
    digest: bytes
    def __init__(self, journal: _Optional[bytes] = ..., position: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class HeldAnswer(_message.Message):
    __slots__ = ("position", "same")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SAME_FIELD_NUMBER: _ClassVar[int]
    position: int
    same: bool
    def __init__(self, position: _Optional[int] = ..., same: _Optional[bool] = ...) -> None: ...

class SignedTime(_message.Message):
    __slots__ = ("unix_ms", "signature")
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    unix_ms: int
    signature: bytes
    def __init__(self, unix_ms: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ReplicateUp(_message.Message):
    __slots__ = ("open", "batch", "missing", "head")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    open: Open
    batch: bytes
    missing: Missing
    head: int
    def __init__(self, open: _Optional[_Union[Open, _Mapping]] = ..., batch: _Optional[bytes] = ..., missing: _Optional[_Union[Missing, _Mapping]] = ..., head: _Optional[int] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("journal", "position", "unix_ms", "checkpoint", "receipt", "instance")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    journal: bytes
    position: int
    unix_ms: int
    checkpoint: str
    receipt: int
    instance: bytes
    def __init__(self, journal: _Optional[bytes] = ..., position: _Optional[int] = ..., unix_ms: _Optional[int] = ..., checkpoint: _Optional[str] = ..., receipt: _Optional[int] = ..., instance: _Optional[bytes] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("first_position", "previous_digest", "key_id", "payloads", "signatures")
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    first_position: int
    previous_digest: bytes
    key_id: bytes
    payloads: _containers.RepeatedScalarFieldContainer[bytes]
    signatures: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, first_position: _Optional[int] = ..., previous_digest: _Optional[bytes] = ..., key_id: _Optional[bytes] = ..., payloads: _Optional[_Iterable[bytes]] = ..., signatures: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("first_position", "digests", "ids", "more", "receipt", "receipt_digest", "receipt_signature", "data_key", "data_key_signature")
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    DATA_KEY_FIELD_NUMBER: _ClassVar[int]
    DATA_KEY_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    first_position: int
    digests: bytes
    ids: bytes
    more: bool
    receipt: Receipt
    receipt_digest: bytes
    receipt_signature: bytes
    data_key: bytes
    data_key_signature: bytes
    def __init__(self, first_position: _Optional[int] = ..., digests: _Optional[bytes] = ..., ids: _Optional[bytes] = ..., more: _Optional[bool] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., receipt_digest: _Optional[bytes] = ..., receipt_signature: _Optional[bytes] = ..., data_key: _Optional[bytes] = ..., data_key_signature: _Optional[bytes] = ...) -> None: ...

class ReplicateDown(_message.Message):
    __slots__ = ("hello", "standing", "refusal", "receipt", "epoch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    hello: Standing
    standing: Standing
    refusal: Refusal
    receipt: Receipt
    epoch: str
    def __init__(self, hello: _Optional[_Union[Standing, _Mapping]] = ..., standing: _Optional[_Union[Standing, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., epoch: _Optional[str] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("position", "digest", "backed_up", "time")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BACKED_UP_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    position: int
    digest: bytes
    backed_up: int
    time: SignedTime
    def __init__(self, position: _Optional[int] = ..., digest: _Optional[bytes] = ..., backed_up: _Optional[int] = ..., time: _Optional[_Union[SignedTime, _Mapping]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("checkpoint", "consistency", "position", "index", "arrived_ms", "inclusion")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ARRIVED_MS_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    consistency: _containers.RepeatedScalarFieldContainer[bytes]
    position: int
    index: int
    arrived_ms: int
    inclusion: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, checkpoint: _Optional[str] = ..., consistency: _Optional[_Iterable[bytes]] = ..., position: _Optional[int] = ..., index: _Optional[int] = ..., arrived_ms: _Optional[int] = ..., inclusion: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "position", "hint")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[Refusal.Reason]
        UNKNOWN_JOURNAL: _ClassVar[Refusal.Reason]
        GAP: _ClassVar[Refusal.Reason]
        FORKED: _ClassVar[Refusal.Reason]
        RESTORED: _ClassVar[Refusal.Reason]
        BROKEN_SIGNATURE: _ClassVar[Refusal.Reason]
        MALFORMED: _ClassVar[Refusal.Reason]
        SUPERSEDED: _ClassVar[Refusal.Reason]
        UNAVAILABLE: _ClassVar[Refusal.Reason]
        CLOSED: _ClassVar[Refusal.Reason]
        HOLE: _ClassVar[Refusal.Reason]
    REASON_UNSPECIFIED: Refusal.Reason
    UNKNOWN_JOURNAL: Refusal.Reason
    GAP: Refusal.Reason
    FORKED: Refusal.Reason
    RESTORED: Refusal.Reason
    BROKEN_SIGNATURE: Refusal.Reason
    MALFORMED: Refusal.Reason
    SUPERSEDED: Refusal.Reason
    UNAVAILABLE: Refusal.Reason
    CLOSED: Refusal.Reason
    HOLE: Refusal.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    reason: Refusal.Reason
    position: int
    hint: str
    def __init__(self, reason: _Optional[_Union[Refusal.Reason, str]] = ..., position: _Optional[int] = ..., hint: _Optional[str] = ...) -> None: ...

class WatchUp(_message.Message):
    __slots__ = ("holding", "report")
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    holding: Holding
    report: ResourceReport
    def __init__(self, holding: _Optional[_Union[Holding, _Mapping]] = ..., report: _Optional[_Union[ResourceReport, _Mapping]] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[ResourceVersion]
    def __init__(self, versions: _Optional[_Iterable[_Union[ResourceVersion, _Mapping]]] = ...) -> None: ...

class ResourceVersion(_message.Message):
    __slots__ = ("name", "epoch", "number")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    name: str
    epoch: int
    number: int
    def __init__(self, name: _Optional[str] = ..., epoch: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class WatchDown(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("key_id", "payload", "signature")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    key_id: bytes
    payload: bytes
    signature: bytes
    def __init__(self, key_id: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ResourcePayload(_message.Message):
    __slots__ = ("audience", "version", "expires_ms", "content")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    audience: str
    version: ResourceVersion
    expires_ms: int
    content: bytes
    def __init__(self, audience: _Optional[str] = ..., version: _Optional[_Union[ResourceVersion, _Mapping]] = ..., expires_ms: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class ResourceReport(_message.Message):
    __slots__ = ("version", "applied", "reason")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    version: ResourceVersion
    applied: bool
    reason: str
    def __init__(self, version: _Optional[_Union[ResourceVersion, _Mapping]] = ..., applied: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class AttachUp(_message.Message):
    __slots__ = ("question", "part")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    question: AttachQuestion
    part: AttachPart
    def __init__(self, question: _Optional[_Union[AttachQuestion, _Mapping]] = ..., part: _Optional[_Union[AttachPart, _Mapping]] = ...) -> None: ...

class AttachQuestion(_message.Message):
    __slots__ = ("addresses",)
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    addresses: bytes
    def __init__(self, addresses: _Optional[bytes] = ...) -> None: ...

class AttachPart(_message.Message):
    __slots__ = ("address", "size", "offset", "data")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    size: int
    offset: int
    data: bytes
    def __init__(self, address: _Optional[bytes] = ..., size: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class AttachDown(_message.Message):
    __slots__ = ("answer", "standing", "refusal")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    answer: AttachAnswer
    standing: AttachStanding
    refusal: AttachRefusal
    def __init__(self, answer: _Optional[_Union[AttachAnswer, _Mapping]] = ..., standing: _Optional[_Union[AttachStanding, _Mapping]] = ..., refusal: _Optional[_Union[AttachRefusal, _Mapping]] = ...) -> None: ...

class AttachAnswer(_message.Message):
    __slots__ = ("fates",)
    class Fate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WANTED: _ClassVar[AttachAnswer.Fate]
        UNNAMED: _ClassVar[AttachAnswer.Fate]
        HELD: _ClassVar[AttachAnswer.Fate]
        SAFE: _ClassVar[AttachAnswer.Fate]
        MISSED: _ClassVar[AttachAnswer.Fate]
    WANTED: AttachAnswer.Fate
    UNNAMED: AttachAnswer.Fate
    HELD: AttachAnswer.Fate
    SAFE: AttachAnswer.Fate
    MISSED: AttachAnswer.Fate
    FATES_FIELD_NUMBER: _ClassVar[int]
    fates: _containers.RepeatedScalarFieldContainer[AttachAnswer.Fate]
    def __init__(self, fates: _Optional[_Iterable[_Union[AttachAnswer.Fate, str]]] = ...) -> None: ...

class AttachStanding(_message.Message):
    __slots__ = ("address", "held")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    held: int
    def __init__(self, address: _Optional[bytes] = ..., held: _Optional[int] = ...) -> None: ...

class AttachRefusal(_message.Message):
    __slots__ = ("reason", "hint")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[AttachRefusal.Reason]
        MALFORMED: _ClassVar[AttachRefusal.Reason]
        TOO_MUCH: _ClassVar[AttachRefusal.Reason]
        UNAVAILABLE: _ClassVar[AttachRefusal.Reason]
    REASON_UNSPECIFIED: AttachRefusal.Reason
    MALFORMED: AttachRefusal.Reason
    TOO_MUCH: AttachRefusal.Reason
    UNAVAILABLE: AttachRefusal.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    reason: AttachRefusal.Reason
    hint: str
    def __init__(self, reason: _Optional[_Union[AttachRefusal.Reason, str]] = ..., hint: _Optional[str] = ...) -> None: ...
