"""The other sides of the channels: they take messages, are slow, refuse, fail, or take one and never say so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.delivery.digest import digest_of
from incident_engine.store.claims import ClaimedDelivery
from simulation.clock import SECOND, Agenda, SteppedLoop, WorldClock

FATES = ("unreachable", "silent", "lost_answer", "server_error", "too_many", "refused", "fault")
"""What can become of an attempt that does not simply succeed."""
CALM = 0.04
"""How many attempts fail in fair weather."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One attempt to bring a message, with the deliveries that it carries."""

    message: ClaimedDelivery
    batch: Sequence[ClaimedDelivery]
    life: int
    """How often the machine had been started."""


class Net:
    """Everything beyond the machine's channels. It keeps on while the machine is down."""

    def __init__(self, seed: int, clock: WorldClock, agenda: Agenda) -> None:
        self._seed = seed
        self._clock = clock
        self._agenda = agenda
        self._weather: dict[str, tuple[str, float]] = {}
        self._batches: dict[str, Sequence[ClaimedDelivery]] = {}
        self.loop: SteppedLoop | None = None
        self.life = 0
        self.on_sending: Callable[[Sending], None] = lambda _: None
        self.on_arrival: Callable[[Sending], None] = lambda _: None

    def expect(self, batch: Sequence[ClaimedDelivery]) -> None:
        """Note which deliveries a message carries."""
        self._batches[batch[0].id if len(batch) == 1 else digest_of(batch).id] = tuple(batch)

    def set_weather(self, channel: str, fate: str, share: float) -> None:
        """Let this happen to a share of what is sent over a channel."""
        self._weather[channel] = fate, share

    def clear(self, channel: str | None = None) -> None:
        """Let a channel, or all, work again."""
        if channel is None:
            self._weather.clear()
        self._weather.pop(channel or "", None)

    async def send(self, message: ClaimedDelivery) -> str:
        """Carry a message to the other side and its answer back."""
        batch = self._batches[message.id]
        sending = Sending(message, batch, self.life)
        self.on_sending(sending)
        rng = Random(f"{self._seed}/{message.id}/{message.attempt}/{self.life}")
        fate, share = self._weather.get(message.channel, ("", 0.0))
        if rng.random() >= share:
            fate = rng.choice(FATES) if rng.random() < CALM else ""
        return await self._carried(sending, fate, rng)

    async def _carried(self, sending: Sending, fate: str, rng: Random) -> str:
        takes = int(rng.choice([0.004, 0.05, 0.4, 3.0]) * rng.uniform(0.5, 1.5) * SECOND)
        arrives = fate in ("", "lost_answer") or (fate == "server_error" and rng.random() < 0.2)
        if arrives:
            self._agenda.after(takes // 2, lambda: self.on_arrival(sending))
        assert self.loop is not None
        answer = self.loop.create_future()
        if fate not in ("silent", "lost_answer"):
            self._agenda.after(takes, lambda: None if answer.done() else answer.set_result(None))
        await answer
        if fate:
            raise _FAILURES[fate](rng)
        return "taken"


class SimulatedChannel:
    """A channel that ends in the simulated net."""

    def __init__(self, net: Net) -> None:
        self._net = net

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Send by the simulated net."""
        return await self._net.send(delivery)

    async def close(self) -> None:
        """Let go of nothing."""


_FAILURES: dict[str, Callable[[Random], Exception]] = {
    "unreachable": lambda _: DeliveryError(DeliveryOutcome.CONNECTION_FAILED, "no route"),
    "server_error": lambda _: DeliveryError(DeliveryOutcome.SERVER_ERROR, "500"),
    "too_many": lambda rng: DeliveryError(
        DeliveryOutcome.RATE_LIMITED, "429", retry_after=timedelta(seconds=rng.choice([5, 40, 120]))
    ),
    "refused": lambda rng: DeliveryError(DeliveryOutcome.REFUSED, "400", permanent=rng.random() < 0.5),
    "fault": lambda _: RuntimeError("a fault of ours in the channel"),
}
