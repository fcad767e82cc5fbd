from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
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
    __slots__ = ("edge", "chain_der", "work_address", "hub", "keys", "site", "site_name", "site_kind", "enrol_address", "api_address")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_DER_FIELD_NUMBER: _ClassVar[int]
    WORK_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HUB_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    SITE_NAME_FIELD_NUMBER: _ClassVar[int]
    SITE_KIND_FIELD_NUMBER: _ClassVar[int]
    ENROL_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    API_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    edge: bytes
    chain_der: _containers.RepeatedScalarFieldContainer[bytes]
    work_address: str
    hub: bytes
    keys: HubKeys
    site: str
    site_name: str
    site_kind: str
    enrol_address: str
    api_address: str
    def __init__(self, edge: _Optional[bytes] = ..., chain_der: _Optional[_Iterable[bytes]] = ..., work_address: _Optional[str] = ..., hub: _Optional[bytes] = ..., keys: _Optional[_Union[HubKeys, _Mapping]] = ..., site: _Optional[str] = ..., site_name: _Optional[str] = ..., site_kind: _Optional[str] = ..., enrol_address: _Optional[str] = ..., api_address: _Optional[str] = ...) -> None: ...

class HubKeys(_message.Message):
    __slots__ = ("resource", "time", "sealing", "record", "log")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SEALING_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    resource: bytes
    time: bytes
    sealing: bytes
    record: bytes
    log: bytes
    def __init__(self, resource: _Optional[bytes] = ..., time: _Optional[bytes] = ..., sealing: _Optional[bytes] = ..., record: _Optional[bytes] = ..., log: _Optional[bytes] = ...) -> None: ...

class NonceRequest(_message.Message):
    __slots__ = ("edge",)
    EDGE_FIELD_NUMBER: _ClassVar[int]
    edge: bytes
    def __init__(self, edge: _Optional[bytes] = ...) -> None: ...

