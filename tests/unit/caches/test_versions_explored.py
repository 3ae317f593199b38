"""No order of events breaks what the versions promise, and no step of the protocol is there for nothing."""

import pytest
from msgspec.structs import replace

from service.caches.versions import Known, Ledger, Server, Version
from tests.unit.caches.versions_model import Model, explore
from tests.unit.caches.versions_states import Bounds, Protocol, Violation

MOST_STATES = 2_000_000
HERE, THERE = (0,), (1,)
"""The readers: in the process of the first writer, and in the other."""
FAST = {
    "two writers": Bounds(ticks=2, readers=HERE),
    "long writes": Bounds(ticks=3, writers=1, life=2, late=True),
    "slow answers": Bounds(ticks=2, writers=1, readers=THERE, slow_answers=True),
    "slow answers of two writers": Bounds(ticks=2, readers=HERE, slow_answers=True),
    "restart": Bounds(ticks=2, writers=1, faults=("restart",), most_faults=1),
    "restart and slow answers": Bounds(
        ticks=2, writers=1, readers=HERE, slow_answers=True, faults=("restart",), most_faults=1
    ),
    "flush": Bounds(ticks=2, writers=1, faults=("flush",), most_faults=1),
    "failover here": Bounds(ticks=2, writers=1, readers=HERE, faults=("failover",), most_faults=1),
    "failover there": Bounds(ticks=3, writers=1, readers=THERE, faults=("failover",), most_faults=1),
    "failback here": Bounds(ticks=2, writers=1, readers=HERE, faults=("failback",), most_faults=1),
    "failback there": Bounds(ticks=2, writers=1, readers=THERE, faults=("failback",), most_faults=1),
}
WIDE = {
    "two writers": Bounds(ticks=2),
    "slow answers": Bounds(ticks=2, writers=1, slow_answers=True),
    "long writes of two": Bounds(ticks=3, readers=HERE, life=2, late=True),
    "failover": Bounds(ticks=2, writers=1, faults=("failover",), most_faults=1),
    "any fault of two writers": Bounds(
        ticks=1, readers=HERE, faults=("restart", "flush", "failover", "failback"), most_faults=1
    ),
    "any two faults": Bounds(
        ticks=2, writers=1, readers=HERE, faults=("restart", "flush", "failover", "failback"), most_faults=2
    ),
}


class NeverRaised(Ledger, frozen=True):
    def commit(self, server: Server, token: str) -> Ledger:
        return replace(super().commit(server, token), n=self.refresh(server).n)


class NotRaisedAtExpiry(Ledger, frozen=True):
    def expired(self, server: Server) -> Ledger:
        return replace(super().expired(server), n=self.n)


class BlindToRuns(Ledger, frozen=True):
    def healed(self, server: Server) -> Ledger:
        return self if self.run else super().healed(server)

    def refresh(self, server: Server) -> Ledger:
        return replace(super().refresh(server), run="any")


class BlindToReigns(Ledger, frozen=True):
    def healed(self, server: Server) -> Ledger:
        return self if self.run.partition("/")[0] == server.run.partition("/")[0] else super().healed(server)

    def refresh(self, server: Server) -> Ledger:
        return replace(super().refresh(server), run=server.run)


class WithoutGhost(Ledger, frozen=True):
    def healed(self, server: Server) -> Ledger:
        return replace(super().healed(server), pending=self.pending)


class SeededFromNothing(Ledger, frozen=True):
    def seed(self, _: Server) -> int:
        return self.n + 1


class TrustedForEver(Known, frozen=True):
    def is_current(self, _: float) -> bool:
        return True


class TrustedFromTheAnswer(Known, frozen=True):
    def learned(self, version: Version, _: float, now: float) -> Known:
        return super().learned(version, now, now)


class LastAnswerWins(Known, frozen=True):
    def learned(self, version: Version, sent: float, now: float) -> Known:
        return replace(self, version=version, sent=sent, arrived=now)


class LastAnswerOfAnotherRunWins(Known, frozen=True):
    def learned(self, version: Version, sent: float, now: float) -> Known:
        if version.run == self.version.run:
            return super().learned(version, sent, now)
        return replace(self, version=version, sent=sent, arrived=now)


STEPS = {
    "a write begins with a token": (Protocol(begins=False), "long writes"),
    "long writes renew their token": (Protocol(renews=False), "long writes"),
    "a failed write leaves its token": (Protocol(keeps_token_of_failed=False), "long writes"),
    "a commit raises the version": (Protocol(ledger=NeverRaised), "long writes"),
    "an expired token raises the version": (Protocol(ledger=NotRaisedAtExpiry), "long writes"),
    "runs are compared": (Protocol(ledger=BlindToRuns), "failover there"),
    "reigns of one server are told apart": (Protocol(ledger=BlindToReigns), "failback here"),
    "a healed ledger holds a ghost": (Protocol(ledger=WithoutGhost), "flush"),
    "a lost number is seeded from the time": (Protocol(ledger=SeededFromNothing), "flush"),
    "the version is read before the query": (Protocol(reads_version_first=False), "long writes"),
    "versions must be equal": (Protocol(compares_versions=False), "long writes"),
    "trust ends": (Protocol(known=TrustedForEver), "long writes"),
    "trust begins with the question": (Protocol(known=TrustedFromTheAnswer), "slow answers"),
    "a write is known before it is acknowledged": (Protocol(learns_before_acknowledging=False), "long writes"),
    "an older answer does not replace a newer one": (Protocol(known=LastAnswerWins), "slow answers of two writers"),
    "an answer of another run must not be older": (
        Protocol(known=LastAnswerOfAnotherRunWins),
        "restart and slow answers",
    ),
    "a commit does not hide what was answered after it": (
        Protocol(believes_commits=True),
        "slow answers of two writers",
    ),
}


@pytest.mark.parametrize("name", FAST)
def test_no_order_of_events_breaks_a_promise(name: str) -> None:
    assert explore(Model(Protocol(), FAST[name]), MOST_STATES) > 1_000


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
def test_no_order_of_more_events_breaks_a_promise(name: str) -> None:
    assert explore(Model(Protocol(), WIDE[name]), MOST_STATES) > 10_000


@pytest.mark.parametrize("step", STEPS)
def test_without_one_step_a_promise_breaks(step: str) -> None:
    protocol, bounds = STEPS[step]
    with pytest.raises(Violation):
        explore(Model(protocol, FAST[bounds]), MOST_STATES)
