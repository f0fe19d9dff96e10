"""Which addresses a client may have us reach: the public internet's, and what the operator has allowed."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IpNetwork = IPv4Network | IPv6Network
IpAddress = IPv4Address | IPv6Address

#: IANA's special-purpose addresses, multicast and the reserved block, and one that is none of these.
_FORBIDDEN_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network; 0.0.0.0 connects to this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by the customers of a provider
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, and what clouds tell their machines
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "168.63.129.16/32",  # Azure's own, in the midst of public addresses
        ),
    )
)

#: Nothing else of IPv6 is unicast to the internet: not loopback, ULA, link-local or multicast, and no address that
#: carries one of IPv4 (mapped, compatible, NAT64) and would so go around the list above.
_GLOBAL_6 = IPv6Network("2000::/3")
_FORBIDDEN_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols: Teredo, which carries IPv4, benchmarks, ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4, which carries IPv4
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)


def may_reach(address: IpAddress, allowed: Collection[IpNetwork] = ()) -> bool:
    """Whether this address may be reached. ``allowed`` are further networks, as the operator named them."""
    plain = _without_zone(address)
    if any(plain.version == network.version and plain in network for network in allowed):
        return True
    if isinstance(plain, IPv4Address):
        return not any(plain in network for network in _FORBIDDEN_4)
    mapped = plain.ipv4_mapped
    if mapped is not None:  # the host connects to the address of IPv4 itself
        return any(mapped in network for network in allowed if network.version == 4)
    return plain in _GLOBAL_6 and not any(plain in network for network in _FORBIDDEN_6)


def _without_zone(address: IpAddress) -> IpAddress:
    """An IPv6 address with a zone equals no other one."""
    return ip_address(str(address).partition("%")[0])
