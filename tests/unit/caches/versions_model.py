"""Two processes, each with a writer, a reader and a memory, over one Redis and one store: all that may happen next."""

from collections.abc import Iterator
from functools import cache

from msgspec.structs import replace

from service.caches.versions import TRUST_SECONDS, Ledger, Server, Version, proves
from tests.unit.caches.versions_states import (
    AT_REST,
    Bounds,
    Fault,
    Process,
    Protocol,
    State,
    Value,
    Violation,
    Writer,
)

Change = tuple[str, State]


class Model:
    """All that may happen next in a state. Raises Violation where a promise is broken on the way."""

    def __init__(self, protocol: Protocol, bounds: Bounds) -> None:
        self.protocol = protocol
        self.bounds = bounds
        self.apply = cache(self._apply)

    def start(self) -> State:
        return State(ledger=self.protocol.ledger())

    def changes(self, state: State) -> Iterator[Change]:
        yield from self._environment(state)
        for place, process in enumerate(state.processes):
            if place < self.bounds.writers:
                yield from self._write(state, place, process)
            if place in self.bounds.readers:
                yield from self._ask(state, place, process)
                yield from self._read(state, place, process)
            if process.writer.step not in AT_REST or process != Process(writer=process.writer):
                yield f"{place} crashes", _with(state, place, self._crashed(process))

    def check_rest(self, state: State) -> None:
        """Where nothing is under way, nothing that may be served differs from the store."""
        ledger = state.ledger
        if ledger.pending or ledger.run != self._server(state).run:
            return
        if any(process.writer.step not in AT_REST for process in state.processes):
            return
        kept = [state.shared, *(value for one in state.processes for value in (one.memory, one.reading))]
        if any(value and value.version == ledger.version and value.content != state.store for value in kept):
            raise Violation("an old state stays")

    def normal(self, state: State) -> State:
        """Return one state for all that differ only in what makes no difference any more."""
        alive = self._alive(state)
        acknowledged = tuple(
            (write, tick if state.tick - tick < TRUST_SECONDS else 0, version)
            for write, tick, version in state.acknowledged
        )
        processes = tuple(self._normal(state, process, alive) for process in state.processes)
        shared = self._living(state.shared, alive)
        return replace(state, acknowledged=acknowledged, processes=processes, shared=shared)

    def _alive(self, state: State) -> frozenset[Version | None] | None:
        """Return the versions that anybody may still ask for; None: all, as Redis may yet return to an older state."""
        if state.faults < self.bounds.most_faults or not self.protocol.compares_versions:
            return None
        known = (one.known.version for one in state.processes if one.known)
        answered = (one.answer[1] for one in state.processes if one.answer)
        committed = (one.writer.version for one in state.processes)
        return frozenset({state.ledger.version, None, *known, *answered, *committed})

    def _living(self, value: Value | None, alive: frozenset[Version | None] | None) -> Value | None:
        return value if alive is None or value is None or value.version in alive else None

    def _normal(self, state: State, process: Process, alive: frozenset[Version | None] | None) -> Process:
        memory, reading = self._living(process.memory, alive), self._living(process.reading, alive)
        process = replace(process, memory=memory, reading=reading)
        known, is_moving = process.known, process.answer or process.writer.step == "committed"
        if known is None or is_moving:
            return process
        if not known.is_current(state.tick) and known.arrived < state.tick:
            return replace(process, known=None)
        is_settled = alive is not None and known.version.run == state.ledger.run == self._server(state).run
        return replace(process, known=replace(known, arrived=0 if is_settled else max(known.arrived, state.tick - 1)))

    # What happens to all.

    def _environment(self, state: State) -> Iterator[Change]:
        if state.tick < self.bounds.ticks and not any(self._must_hurry(state, one.writer) for one in state.processes):
            yield "tick", replace(state, tick=state.tick + 1)
        replaced = {"failover", "failback"} & {*self.bounds.faults}
        if replaced and state.copy is None and state.faults < self.bounds.most_faults:
            yield "replicate", replace(state, copy=(state.ledger, state.shared))
        if state.faults < self.bounds.most_faults:
            for fault in self.bounds.faults:
                if after := self._fault(state, fault):
                    yield fault, replace(after, faults=state.faults + 1)

    def _must_hurry(self, state: State, writer: Writer) -> bool:
        """A token is renewed in time, and a store write takes effect within its life."""
        if writer.step == "begun" and not (self.protocol.renews and self.protocol.begins):
            return False
        return writer.step in {"begun", "late"} and state.tick + 1 - writer.since >= self.bounds.life

    def _fault(self, state: State, fault: Fault) -> State | None:
        number, reign = state.server
        if fault == "restart":
            return replace(state, server=(number + 1, reign + 1))
        if fault == "flush":
            return replace(state, ledger=self.protocol.ledger(), shared=None)
        if state.copy is None:
            return None
        server = (number + (fault == "failover"), reign + 1)
        return replace(state, server=server, ledger=state.copy[0], shared=state.copy[1], copy=None)

    def _crashed(self, process: Process) -> Process:
        """Memory is lost; what was sent to the store may still arrive there."""
        step = process.writer.step
        late = step in {"begun", "late"}
        return Process(
            writer=process.writer if step in AT_REST else replace(process.writer, step="late" if late else "dead")
        )

    # The writer.

    def _write(self, state: State, place: int, process: Process) -> Iterator[Change]:
        writer, token = process.writer, f"w{place}"
        if writer.step == "idle":
            after = (
                self.apply("begin", state.ledger, self._server(state), token) if self.protocol.begins else state.ledger
            )
            begun = replace(process, writer=Writer("begun", state.tick))
            yield f"{place} begins", _with(replace(state, ledger=after), place, begun)
        elif writer.step == "begun":
            yield from self._store(state, place, process)
        elif writer.step == "late":
            landed = replace(state, store=state.store + 1)
            yield f"{place}'s late write lands", _with(landed, place, replace(process, writer=Writer("dead")))
            yield f"{place}'s late write is lost", _with(state, place, replace(process, writer=Writer("dead")))
        elif writer.step == "written":
            after = self.apply("commit", state.ledger, self._server(state), token)
            committed = Writer("committed", state.tick, writer.content, after.version)
            changed = _with(replace(state, ledger=after), place, replace(process, writer=committed))
            yield f"{place} commits", changed
        elif writer.step == "committed":
            yield f"{place} acknowledges", self._acknowledge(state, place, process)

    def _store(self, state: State, place: int, process: Process) -> Iterator[Change]:
        content, token = state.store + 1, f"w{place}"
        written = replace(process, writer=Writer("written", 0, content))
        yield f"{place} writes", _with(replace(state, store=content), place, written)
        abandoned = replace(state, ledger=self.apply("abandon", state.ledger, self._server(state), token))
        yield f"{place} abandons", _with(abandoned, place, replace(process, writer=Writer("dead")))
        if self.protocol.renews and self.protocol.begins and process.writer.since < state.tick:
            renewed = replace(state, ledger=self.apply("begin", state.ledger, self._server(state), token))
            yield f"{place} renews", _with(renewed, place, replace(process, writer=Writer("begun", state.tick)))
        if self.bounds.late:
            action = "begin" if self.protocol.keeps_token_of_failed else "commit"
            failed = replace(state, ledger=self.apply(action, state.ledger, self._server(state), token))
            yield f"{place}'s write fails", _with(failed, place, replace(process, writer=Writer("late", state.tick)))

    def _acknowledge(self, state: State, place: int, process: Process) -> State:
        writer = process.writer
        assert writer.version
        if self.protocol.learns_before_acknowledging and place in self.bounds.readers:
            if self.protocol.believes_commits:
                process = replace(process, known=None)
            sent = state.tick if self.protocol.believes_commits else writer.since
            process = self._learned(process, writer.version, sent, state.tick)
        done = replace(process, writer=Writer("done"), own=max(process.own, writer.content))
        acknowledged = (*state.acknowledged, (writer.content, state.tick, writer.version))
        return _with(replace(state, acknowledged=acknowledged), place, done)

    # What a process knows.

    def _ask(self, state: State, place: int, process: Process) -> Iterator[Change]:
        if process.answer is None:
            after = self.apply("refresh", state.ledger, self._server(state), "")
            asking = replace(process, answer=(state.tick, after.version))
            if not self.bounds.slow_answers:
                asking = self._learned(process, after.version, state.tick, state.tick)
            yield f"{place} asks", _with(replace(state, ledger=after), place, asking)
        else:
            sent, version = process.answer
            learned = self._learned(replace(process, answer=None), version, sent, state.tick)
            yield f"{place} is answered", _with(state, place, learned)

    def _learned(self, process: Process, version: Version, sent: int, now: int) -> Process:
        if process.known is None:
            return replace(process, known=self.protocol.known(version, sent, now))
        return replace(process, known=process.known.learned(version, sent, now))

    # The reader.

    def _read(self, state: State, place: int, process: Process) -> Iterator[Change]:
        known, held = process.known, process.reading
        is_current = known is not None and known.is_current(state.tick)
        if held and (held.version or is_current):
            value = replace(held, version=held.version or (known and known.version))
            yield (
                f"{place} keeps",
                _with(replace(state, shared=value), place, replace(process, reading=None, memory=value)),
            )
        elif known and not held and is_current:
            yield f"{place} reads", _with(state, place, self._serve(state, process, known.version))

    def _serve(self, state: State, process: Process, version: Version) -> Process:
        """Serve from the memory, else from Redis, else from the store; only the last takes time to be kept.

        Reading the version and asking the store are one step here: what the store says later is only newer.
        """
        for value in (process.memory, state.shared):
            if value and (value.version == version or not self.protocol.compares_versions):
                self._check(state, value, process, version)
                return replace(process, memory=value)
        computed = Value(version if self.protocol.reads_version_first else None, state.store)
        self._check(state, computed, process, version)
        return replace(process, reading=computed)

    def _check(self, state: State, value: Value, process: Process, version: Version) -> None:
        """What is served is not older than promised, nor than any version that it proves."""
        if value.content < process.own:
            raise Violation("less is served than this process acknowledged")
        for write, tick, acknowledged in state.acknowledged:
            if value.content < write and state.tick - tick >= TRUST_SECONDS:
                raise Violation("less is served than was acknowledged long ago")
            if value.content < write and proves(version.text, acknowledged.text):
                raise Violation("less is served than the version says")

    def _server(self, state: State) -> Server:
        return _server(state.server, state.tick, state.faults, self.bounds.life)

    def _apply(self, action: str, ledger: Ledger, server: Server, token: str) -> Ledger:
        if action == "refresh":
            return ledger.refresh(server)
        changes = {"begin": ledger.begin, "commit": ledger.commit, "abandon": ledger.abandon}
        return changes[action](server, token)


