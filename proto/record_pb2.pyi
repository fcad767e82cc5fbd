from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("key_id", "payload", "signature")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    key_id: bytes
    payload: bytes
    signature: bytes
    def __init__(self, key_id: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("id", "edge", "journal", "position", "kind", "times", "simulated", "sealed", "data_key", "clear", "carried")
    ID_FIELD_NUMBER: _ClassVar[int]
    EDGE_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    DATA_KEY_FIELD_NUMBER: _ClassVar[int]
    CLEAR_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    edge: bytes
    journal: bytes
    position: int
    kind: str
    times: Times
    simulated: bool
    sealed: Sealed
    data_key: DataKey
    clear: bytes
    carried: Carried
    def __init__(self, id: _Optional[bytes] = ..., edge: _Optional[bytes] = ..., journal: _Optional[bytes] = ..., position: _Optional[int] = ..., kind: _Optional[str] = ..., times: _Optional[_Union[Times, _Mapping]] = ..., simulated: _Optional[bool] = ..., sealed: _Optional[_Union[Sealed, _Mapping]] = ..., data_key: _Optional[_Union[DataKey, _Mapping]] = ..., clear: _Optional[bytes] = ..., carried: _Optional[_Union[Carried, _Mapping]] = ...) -> None: ...

class Times(_message.Message):
    __slots__ = ("claimed_ms", "hub_signed_ms", "boot_id", "boottime_ms")
    CLAIMED_MS_FIELD_NUMBER: _ClassVar[int]
    HUB_SIGNED_MS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    BOOTTIME_MS_FIELD_NUMBER: _ClassVar[int]
    claimed_ms: int
    hub_signed_ms: int
    boot_id: bytes
    boottime_ms: int
    def __init__(self, claimed_ms: _Optional[int] = ..., hub_signed_ms: _Optional[int] = ..., boot_id: _Optional[bytes] = ..., boottime_ms: _Optional[int] = ...) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("key_position", "counter", "dictionary", "ciphertext")
    KEY_POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    key_position: int
    counter: int
    dictionary: int
    ciphertext: bytes
    def __init__(self, key_position: _Optional[int] = ..., counter: _Optional[int] = ..., dictionary: _Optional[int] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class DataKey(_message.Message):
    __slots__ = ("hub_key_id", "wrapped")
    HUB_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_FIELD_NUMBER: _ClassVar[int]
    hub_key_id: bytes
    wrapped: bytes
    def __init__(self, hub_key_id: _Optional[bytes] = ..., wrapped: _Optional[bytes] = ...) -> None: ...

class Carried(_message.Message):
    __slots__ = ("previous_digest", "key_id", "payload", "signature", "data_key")
    PREVIOUS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    DATA_KEY_FIELD_NUMBER: _ClassVar[int]
    previous_digest: bytes
    key_id: bytes
    payload: bytes
    signature: bytes
    data_key: DataKey
    def __init__(self, previous_digest: _Optional[bytes] = ..., key_id: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., data_key: _Optional[_Union[DataKey, _Mapping]] = ...) -> None: ...
