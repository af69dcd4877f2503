"""Initiators that come to a portal, as the rules of a portal group see them."""

from isthmus.names import IscsiName
from isthmus.target.access import Route, Visitor

__all__ = ["ROUTE", "visitor"]

ROUTE = Route(address="192.0.2.7", portal_address="192.0.2.1", portal_port=3260)


def visitor(name: IscsiName, *, address: str = ROUTE.address, portal_address: str = ROUTE.portal_address) -> Visitor:
    """An initiator of that name, from that address."""
    route = Route(address=address, portal_address=portal_address, portal_port=ROUTE.portal_port)
    return Visitor(name=name, route=route)
