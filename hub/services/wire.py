"""The catalogue as bytes of proto Catalogue: what a resource carries."""

from __future__ import annotations

from hub.services.items import Catalogue, ServiceItem
from proto import services_pb2


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """Content of the resource "catalogue"."""
    items = [_item(item) for item in catalogue.items]
    return services_pb2.Catalogue(source=catalogue.source, items=items).SerializeToString(deterministic=True)


def _item(item: ServiceItem) -> services_pb2.ServiceItem:
    return services_pb2.ServiceItem(
        code=item.code, group=item.group, name=item.name, description=item.description, channels=item.channels,
        applicants=item.applicants, requirement=item.requirement, working_days=item.working_days,
        documents=[services_pb2.Documents(any_of=any_of) for any_of in item.documents],
    )