class NonceReply(_message.Message):
    __slots__ = ("nonce", "unix_ms")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    unix_ms: int
    def __init__(self, nonce: _Optional[bytes] = ..., unix_ms: _Optional[int] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("edge", "csr_der", "generation", "nonce", "signature", "certificate_der")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_DER_FIELD_NUMBER: _ClassVar[int]
    edge: bytes
    csr_der: bytes
    generation: int
    nonce: bytes
    signature: bytes
    certificate_der: bytes
    def __init__(self, edge: _Optional[bytes] = ..., csr_der: _Optional[bytes] = ..., generation: _Optional[int] = ..., nonce: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., certificate_der: _Optional[bytes] = ...) -> None: ...

class RenewReply(_message.Message):
    __slots__ = ("outcome", "chain_der", "approval", "text")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[RenewReply.Outcome]
        ISSUED: _ClassVar[RenewReply.Outcome]
        WAITING: _ClassVar[RenewReply.Outcome]
        REVOKED: _ClassVar[RenewReply.Outcome]
        CLONED: _ClassVar[RenewReply.Outcome]
        REFUSED: _ClassVar[RenewReply.Outcome]
    OUTCOME_UNSPECIFIED: RenewReply.Outcome
    ISSUED: RenewReply.Outcome
    WAITING: RenewReply.Outcome
    REVOKED: RenewReply.Outcome
    CLONED: RenewReply.Outcome
    REFUSED: RenewReply.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CHAIN_DER_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    outcome: RenewReply.Outcome
    chain_der: _containers.RepeatedScalarFieldContainer[bytes]
    approval: int
    text: str
    def __init__(self, outcome: _Optional[_Union[RenewReply.Outcome, str]] = ..., chain_der: _Optional[_Iterable[bytes]] = ..., approval: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class MayReplaceRequest(_message.Message):
    __slots__ = ("edge", "invitation", "secret")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    edge: bytes
    invitation: str
    secret: bytes
    def __init__(self, edge: _Optional[bytes] = ..., invitation: _Optional[str] = ..., secret: _Optional[bytes] = ...) -> None: ...

class MayReplaceReply(_message.Message):
    __slots__ = ("came_of_it",)
    CAME_OF_IT_FIELD_NUMBER: _ClassVar[int]
    came_of_it: bool
    def __init__(self, came_of_it: _Optional[bool] = ...) -> None: ...

class RejoinRequest(_message.Message):
    __slots__ = ("old_edge", "reason", "edge", "csr_der", "suite", "record_public_key", "record_proof", "machine", "nonce", "signature", "certificate_der", "invitation", "secret", "forerunners", "journals")
    OLD_EDGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EDGE_FIELD_NUMBER: _ClassVar[int]
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    RECORD_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    RECORD_PROOF_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_DER_FIELD_NUMBER: _ClassVar[int]
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    FORERUNNERS_FIELD_NUMBER: _ClassVar[int]
    JOURNALS_FIELD_NUMBER: _ClassVar[int]
    old_edge: bytes
    reason: str
    edge: bytes
    csr_der: bytes
    suite: int
    record_public_key: bytes
    record_proof: bytes
    machine: str
    nonce: bytes
    signature: bytes
    certificate_der: bytes
    invitation: str
    secret: bytes
    forerunners: _containers.RepeatedCompositeFieldContainer[Forerunner]
    journals: _containers.RepeatedCompositeFieldContainer[FollowingJournal]
    def __init__(self, old_edge: _Optional[bytes] = ..., reason: _Optional[str] = ..., edge: _Optional[bytes] = ..., csr_der: _Optional[bytes] = ..., suite: _Optional[int] = ..., record_public_key: _Optional[bytes] = ..., record_proof: _Optional[bytes] = ..., machine: _Optional[str] = ..., nonce: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., certificate_der: _Optional[bytes] = ..., invitation: _Optional[str] = ..., secret: _Optional[bytes] = ..., forerunners: _Optional[_Iterable[_Union[Forerunner, _Mapping]]] = ..., journals: _Optional[_Iterable[_Union[FollowingJournal, _Mapping]]] = ...) -> None: ...

class FollowingJournal(_message.Message):
    __slots__ = ("journal", "old_journal", "old_position", "old_held", "known")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    OLD_JOURNAL_FIELD_NUMBER: _ClassVar[int]
    OLD_POSITION_FIELD_NUMBER: _ClassVar[int]
    OLD_HELD_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    journal: JournalDeclaration
    old_journal: bytes
    old_position: int
    old_held: int
    known: _containers.RepeatedCompositeFieldContainer[KnownDigest]
    def __init__(self, journal: _Optional[_Union[JournalDeclaration, _Mapping]] = ..., old_journal: _Optional[bytes] = ..., old_position: _Optional[int] = ..., old_held: _Optional[int] = ..., known: _Optional[_Iterable[_Union[KnownDigest, _Mapping]]] = ...) -> None: ...

class Forerunner(_message.Message):
    __slots__ = ("edge", "journal", "suite", "public_key", "predecessor", "proof")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    PREDECESSOR_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    edge: bytes
    journal: bytes
    suite: int
    public_key: bytes
    predecessor: bytes
    proof: bytes
    def __init__(self, edge: _Optional[bytes] = ..., journal: _Optional[bytes] = ..., suite: _Optional[int] = ..., public_key: _Optional[bytes] = ..., predecessor: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class KnownDigest(_message.Message):
    __slots__ = ("position", "digest")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    position: int
    digest: bytes
    def __init__(self, position: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class RejoinReply(_message.Message):
    __slots__ = ("waiting_for", "admitted", "held")
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    waiting_for: int
    admitted: EnrolReply
    held: _containers.RepeatedCompositeFieldContainer[HeldJournal]
    def __init__(self, waiting_for: _Optional[int] = ..., admitted: _Optional[_Union[EnrolReply, _Mapping]] = ..., held: _Optional[_Iterable[_Union[HeldJournal, _Mapping]]] = ...) -> None: ...

class HeldJournal(_message.Message):
    __slots__ = ("journal", "position", "digests", "common")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    COMMON_FIELD_NUMBER: _ClassVar[int]
    journal: bytes
    position: int
    digests: bytes
    common: int
    def __init__(self, journal: _Optional[bytes] = ..., position: _Optional[int] = ..., digests: _Optional[bytes] = ..., common: _Optional[int] = ...) -> None: ...