def explore(model: Model, most_states: int) -> int:
    """Visit every state that can be reached; returns their number. Raises Violation with the way that leads there."""
    start = model.start()
    origins: dict[State, Change | None] = {start: None}
    frontier = [start]
    for state in frontier:  # grows while it is walked: breadth first
        try:
            model.check_rest(state)
            for action, raw in model.changes(state):
                after = model.normal(raw)
                if after not in origins:
                    origins[after] = (action, state)
                    frontier.append(after)
        except Violation as violation:
            raise Violation(f"{violation}: {'; '.join(_way(origins, state))}") from None
        assert len(origins) < most_states, "the bounds are too wide"
    return len(origins)


def _way(origins: dict[State, Change | None], state: State) -> list[str]:
    way: list[str] = []
    while origin := origins[state]:
        way.append(origin[0])
        state = origin[1]
    return way[::-1]


def _with(state: State, place: int, process: Process) -> State:
    processes = state.processes
    return replace(state, processes=(process, processes[1]) if place == 0 else (processes[0], process))


@cache
def _server(server: tuple[int, int], tick: int, faults: int, life: int) -> Server:
    """Return the server now: it takes longer to lose what it knows than to raise a number."""
    return Server(run=f"{server[0]}/{server[1]}", micros=tick * 1_000_000 + faults * 1_000, token_ms=life * 1000)
