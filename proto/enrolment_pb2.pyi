from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Invitation(_message.Message):
    __slots__ = ("address", "id", "secret", "pin")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    address: str
    id: str
    secret: bytes
    pin: bytes
    def __init__(self, address: _Optional[str] = ..., id: _Optional[str] = ..., secret: _Optional[bytes] = ..., pin: _Optional[bytes] = ...) -> None: ...

class GetRootRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRootReply(_message.Message):
    __slots__ = ("root_der",)
    ROOT_DER_FIELD_NUMBER: _ClassVar[int]
    root_der: bytes
    def __init__(self, root_der: _Optional[bytes] = ...) -> None: ...

class EnrolRequest(_message.Message):
    __slots__ = ("invitation", "secret", "csr_der", "suite", "record_public_key", "record_proof", "journals", "machine")
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    RECORD_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    RECORD_PROOF_FIELD_NUMBER: _ClassVar[int]
    JOURNALS_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    invitation: str
    secret: bytes
    csr_der: bytes
    suite: int
    record_public_key: bytes
    record_proof: bytes
    journals: _containers.RepeatedCompositeFieldContainer[JournalDeclaration]
    machine: str
    def __init__(self, invitation: _Optional[str] = ..., secret: _Optional[bytes] = ..., csr_der: _Optional[bytes] = ..., suite: _Optional[int] = ..., record_public_key: _Optional[bytes] = ..., record_proof: _Optional[bytes] = ..., journals: _Optional[_Iterable[_Union[JournalDeclaration, _Mapping]]] = ..., machine: _Optional[str] = ...) -> None: ...

class JournalDeclaration(_message.Message):
    __slots__ = ("journal", "name")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    journal: bytes
    name: str
    def __init__(self, journal: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class EnrolReply(_message.Message):
    __slots__ = ("edge", "chain_der", "work_address", "hub", "keys", "site", "site_name", "site_kind")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_DER_FIELD_NUMBER: _ClassVar[int]
    WORK_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HUB_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    SITE_NAME_FIELD_NUMBER: _ClassVar[int]
    SITE_KIND_FIELD_NUMBER: _ClassVar[int]
    edge: bytes
    chain_der: _containers.RepeatedScalarFieldContainer[bytes]
    work_address: str
    hub: bytes
    keys: HubKeys
    site: str
    site_name: str
    site_kind: str
    def __init__(self, edge: _Optional[bytes] = ..., chain_der: _Optional[_Iterable[bytes]] = ..., work_address: _Optional[str] = ..., hub: _Optional[bytes] = ..., keys: _Optional[_Union[HubKeys, _Mapping]] = ..., site: _Optional[str] = ..., site_name: _Optional[str] = ..., site_kind: _Optional[str] = ...) -> None: ...

class HubKeys(_message.Message):
    __slots__ = ("resource", "time", "sealing", "record")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEALING_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    resource: bytes
    time: bytes
    sealing: bytes
    record: bytes
    def __init__(self, resource: _Optional[bytes] = ..., time: _Optional[bytes] = ..., sealing: _Optional[bytes] = ..., record: _Optional[bytes] = ...) -> None: ...
