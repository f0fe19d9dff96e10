"""Which addresses a webhook may be sent to: what is seen of them beforehand, and what they stand for."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from app.outgoing import may_reach
from app.webhooks import ForbiddenUrlError, check_url, without_secrets

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.0", "169.253.255.255", "223.255.255.255", "168.63.129.15", "198.17.255.255", "198.20.0.0"),
    *("2606:2800:220:1::1", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2003::1"),
]
FORBIDDEN = [
    # This host, private, link-local, shared, multicast, reserved.
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1"),
    *("172.31.255.255", "192.168.0.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.0.192", "192.0.2.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "192.88.99.1", "168.63.129.16"),
    # The same of IPv6.
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "100::1"),
    *("2001:db8::1", "3fff::1", "4000::1", "5f00::1", "2001:2::1", "2001:20::1"),
    # Of IPv4, dressed up: mapped, compatible, translated (NAT64), 6to4, Teredo.
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "::7f00:1"),
    *("64:ff9b::169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::10.0.0.1", "2002:7f00:1::1", "2002:a9fe:a9fe::1"),
    *("2001:0:7f00:1::1", "2001::a9fe:a9fe", "::ffff:0:127.0.0.1", "::ffff:8.8.8.8"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_reached(address: str) -> None:
    assert may_reach(ip_address(address))


@pytest.mark.parametrize("address", FORBIDDEN)
def test_no_other_address_is(address: str) -> None:
    assert not may_reach(ip_address(address))


def test_what_the_operator_allows_is_reached_and_nothing_beside_it() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))

    for address in ("10.1.2.3", "fd00:1::5", "::ffff:10.1.2.3", "1.1.1.1"):
        assert may_reach(ip_address(address), allowed), address
    for address in ("10.2.0.1", "fd00:2::5", "::ffff:10.2.0.1", "127.0.0.1", "64:ff9b::10.1.2.3", "::10.1.2.3"):
        assert not may_reach(ip_address(address), allowed), address


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "HTTPS://EXAMPLE.com/hooks/a?token=1&b=%20",
        "https://hooks.xn--bcher-kva.example/x",
        "https://a_b.example.com:8443/x?y=[1]@z",
        "https://example.com:443/x",
        "https://93.184.216.34/x",
        "https://[2606:2800:220:1::1]:9443/x",
        "https://example.com?x=1",
        f"https://example.com/{'x' * 2028}",
    ],
)
def test_an_address_that_is_taken(url: str) -> None:
    check_url(url)


REFUSED = {
    # Not a whole address of this kind
    "": "whole address",
    "example.com/x": "whole address",
    "/x": "whole address",
    "https:///x": "host is a name",
    "https://": "host is a name",
    "https:example.com": "whole address",
    "https:/example.com": "whole address",
    "https://example.com/#x": "without a fragment",
    "https://example.com/a b": "plain ASCII",
    "https://example.com/\n": "plain ASCII",
    "https://example.com/\r\nHost: x": "plain ASCII",
    "https://example.com\\@10.0.0.1/": "no user name",
    "https://example.com/\x00": "plain ASCII",
    "https://bücher.example/": "plain ASCII",
    "https://example。com/": "plain ASCII",
    "https://１２７.0.0.1/": "plain ASCII",
    f"https://example.com/{'x' * 2029}": "2,048 characters",
    # Schemes, credentials, ports
    "http://example.com/": "https://",
    "ftp://example.com/": "https://",
    "file:///etc/passwd": "https://",
    "gopher://example.com/": "https://",
    "redis://example.com/": "https://",
    "https://ann:geheim@example.com/": "no user name",
    "https://example.com@10.0.0.1/": "no user name",
    "https://example.com:0/": "The port",
    "https://example.com:22/": "The port",
    "https://example.com:25/": "The port",
    "https://example.com:80/": "The port",
    "https://example.com:65536/": "The port",
    "https://example.com:/": "host is a name",
    "https://example.com:x/": "host is a name",
    # Hosts that are no names of the internet
    "https://localhost/": "not a name",
    "https://LOCALHOST/": "not a name",
    "https://redis:6379/": "not a name",
    "https://a.localhost/": "not a name",
    "https://metadata.google.internal/": "not a name",
    "https://printer.local/": "not a name",
    "https://x.home.arpa/": "not a name",
    "https://localhost./": "without a dot",
    "https://example.com./": "without a dot",
    "https://.example.com/": "looked up",
    "https://a..example.com/": "looked up",
    "https://-a.example.com/": "looked up",
    f"https://{'a' * 64}.example.com/": "looked up",
    f"https://{'.'.join(['a' * 50] * 6)}.com/": "looked up",
    "https://exa%6dple.com/": "host is a name",
    "https://127.0.0.1%2f.example.com/": "host is a name",
    # Addresses, in every spelling
    "https://127.0.0.1/": "not an address",
    "https://10.0.0.1:8443/": "not an address",
    "https://169.254.169.254/latest/meta-data": "not an address",
    "https://0.0.0.0/": "not an address",
    "https://[::1]/": "not an address",
    "https://[::]/": "not an address",
    "https://[::ffff:127.0.0.1]/": "not an address",
    "https://[::ffff:7f00:1]/": "not an address",
    "https://[64:ff9b::7f00:1]/": "not an address",
    "https://[2002:7f00:1::]/": "not an address",
    "https://[fd00:ec2::254]/": "not an address",
    "https://[fe80::1%25eth0]/": "host is a name",
    "https://[127.0.0.1]/": "Write an IP address",
    "https://2130706433/": "Write an IP address",
    "https://017700000001/": "Write an IP address",
    "https://0x7f000001/": "Write an IP address",
    "https://0x7f.0.0.1/": "Write an IP address",
    "https://0177.0.0.1/": "Write an IP address",
    "https://127.0.0.01/": "Write an IP address",
    "https://127.1/": "Write an IP address",
    "https://127.0.1/": "Write an IP address",
    "https://0/": "Write an IP address",
    "https://1.1.1.1.1/": "Write an IP address",
    "https://256.1.1.1/": "Write an IP address",
    "https://example.0x/": "Write an IP address",
}


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenUrlError) as refusal:
        check_url(url)

    assert REFUSED[url] in str(refusal.value)
    assert str(refusal.value).endswith(".")
    assert not url or url not in str(refusal.value)


def test_http_where_it_is_allowed() -> None:
    check_url("http://example.com/", allow_http=True)
    check_url("http://example.com:80/", allow_http=True)
    for url in ("http://example.com:443/", "http://10.0.0.1/", "ftp://example.com/"):
        with pytest.raises(ForbiddenUrlError):
            check_url(url, allow_http=True)


def test_names_and_addresses_of_the_operators_networks_where_those_are_allowed() -> None:
    allowed = (ip_network("10.0.0.0/8"),)

    for url in ("https://receiver/", "https://receiver.internal/", "https://10.1.2.3/"):
        check_url(url, allowed=allowed)
    with pytest.raises(ForbiddenUrlError):
        check_url("https://192.168.0.1/", allowed=allowed)


def test_an_address_is_shown_without_its_query() -> None:
    assert without_secrets("https://example.com/x?token=geheim") == "https://example.com/x?…"
    assert without_secrets("https://example.com/x") == "https://example.com/x"
