"""Denied requests: counted, logged at most every ten seconds for each address, and slowed down after wrong keys."""

import ipaddress
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache

from incident_engine.common.clock import ticks
from incident_engine.common.telemetry import DeniedReason, Metrics, RateLimitedLog, logger

BURST = 10
"""The wrong keys that one address may send at once; each further second allows one more."""
LOG_SECONDS = 10
"""The seconds between two lines about the same address."""
MOST_ADDRESSES = 1_000
"""The most addresses with a count of their own; further ones share one."""
_FORGET_SECONDS = 600
_OTHERS = "others"


def _log() -> RateLimitedLog:
    return RateLimitedLog(lambda event, **fields: logger("web").warning(event, **fields), LOG_SECONDS)


@dataclass(slots=True)
class _Address:
    """The denials of one address."""

    log: RateLimitedLog = field(default_factory=_log)
    seen_at: float = 0.0
    allowed: float = BURST
    """The wrong keys that the address may still send without being slowed down."""
    allowed_at: float = 0.0


class Denials:
    """Records requests that were denied. Neither a key nor a path is ever logged, because either may be a secret."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._addresses: MutableMapping[str, _Address] = OrderedDict()

    def record(self, reason: DeniedReason, address: str) -> None:
        """Count a denied request, and log it with the address that sent it."""
        self._metrics.count_denied(reason)
        entry, name = self._entry(address)
        entry.log("request_denied", reason=reason.value, address=name)

    def exceeds(self, address: str) -> bool:
        """Count one wrong key of an address; return whether it has sent too many of them."""
        entry, now = self._entry(address)[0], ticks()
        entry.allowed = min(BURST, entry.allowed + now - entry.allowed_at)
        entry.allowed_at = now
        if entry.allowed < 1:
            return True
        entry.allowed -= 1
        return False

    def _entry(self, address: str) -> tuple[_Address, str]:
        """Return the entry of an address, and the name under which it is logged."""
        now, network = ticks(), _network(address)
        if network not in self._addresses and len(self._addresses) >= MOST_ADDRESSES:
            for name in [name for name, entry in self._addresses.items() if now - entry.seen_at > _FORGET_SECONDS]:
                del self._addresses[name]
            # Not the oldest one makes room: an attacker with many addresses would drive out its own counts.
            if len(self._addresses) >= MOST_ADDRESSES:
                network = _OTHERS
        entry = self._addresses.setdefault(network, _Address())
        entry.seen_at = now
        return entry, address if network != _OTHERS else network


@lru_cache(maxsize=1_024)
def _network(address: str) -> str:
    """Return the network that one sender owns: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
