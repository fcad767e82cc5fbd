from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Catalogue(_message.Message):
    __slots__ = ("source", "items")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    source: str
    items: _containers.RepeatedCompositeFieldContainer[ServiceItem]
    def __init__(self, source: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ServiceItem, _Mapping]]] = ...) -> None: ...

class ServiceItem(_message.Message):
    __slots__ = ("code", "group", "name", "description", "channels", "applicants", "requirement", "documents", "working_days")
    CODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    APPLICANTS_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    WORKING_DAYS_FIELD_NUMBER: _ClassVar[int]
    code: str
    group: str
    name: str
    description: str
    channels: _containers.RepeatedScalarFieldContainer[str]
    applicants: str
    requirement: str
    documents: _containers.RepeatedCompositeFieldContainer[Documents]
    working_days: int
    def __init__(self, code: _Optional[str] = ..., group: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., channels: _Optional[_Iterable[str]] = ..., applicants: _Optional[str] = ..., requirement: _Optional[str] = ..., documents: _Optional[_Iterable[_Union[Documents, _Mapping]]] = ..., working_days: _Optional[int] = ...) -> None: ...

class Documents(_message.Message):
    __slots__ = ("any_of",)
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    any_of: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, any_of: _Optional[_Iterable[str]] = ...) -> None: ...
