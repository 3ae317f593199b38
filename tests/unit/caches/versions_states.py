"""What the model of the versions is made of: a protocol, how far to look, and a state of all that takes part."""

from typing import Final, Literal

from msgspec import Struct

from service.caches.versions import Known, Ledger, Version

Fault = Literal["restart", "flush", "failover", "failback"]
Step = Literal["idle", "begun", "late", "written", "committed", "done", "dead"]
AT_REST: Final = frozenset({"idle", "done", "dead"})


class Protocol(Struct, frozen=True):
    """The protocol as it is; a mutant lacks one step."""

    ledger: type[Ledger] = Ledger
    known: type[Known] = Known
    begins: bool = True
    renews: bool = True
    keeps_token_of_failed: bool = True
    learns_before_acknowledging: bool = True
    reads_version_first: bool = True
    compares_versions: bool = True
    believes_commits: bool = False
    """Whether a commit replaces what was answered meanwhile, and counts as asked for when it is answered."""


class Bounds(Struct, frozen=True):
    """How far to look."""

    ticks: int
    faults: tuple[Fault, ...] = ()
    most_faults: int = 0
    writers: int = 2
    readers: tuple[int, ...] = (0, 1)
    """The processes that read."""
    life: int = 1
    """Of a token, in ticks of a second."""
    slow_answers: bool = False
    """Whether answers of Redis may be on their way while other things happen."""
    late: bool = False
    """Whether the store may fail a write and do it later all the same."""


class Value(Struct, frozen=True):
    """What is cached: which of the writes it shows, and its label."""

    version: Version | None
    content: int


class Writer(Struct, frozen=True):
    step: Step = "idle"
    since: int = 0
    """Tick of the token's last renewal; of a commit, when it was sent."""
    content: int = 0
    version: Version | None = None


class Process(Struct, frozen=True):
    known: Known | None = None
    answer: tuple[int, Version] | None = None
    """Of a refresh, on its way back: when it was asked for."""
    memory: Value | None = None
    reading: Value | None = None
    """What the store told a reader, who has yet to keep it."""
    writer: Writer = Writer()
    own: int = 0
    """The last write that this process acknowledged."""


class State(Struct, frozen=True):
    tick: int = 1
    store: int = 0
    server: tuple[int, int] = (1, 1)
    """Its id and its reign."""
    ledger: Ledger = Ledger()
    shared: Value | None = None
    copy: tuple[Ledger, Value | None] | None = None
    """What a replica has, which may take over."""
    faults: int = 0
    acknowledged: tuple[tuple[int, int, Version], ...] = ()
    """Write, tick and version."""
    processes: tuple[Process, ...] = (Process(), Process())


class Violation(Exception):
    """Something was served that must not be."""
