"""Write a sync plugin for Outrigger in Python: one file, the standard library, Python 3.9 or later.

Derive from `Plugin`, and end with `sys.exit(outrigger.serve(MyPlugin()))`. A broker starts the
program, in a process and a sandbox of its own, and calls it. A whole plugin on one screen is in the
README beside this file.

What it promises: one thread, and no other is needed. Every call is answered exactly once, with what
the method returns; an exception is an error answer, and the process stays usable. Calls come in the
order of a sink's life and in no other. Standard output and standard error are the log of the plugin,
never the protocol. Secrets are not shown by `repr`, and not in what is logged or answered as an error.

Licensed under MIT or Apache-2.0, at your choice. Copy it into your project if you like.
"""
from __future__ import annotations

import base64
import contextlib
import enum
import errno
import functools
import hashlib
import hmac
import json
import os
import re
import select
import socket
import stat
import struct
import sys
import time
import traceback
import uuid
from collections import deque
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Callable, Optional, Sequence, Union, get_args, get_origin, get_type_hints

__version__ = "0.1.0"
PROTOCOL = (0, 9)
_PROTOCOLS = [{"major": PROTOCOL[0], "minor": PROTOCOL[1]}]
MAIN_SINK = ""  # what the main sink is called where a method takes a sink's name
MAX_CONTENT = 720 << 10  # of one item, in bytes: as base64 it still fits a frame

# ---------------------------------------------------------------- what is said


class Code(enum.IntEnum):
    """Why something failed. Others may come in later versions."""

    (CANCELLED, DEADLINE, IDLE_TIMEOUT, DISCONNECTED, OVERLOADED, QUOTA, TOO_LARGE, UNIMPLEMENTED, INVALID,
     INVALID_STATE, NOT_FOUND, EXISTS, PRECONDITION, CONFLICT, PERMISSION, AUTH, BUSY, SLOW_SYNC, FORMAT, IO,
     REMOTE, PANIC, INTERNAL, FULL, READ_ONLY) = range(1, 26)


class Blame(enum.Enum):
    CALLER, PLUGIN, MEMBER, BROKER, CONFIGURATION = "Caller", "Plugin", "Member", "Broker", "Configuration"


class Effect(enum.Enum):
    NOT_STARTED, DONE, PARTIAL, UNKNOWN = "NotStarted", "Done", "Partial", "Unknown"


class Level(enum.Enum):
    ERROR, WARN, INFO, DEBUG = "Error", "Warn", "Info", "Debug"


class AskKind(enum.Enum):
    PASSWORD, TEXT, CHOICE, CONFIRM = "Password", "Text", "Choice", "Confirm"


class Verdict(enum.Enum):
    SAME, SIMILAR, DIFFERENT = "Same", "Similar", "Different"


class CommitKind(enum.Enum):
    CREATE, UPDATE, DELETE = "Create", "Update", "Delete"


class Dedupe(enum.Enum):
    """How a create that comes a second time under its operation is recognised, after a lost answer."""

    TOKEN = "token"  # the operation is kept in one transaction with the item
    CONDITIONAL = "conditional"  # the name of an item follows from its key: the second meets the first
    LOOKUP = "lookup"  # not at all, but an item can be found by its key: the engine looks first
    NONE = "none"  # not at all


class ChangeKind(enum.Enum):
    UNKNOWN, ADDED, UNMODIFIED, DELETED, MODIFIED, UNREADABLE = (
        "Unknown", "Added", "Unmodified", "Deleted", "Modified", "Unreadable")


NEVER: Any = "Never"  # for Error.retry
WITH_FIX: Any = "WithFix"  # when somebody has mended what the message names


def after(seconds: float) -> Any:
    """For Error.retry: try again then."""
    return {"After": max(0, min(int(seconds * 1000), 0xFFFFFFFF))}


class Secret:
    """A password: not shown by `repr`, `str` or formatting. `expose()` gives it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def expose(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"


@dataclass
class Cause:
    code: int
    message: str


@dataclass(eq=False)
class Error(Exception):
    """How a call, or one item of it, fails. Raise it, or give it as the outcome of an item."""

    code: int
    message: str
    blame: Blame = Blame.PLUGIN
    effect: Effect = Effect.NOT_STARTED  # what became of the thing asked for
    retry: Any = NEVER
    causes: list[Cause] = field(default_factory=list)
    ext: dict[int, bytes] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


@dataclass
class MemberObjectType:
    object_type: str
    slow_sync: bool
    anchor: Optional[bytes] = None


@dataclass
class Member:
    """The member that the plugin serves, as it was when the call began."""

    object: int
    name: str
    generation: int
    options: list[tuple[str, str]]
    object_types: list[MemberObjectType]
    ext: dict[int, bytes] = field(default_factory=dict)

    def option(self, name: str, default: Optional[str] = None) -> Optional[str]:
        """A setting, as text."""
        return next((value for key, value in self.options if key == name), default)


@dataclass
class Group:
    object: int
    name: str
    generation: int
    members: list[str]
    object_types: list[str]
    conflict: str
    last_run: Optional[int] = None  # seconds since 1970
    ext: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Initialize:
    member: Member
    group: Group
    secrets: list[tuple[str, Secret]] = field(default_factory=list)

    def secret(self, name: str) -> Optional[Secret]:
        return next((value for key, value in self.secrets if key == name), None)


@dataclass
class CreateCollection:
    operation: uuid.UUID  # the same on every retry, also in a later run
    name: str
    object_types: list[str]


@dataclass
class Connect:
    slow_sync: bool
    read_only: bool  # nothing may be written before `disconnect`, not even a repair
    anchor: Optional[bytes] = None


@dataclass
class ConnectDone:
    slow_sync: bool


@dataclass
class Connected:
    slow_sync: bool = False  # the anchor means nothing any more: compare everything


@dataclass
class GetChanges:
    slow_sync: bool  # list everything, whatever the anchor
    anchor: Optional[bytes] = None


@dataclass
class ListingEnd:
    """How a listing ended. What a complete one lacks is taken for deleted: say False whenever
    anything could not be looked at."""

    complete: bool
    anchor: Optional[bytes] = None


@dataclass
class Change:
    """One entry of a listing, without content. The revision changes whenever the content does; it is
    `settled` unless a later change might leave it the same (a clock that ticks slowly)."""

    href: bytes
    revision: bytes
    object_type: str
    format: str
    kind: ChangeKind = ChangeKind.UNKNOWN  # it is there; whether it changed is for the engine to tell
    settled: bool = True
    ext: dict[int, bytes] = field(default_factory=dict)

    def with_checkpoint(self, anchor: bytes) -> "Change":
        """Marks that `anchor` stands for the feed up to and with this change: where the listing fails
        behind it, the next one goes on from there."""
        self.ext[2] = anchor
        return self


@dataclass
class ReadItem:
    href: bytes
    known: Optional[bytes] = None  # SHA-256 of what the reader has; `ReadSink` looks at it for you


_HERE: Any = {"wire": False}  # does not travel


@dataclass
class Item:
    """Content that was read: `data`, or `value` in a format that the plugin registered."""

    revision: bytes
    format: str
    data: bytes = b""
    settled: bool = True
    value: Any = field(default=None, metadata=_HERE)


@dataclass
class NotModified:
    revision: bytes
    settled: bool = True


@dataclass
class NotFound:
    """Nothing of this name is there: evidence of a deletion, so be sure."""


@dataclass
class _ReadResult:
    index: int
    outcome: Union[Item, NotModified, NotFound, Error]


@dataclass
class CommitItem:
    """One write, on condition: the item must be at revision `expected` (update, delete), or its
    content must have `expected_digest`. If not, answer PRECONDITION (or EXISTS) and write nothing."""

    operation: uuid.UUID  # the same on every retry of this write
    kind: CommitKind
    href: bytes  # empty for a create: the member chooses
    expected: Optional[bytes]
    expected_digest: Optional[bytes]
    key: bytes  # the same across members: the UID of a vCard
    object_type: str
    format: str
    digest: bytes  # SHA-256 of `data`; of what a read will give, in a format that was registered
    data: bytes
    value: Any = field(default=None, metadata=_HERE)  # demarshalled `data`


@dataclass
class Done:
    """The write is done and durable. `digest` is that of what is stored (None: read it back)."""

    href: bytes
    revision: bytes
    settled: bool = True
    digest: Optional[bytes] = None


@dataclass
class _CommitResult:
    operation: uuid.UUID
    outcome: Union[Done, Error]


@dataclass
class Collection:
    """A collection that the member offers. Collections of different members pair by name."""

    name: str
    object_types: list[str] = field(default_factory=list)  # empty: any
    formats: list[str] = field(default_factory=list)  # best first; empty: any
    read_only: bool = False
    store: Optional[bytes] = None  # another identity means that nothing missing was deleted
    unavailable: Optional[Error] = None
    object: int = 0  # given by the SDK, as is `ext`
    ext: dict[int, bytes] = field(default_factory=dict)
    dedupe: Optional[Dedupe] = field(default=None, metadata=_HERE)  # None: as CONDITIONAL


@dataclass
class SrvRecord:
    """Where a service is: the lowest `priority` first, among those a larger share for a larger `weight`. An empty
    `target`: the service is decidedly not there."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass
class _TxtRecord:
    data: bytes


@dataclass
class MemberUpdated:
    applied: bool  # if not, the member had changed meanwhile: look at it, and decide again
    member: Member


@dataclass(frozen=True)
class Format:
    """A format in which items are values of the plugin's own. They cross as bytes: `marshal` makes
    them, `demarshal` takes them apart (ValueError: it cannot be), and `demarshal(marshal(x)) == x`
    must hold, which is looked at each time. `compare` says whether two values mean the same; by default,
    whether they are equal."""

    name: str
    marshal: Callable[[Any], bytes]
    demarshal: Callable[[bytes], Any]
    compare: Optional[Callable[[Any, Any], Verdict]] = None

    def pack(self, value: Any) -> bytes:
        try:
            data = self.marshal(value)
        except (ValueError, KeyError, IndexError) as error:
            raise Error(Code.FORMAT, f"{self.name}: {error}", Blame.MEMBER) from error
        if self.unpack(data) != value:
            raise Error(Code.FORMAT, f"{self.name}: demarshal(marshal(x)) is not x")
        return data

    def unpack(self, data: bytes) -> Any:
        try:
            return self.demarshal(data)
        except (ValueError, KeyError, IndexError) as error:
            raise Error(Code.FORMAT, f"{self.name}: {error}", Blame.CALLER) from error


# ---------------------------------------------------------------- codec 2: JSON

_MAX_BODY, _MAX_LIST, _MAX_DEPTH, _MAX_INT = 1 << 20, 1 << 16, 16, 1 << 53
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class _Malformed(ValueError):
    pass


@functools.lru_cache(maxsize=None)
def _plan(cls: Any) -> tuple[tuple[str, Any, bool], ...]:
    """The fields that travel: name, type, and whether they must be there."""
    if isinstance(cls, tuple):
        return tuple((name, hint, True) for name, hint in cls)
    hints = get_type_hints(cls)
    return tuple((f.name, hints[f.name], f.default is MISSING and f.default_factory is MISSING)
                 for f in fields(cls) if f.metadata.get("wire", True))


@functools.lru_cache(maxsize=None)
def _variants(hint: Any) -> dict[str, type]:
    """The alternatives of a Union by name; none for Optional."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] if get_origin(hint) is Union else []
    return {"Failed" if kind is Error else kind.__name__: kind for kind in kinds} if len(kinds) > 1 else {}


def _to_json(value: Any, hint: Any = Any) -> Any:
    """TypeError: not of the type `hint`, which the broker would take for a broken plugin."""
    variants, args = _variants(hint), get_args(hint)
    if type(None) in args:
        return None if value is None else _to_json(value, args[0])
    plain = hint in (bytes, str, int, bool) or is_dataclass(hint) or isinstance(hint, enum.EnumMeta)
    if plain and (not isinstance(value, hint) or isinstance(value, bool) and hint is int):
        raise TypeError(f"{_short(repr(value), 50)} stands where {hint.__name__} belongs")
    if is_dataclass(value):
        tree: Any = {name: _to_json(getattr(value, name), kind) for name, kind, _ in _plan(type(value))}
        tag = next((name for name, kind in variants.items() if isinstance(value, kind)), None)
        if not variants or tag:
            return tree if tag is None else {tag: tree} if tree else tag
    if variants:
        raise TypeError(f"{_short(repr(value), 50)} is none of " + ", ".join(variants))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_to_json(one, args[0] if get_origin(hint) is list else Any) for one in value]
    if isinstance(value, dict):
        return {str(key): _to_json(one) for key, one in value.items()}
    return str(value) if isinstance(value, uuid.UUID) else value


def _encode(value: Any) -> bytes:
    """A body. None is no byte at all."""
    if value is None:
        return b""
    return json.dumps(_to_json(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise _Malformed("a key stands twice")
    return tree


def _number(digits: str) -> int:
    if len(digits) > 17:
        raise _Malformed("a number above 2^53")
    return int(digits)


def _constant(text: str) -> Any:
    raise _Malformed(f"{text} is not JSON")


def _parse(body: bytes) -> Any:
    """One JSON text of a peer. Costs memory in proportion to its length, whatever stands in it."""
    depth = deepest = 0
    for bracket in re.findall(rb"[][{}]", _STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > _MAX_DEPTH:
        raise _Malformed(f"nested deeper than {_MAX_DEPTH}")
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_int=_number, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise _Malformed(_short(str(error))) from None


def _decode(hint: Any, body: bytes) -> Any:
    """A value of the type `hint` (None: nothing) from all of `body`."""
    if hint is None or not body:
        if hint is None and not body:
            return None
        raise _Malformed("a body where there is none" if body else "the body is empty")
    return _from_json(hint, _parse(body))


def _from_json(hint: Any, tree: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return tree
    if origin is Union:
        return _from_union(hint, args, tree)
    if origin is list and isinstance(tree, list) and len(tree) <= _MAX_LIST:
        return [_from_json(args[0], one) for one in tree]
    if origin is tuple and isinstance(tree, list) and len(tree) == len(args):
        return tuple(_from_json(kind, one) for kind, one in zip(args, tree))
    if origin is dict and isinstance(tree, dict) and len(tree) <= 64:
        return {int(key): _from_json(bytes, one) for key, one in tree.items() if key.isdecimal() and len(key) < 6}
    if hint is int and type(tree) is int and 0 <= tree <= _MAX_INT or hint in (str, bool) and type(tree) is hint:
        return tree
    if (is_dataclass(hint) or isinstance(hint, tuple)) and isinstance(tree, dict):
        return _from_object(hint, tree)
    if isinstance(hint, type) and isinstance(tree, str):
        try:
            if hint is bytes:
                return base64.b64decode(tree, validate=True)
            if hint in (uuid.UUID, Secret) or issubclass(hint, enum.Enum):
                return hint(tree)
        except ValueError:
            pass
    raise _Malformed(f"not a {getattr(hint, '__name__', hint)}")


def _from_union(hint: Any, args: Any, tree: Any) -> Any:
    variants = _variants(hint)
    if not variants:
        return None if tree is None else _from_json(args[0], tree)
    pairs = [(tree, {})] if isinstance(tree, str) else list(tree.items()) if isinstance(tree, dict) else []
    if len(pairs) != 1 or pairs[0][0] not in variants:
        raise _Malformed("none of " + ", ".join(variants))
    return _from_json(variants[pairs[0][0]], pairs[0][1])


def _from_object(cls: Any, tree: dict[str, Any]) -> Any:
    plan, kind = _plan(cls), getattr(cls, "__name__", "the body")
    unknown = tree.keys() - {name for name, _, _ in plan}
    if unknown:
        raise _Malformed(f"{kind}: unknown key {_short(repr(min(unknown)))}")
    values = {}
    for name, hint, required in plan:
        if name in tree:
            values[name] = _from_json(hint, tree[name])
        elif required and type(None) in get_args(hint):
            values[name] = None
        elif required:
            raise _Malformed(f"{kind}: the key {name} is missing")
    return values if isinstance(cls, tuple) else cls(**values)


def _short(text: str, most: int = 200) -> str:
    """The front of a text that may quote a peer, without what draws on a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:most])


# ---------------------------------------------------------------- the connection

_PREFACE, _HEADER = b"OUTRGR\r\n", struct.Struct("<IBBBBQIHHI")
_HELLO, _HELLO_OK, _PROOF, _REFUSED = range(1, 5)
_CALL, _REPLY, _ERROR, _CANCEL, _PROGRESS = range(16, 21)
_STREAM_OPEN, _DATA, _CREDIT, _STREAM_END, _STREAM_RESET = range(32, 37)
_LOG, _SNAPSHOT, _NOTIFY = range(48, 51)
_PING, _PONG, _GOODBYE, _GOODBYE_OK, _ABORT, _UNIMPLEMENTED = range(64, 70)
_KINDS = {*range(1, 5), *range(16, 21), *range(32, 37), *range(48, 51), *range(64, 70)}
_CRITICAL, _NESTED, _SECRET = 1, 2, 4
_MAX_REPLY = 64 << 10  # bytes of an answer, if its method has no more
_MAX_FDS, _MAX_HANDLES = 253, 64  # descriptors that one message can bring; that wait for their frames
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_MAX_CALLS, _CALL_BYTES, _MAX_DATA, _MAX_ITEM, _HIGH_WATER = 64, 4 << 20, 64 << 10, 1 << 20, 128 << 10
_PATIENCE = 60.0  # with a broker that does not read what it asked for; seconds
_LIMITS = {"max_body": _MAX_BODY, "max_calls": _MAX_CALLS, "call_bytes": _CALL_BYTES, "max_streams": 0,
           "stream_window": 256 << 10, "connection_window": 4 << 20, "dispatch_window": 1,  # one thread
           "max_instances": 1}


class ConnectionBroken(Exception):
    """The connection to the broker could not be made, or ended otherwise than by a goodbye."""


class _PeerError(Exception):
    """The broker broke a rule of the protocol: the connection ends."""


@dataclass
class _Call:
    id: int
    target: int
    method: int
    total: Optional[float]
    body: bytes = field(repr=False)  # may hold secrets


def _frame(kind: int, id: int = 0, body: bytes = b"", target: int = 0, method: int = 0, flags: int = 0,
           ext: bytes = b"", budget: int = 0) -> bytes:
    length = len(ext) + len(body)
    return _HEADER.pack(length, kind, flags, 0, 0, id, target, method, len(ext), budget) + ext + body


def _must_understand(ext: bytes) -> Optional[int]:
    """The first entry that has to be understood and is not (none is known)."""
    at, last, unknown = 0, -1, None
    while at < len(ext):
        tag, length = struct.unpack_from("<HH", ext, at) if at + 4 <= len(ext) else (-1, 0)
        at += 4 + length
        if tag <= last or at > len(ext):
            raise _PeerError("malformed extension entries")
        last, unknown = tag, tag if unknown is None and tag % 2 else unknown
    return unknown


class _Link:
    """The broker's end and ours. Only `turn` reads and writes; nothing happens in the background."""

    def __init__(self, sock: socket.socket, peer: dict[str, Any]) -> None:
        sock.setblocking(False)
        self.sock, self.poll, self.inbox, self.out = sock, select.poll(), bytearray(), bytearray()
        self.max_body = min(peer["max_body"], _MAX_BODY)
        self.idle: dict[int, float] = peer["idle"]  # how long calls of a method may stay silent, where not as usual
        self.stream_window, self.data_limit, self.data_sent = peer["stream_window"], peer["connection_window"], 0
        self.next, self.highest = 2, 0  # our next number, and the broker's last
        self.queue: deque[_Call] = deque()
        self.running: Optional[_Call] = None
        self.cancelled = False
        self.goodbye: Optional[int] = None  # once heard: the last call of ours that was accepted
        self.stream: Optional[_Stream] = None
        self.asked = 0  # the one call of ours that is open
        self.answer: Optional[tuple[bool, bytes, Optional[int]]] = None
        self.room = 0  # for the answer to it: bytes
        self.wants = 0  # descriptors that come with it
        self.passes: bool = peer["handles"]  # whether descriptors come at all
        self.came = 0  # bytes in all
        self.arrived: deque[tuple[int, int, int]] = deque()  # descriptors, and which bytes came with each
        self.snapshots: dict[type, Any] = {}
        self.broken: Optional[ConnectionBroken] = None

    def turn(self, wait: Optional[float]) -> None:
        """Writes what waits and takes in what has come; waits at most `wait` seconds for either."""
        if self.broken:
            return
        try:
            self.poll.register(self.sock, select.POLLIN | (select.POLLOUT if self.out else 0))
            for _, event in self.poll.poll(None if wait is None else max(0.0, wait) * 1000):
                if self.out and event & select.POLLOUT:
                    del self.out[:self.sock.send(self.out)]
                if event & ~select.POLLOUT:
                    self._take(self._receive() if self.passes else self.sock.recv(_MAX_DATA))
        except BlockingIOError:
            pass
        except (_PeerError, _Malformed) as error:
            self._abort(_short(str(error), 1000))
        except OSError as error:
            self.broken = ConnectionBroken(f"the connection broke: {error}")
        finally:
            if self.broken:
                self._close_arrived()

    def _receive(self) -> bytes:
        """Bytes, with the descriptors that came with them. There is room for all that one message can bring: if
        some are lost, this process may have no more."""
        data, beside, flags, _ = self.sock.recvmsg(_MAX_DATA, socket.CMSG_LEN(_MAX_FDS * 4), _CLOEXEC)
        numbers = [number for level, kind, cut in beside if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                   for number, in struct.iter_unpack("@i", cut[:len(cut) // 4 * 4])]
        self.arrived.extend((self.came, self.came + len(data), number) for number in numbers)
        self.came += len(data)
        if flags & socket.MSG_CTRUNC:
            raise OSError("descriptors were lost on their way in: this process may not open any more")
        if len(self.arrived) > _MAX_HANDLES:
            raise _PeerError("descriptors: more than any frame announces")
        return data

    def _claim(self, handles: int, kind: int, id: int) -> Optional[int]:
        """The descriptor of the frame that is first in the inbox: it began in the read that brought it."""
        begins = self.came - len(self.inbox)
        if self.arrived and self.arrived[0][1] <= begins:
            raise _PeerError("descriptors: more than the frames say")
        wanted = self.wants if kind == _REPLY and id == self.asked else handles
        if handles != wanted or handles > 1 or handles and kind != _REPLY:
            raise _PeerError("descriptors: with a frame that carries none, or too few, or too many")
        if not handles:
            return None
        if not self.arrived or self.arrived[0][0] > begins:
            raise _PeerError("descriptors: fewer than the frame says")
        return self.arrived.popleft()[2]

    def _close_arrived(self) -> None:
        while self.arrived:
            os.close(self.arrived.popleft()[2])

    def forget(self) -> None:
        """Nobody waits for an answer any more: what came with one is closed."""
        if self.answer and self.answer[2] is not None:
            os.close(self.answer[2])
        self.asked, self.answer, self.wants = 0, None, 0

    def _take(self, data: bytes) -> None:
        if not data:
            self.broken = ConnectionBroken("the broker closed the connection")
        self.inbox += data
        while len(self.inbox) >= _HEADER.size and not self.broken:
            length, kind, flags, handles, zero, id, target, method, ext_len, budget = _HEADER.unpack_from(self.inbox)
            if zero or ext_len > length:
                raise _PeerError("malformed frame header")
            if handles and not self.passes:
                raise _PeerError("descriptors: on a connection without that feature")
            if length > _MAX_BODY:
                raise _PeerError(f"a frame of {length} bytes, above the limit of {_MAX_BODY}")
            end, split = _HEADER.size + length, _HEADER.size + ext_len
            if len(self.inbox) < end:
                return
            handle = self._claim(handles, kind, id)
            head, ext, body = (bytes(self.inbox[a:b]) for a, b in ((0, 28), (28, split), (split, end)))
            if flags & _SECRET:
                self.inbox[28:end] = bytes(length)
            del self.inbox[:end]
            try:
                if len(self.out) > 4 << 20:
                    raise _PeerError("it does not read what it asked for")
                self._arrived(kind, flags, id, target, method, ext, body, budget, head)
                if self.answer and handle is not None and self.answer[2] is None:
                    self.answer, handle = (*self.answer[:2], handle), None
            finally:
                if handle is not None:  # of a late answer
                    os.close(handle)
        if self.arrived and not self.inbox:
            raise _PeerError("descriptors: more than the frames say")

    def _abort(self, reason: str) -> None:
        self.broken = ConnectionBroken(f"the broker broke the protocol: {reason}")
        try:
            self.sock.send(self.out + _frame(_ABORT, body=_encode({"reason": reason})))
        except OSError:
            pass  # it is over in any case

    def flush(self) -> None:
        """Writes all that waits, and takes in meanwhile what comes: two ends never wait for each other."""
        until = time.monotonic() + _PATIENCE
        while self.out and not self.broken:
            self.turn(until - time.monotonic())
            if time.monotonic() > until:
                self.broken = ConnectionBroken("the broker does not read")

    def keep(self, snapshot: Union[Member, Group]) -> None:
        """What an object is now, until no call is at work."""
        known = self.snapshots.get(type(snapshot))
        if known is None or snapshot.object != known.object or snapshot.generation > known.generation:
            self.snapshots[type(snapshot)] = snapshot

    def number(self) -> int:
        self.next += 2
        return self.next - 2

    def send(self, kind: int, id: int, body: bytes = b"", **more: Any) -> None:
        self.out += _frame(kind, id, body, **more)

    def fail(self, id: int, code: int, message: str) -> None:
        self.send(_ERROR, id, _encode(Error(code, message, Blame.CALLER)))

    def _arrived(self, kind: int, flags: int, id: int, target: int, method: int, ext: bytes, body: bytes,
                 budget: int, head: bytes) -> None:
        if kind not in _KINDS:  # from a later version, whatever its extension entries are
            if flags & _CRITICAL:
                self.send(_UNIMPLEMENTED, 0, head)
            return
        unknown = _must_understand(ext)
        if kind == _CALL:
            return self._called(_Call(id, target, method, budget / 1000, body), flags, budget, unknown)
        if unknown is not None:
            raise _PeerError("malformed extension entries")
        if kind in (_REPLY, _ERROR):
            self._ours(id)
            if id == self.asked:  # otherwise late: we gave it up
                if len(ext) + len(body) > self.room:
                    raise _PeerError(f"an answer of {len(ext) + len(body)} bytes, above the limit of {self.room}")
                self.asked, self.answer = 0, (kind == _REPLY, body, None)
        elif kind == _CANCEL:
            self._cancel(id)
        elif kind == _CREDIT:
            self._credit(id, body)
        elif kind == _STREAM_RESET:
            self._ours(id)
            if self.stream and self.stream.id == id:
                self.stream.reset = True
        elif kind == _SNAPSHOT:
            self.keep(_decode(Union[Member, Group], body))
        elif kind == _PING:
            self.send(_PONG, id)
        elif kind == _GOODBYE and self.goodbye is None:
            self.goodbye = _decode((("last_accepted", int),), body)["last_accepted"]
        elif kind == _ABORT:
            self.broken = ConnectionBroken("the broker aborted: " + _short(str(_decode(Any, body)), 1000))
        elif kind == _STREAM_OPEN:
            raise _PeerError("more open streams than announced")
        elif kind in (_HELLO, _HELLO_OK, _PROOF, _REFUSED, _GOODBYE, _GOODBYE_OK):
            raise _PeerError(f"a frame of kind {kind} that has no place here")

    def _called(self, call: _Call, flags: int, budget: int, unknown: Optional[int]) -> None:
        if call.id % 2 == 0 or call.id <= self.highest or self.goodbye is not None:
            raise _PeerError(f"number {call.id} is not a new number of that side")
        self.highest = call.id
        open_calls = [*self.queue, *([self.running] if self.running else [])]
        if len(open_calls) >= _MAX_CALLS or sum(len(one.body) for one in open_calls) > _CALL_BYTES + _MAX_BODY:
            raise _PeerError("more unanswered calls than announced")
        method = _METHODS.get(call.method)
        call.total = None if budget == 0xFFFFFFFF else call.total
        if unknown is not None:
            self.fail(call.id, Code.UNIMPLEMENTED, f"extension {unknown} must be understood and is not")
        elif budget == 0:
            self.fail(call.id, Code.DEADLINE, "no time was left when the call arrived")
        elif flags & _NESTED and open_calls:
            self.fail(call.id, Code.BUSY, "the instance works on a call")
        elif method and method.barrier and any(
                one.target == call.target or method.name == "finalize" for one in open_calls):
            self.fail(call.id, Code.INVALID_STATE, f"{method.name}: other calls are not answered yet")
        else:
            self.queue.append(call)

    def _cancel(self, id: int) -> None:
        if id % 2 == 0 or id > self.highest:
            raise _PeerError(f"call {id} was never issued")
        if self.running and self.running.id == id:
            self.cancelled = True
        for call in [call for call in self.queue if call.id == id]:
            self.queue.remove(call)
            self.fail(id, Code.CANCELLED, "cancelled before it was started")

    def _credit(self, id: int, body: bytes) -> None:
        if len(body) != 24:
            raise _PeerError("the body of CREDIT is not 24 bytes")
        stream, connection, _ = struct.unpack("<QQQ", body)
        self.data_limit = max(self.data_limit, connection)
        if id:
            self._ours(id)
        if self.stream and self.stream.id == id:
            self.stream.limit = max(self.stream.limit, stream)

    def _ours(self, id: int) -> None:
        if id % 2 or not 0 < id < self.next:
            raise _PeerError(f"number {id} was never issued")


# ---------------------------------------------------------------- one call, seen from the plugin


class _Stream:
    """Items on their way to the broker, under byte credit."""

    def __init__(self, context: Context) -> None:
        link = context._link
        self.context, self.link, self.id, self.queue = context, link, link.number(), bytearray()
        self.items, self.sent, self.limit, self.reset = 0, 0, link.stream_window, False
        self.looked = time.monotonic()
        link.send(_STREAM_OPEN, self.id, _encode({"call": context._call.id, "kind": "Items"}))
        link.stream = self

    def push(self, item: Any) -> None:
        if self.link.stream is not self:
            raise Error(Code.INVALID_STATE, "the call is over")
        data = _encode(item)
        if len(data) > _MAX_ITEM:
            raise Error(Code.TOO_LARGE, f"an item of {len(data)} bytes, above the limit of {_MAX_ITEM}")
        self.queue += struct.pack("<I", len(data)) + data
        self.items += 1
        if len(self.queue) >= _HIGH_WATER // 2 or time.monotonic() - self.looked > 0.005:
            self.pump(_HIGH_WATER)

    def pump(self, most: int) -> None:
        """Sends what credit allows; waits until at most `most` bytes are left."""
        wait = 0.0
        while True:
            self.looked = time.monotonic()
            self.context._look(wait)
            if self.reset:
                raise Error(Code.CANCELLED, "the broker wants no more", Blame.CALLER)
            link = self.link
            room = min(_MAX_DATA, self.limit - self.sent, link.data_limit - link.data_sent)
            if self.queue and room > 0 and len(link.out) < _HIGH_WATER:
                link.send(_DATA, self.id, bytes(self.queue[:room]))
                length = min(room, len(self.queue))
                del self.queue[:length]
                self.sent += length
                link.data_sent += length
                wait = 0.0
            elif len(self.queue) <= most:
                return
            else:
                wait = self.context.time_left()

    def end(self) -> None:
        self.pump(0)
        self.link.send(_STREAM_END, self.id, _encode({"items": self.items, "bytes": self.sent}))


class Context:
    """What a plugin can do while it works on a call. Nobody reads the connection while a method works,
    so look often: every method of this class does, and raises `Error` when the caller gave up, the
    call's time is over or the connection ended. Let that error pass."""

    def __init__(self, server: _Server, call: _Call) -> None:
        self._server, self._link, self._call = server, server.link, call
        method = _METHODS.get(call.method)
        total = call.total if call.total is not None else method.total if method else 60.0
        self._deadline = time.monotonic() + total
        self.member, self.group = server.member, server.group  # None until `initialize` has come

    def is_cancelled(self) -> bool:
        """Whether to stop: the caller gave up, or the time is over."""
        try:
            self._look()
        except Error:
            return True
        return False

    def time_left(self) -> float:
        """Seconds."""
        return max(0.0, self._deadline - time.monotonic())

    def idle(self) -> float:
        """How long the call may stay silent before the broker gives it up, whatever time is left: seconds. Signs
        of life are `progress`, `waiting`, a push, a question to the engine; half of this is a good interval."""
        method = _METHODS.get(self._call.method)
        return self._link.idle.get(self._call.method, method.idle if method else 60.0)

    def progress(self, done: int, total: Optional[int] = None) -> None:
        """Says how far the work is, in items. A call that shows no life for `idle()` seconds is given up."""
        total = total if total is None else max(0, int(total))
        self._tell({"done": max(0, int(done)), "total": total, "waiting_ms": 0})

    def waiting(self, seconds: float) -> None:
        """Says that nothing can happen for so long (a rate limit)."""
        self._tell({"done": 0, "total": None, "waiting_ms": max(0, min(int(seconds * 1000), 0xFFFFFFFF))})

    def _tell(self, progress: dict[str, Any]) -> None:
        self._link.send(_PROGRESS, self._call.id, _encode(progress))
        self._look()

    def log(self, level: Level, message: str) -> None:
        """A line for the broker's log."""
        self._link.send(_LOG, 0, _encode({"level": level, "message": self._server.plain(message)}))
        self._look()

    def notify(self, sink: Optional[str] = None) -> None:
        """Says that something changed in a sink; by default, in any."""
        self._link.send(_NOTIFY, 0, target=self._server.object_of(sink))
        self._look()

    def ask(self, kind: AskKind, prompt: str, choices: Sequence[str] = ()) -> Secret:
        """Asks the user. The answer is one of `choices` (CHOICE), or `yes` or `no` (CONFIRM). Errors:
        CANCELLED (declined), DEADLINE (nobody answered), UNIMPLEMENTED or PERMISSION (nobody is there)."""
        request = {"kind": kind, "prompt": prompt, "choices": list(choices)}
        text: Secret = self._ask(34, request, (("text", Secret),), 120, _MAX_REPLY)["text"]
        if kind in (AskKind.PASSWORD, AskKind.TEXT):
            self._server.keep(text)
        return text

    def update_member(self, operation: uuid.UUID, set: Sequence[tuple[str, str]] = (),
                      unset: Sequence[str] = ()) -> MemberUpdated:
        """Sets and takes away options of the member, if it has not changed since this call began. The
        same `operation` is done once. `member` shows the change from the next call on."""
        request = {"operation": operation, "generation": self._known().generation,
                   "set": [list(pair) for pair in set], "unset": list(unset)}
        updated: MemberUpdated = self._ask(32, request, MemberUpdated, 30)
        self._link.keep(updated.member)
        return updated

    def raise_slow_sync(self, operation: uuid.UUID, object_type: str = "") -> None:
        """Everything of this object type ("": of all) must be compared; until a run has done so."""
        request = {"operation": operation, "object_type": object_type}
        self._link.keep(self._ask(33, request, Member, 30))

    def rename(self, names: Sequence[tuple[bytes, bytes]]) -> None:
        """The collection that this call is for names items otherwise from now on: old and new href of each. The
        whole set is taken, durably, or none of it; two may take each other's name; what the engine does not know
        is passed over. From `get_changes` (before the first push) to `sync_done`; not in `initialize`, `discover`,
        `connect`, `connect_done`, `disconnect`, `finalize`, nor for MAIN_SINK. An item that was created is known
        once its commit is answered: until then, say its name in the outcome. What was sent before may still use
        an old name: answer that it is not found. Errors: INVALID (a name twice, empty or too long), EXISTS (a new
        name is another item's), INVALID_STATE (not now: in the next run), READ_ONLY (the run only plans)."""
        pairs = [[bytes(old), bytes(new)] for old, new in names]
        self._ask(38, {"sink": self._call.target, "names": pairs}, None, 30, _MAX_REPLY)

    def _known(self) -> Member:
        if self.member is None:
            raise Error(Code.INVALID_STATE, "no member is known before `initialize`")
        return self.member

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP stream to a host that the user has granted to the member, connected by the broker: a blocking
        socket like any other, for TLS or plain; it outlives the call. `host` is a name, or an address as text.
        Errors: PERMISSION (not granted: the message names what the user would have to add to `network`), IO or
        DEADLINE (it cannot be reached), INVALID, OVERLOADED, UNIMPLEMENTED (this connection passes no streams)."""
        if not self._link.passes:
            raise Error(Code.UNIMPLEMENTED, "connect_host: this connection to the broker passes no streams",
                        Blame.BROKER)
        request = {"host": str(host), "port": int(port)}
        if not 0 <= request["port"] <= 0xFFFF:
            raise Error(Code.INVALID, f"connect_host: there is no port {port}", Blame.CALLER)
        body, number = self._call_broker(35, request, 60, _MAX_REPLY, 1)
        stream = socket.socket(fileno=number)
        if stream.family not in (socket.AF_INET, socket.AF_INET6) or stream.type != socket.SOCK_STREAM:
            stream.close()
            raise Error(Code.INVALID, "connect_host: what came is no TCP stream", Blame.BROKER, Effect.UNKNOWN)
        stream.setblocking(True)
        return stream

    def lookup_srv(self, name: str) -> list[SrvRecord]:
        """Where a service of a granted name is: SRV records, the lowest priority first. `name` is whole, such as
        `_caldavs._tcp.example.org`, and granted if `example.org` is, at any port."""
        return self._ask(36, {"name": str(name)}, (("records", list[SrvRecord]),), 30, _MAX_REPLY)["records"]

    def lookup_txt(self, name: str) -> list[bytes]:
        """What a granted name says of itself: TXT records, each with its strings put together."""
        found = self._ask(37, {"name": str(name)}, (("records", list[_TxtRecord]),), 30, _MAX_REPLY)
        return [record.data for record in found["records"]]

    def _ask(self, method: int, request: Any, answer: Any, total: float, room: int = _MAX_BODY) -> Any:
        """A call of ours, within this one, that is answered with a body alone."""
        return _decode(answer, self._call_broker(method, request, total, room, 0)[0])

    def _call_broker(self, method: int, request: Any, total: float, room: int,
                     wants: int) -> tuple[bytes, Optional[int]]:
        """The body of its answer, and the descriptor that came with it."""
        link, until = self._link, min(self._deadline, time.monotonic() + total)
        budget = max(1, int((until - time.monotonic()) * 1000))
        body = _encode(request)
        if len(body) > link.max_body:
            raise Error(Code.TOO_LARGE, f"a request of {len(body)} bytes, above the limit of {link.max_body}")
        link.asked, link.answer, link.room, link.wants = link.number(), None, room, wants
        link.send(_CALL, link.asked, body, target=self._known().object, method=method,
                  flags=_NESTED, ext=struct.pack("<HHQ", 2, 8, self._call.id), budget=budget)
        while link.answer is None:
            try:
                self._look(until - time.monotonic())
                if link.answer is None and link.goodbye is not None and link.asked > link.goodbye:
                    raise Error(Code.DISCONNECTED, "the broker is closing and did not start it", Blame.BROKER)
                if link.answer is None and time.monotonic() >= until:
                    raise Error(Code.DEADLINE, "the broker did not answer in time", Blame.BROKER, Effect.UNKNOWN)
            except Error:
                if link.asked:
                    link.send(_CANCEL, link.asked)
                link.forget()
                raise
        (well, body, handle), link.answer = link.answer, None
        if not well:
            raise _decode(Error, body)
        return body, handle

    def _look(self, wait: float = 0.0) -> None:
        """Writes, reads, and says whether the call may go on."""
        link = self._link
        if link.running is not self._call:
            raise Error(Code.INVALID_STATE, "the call is over")
        link.turn(wait)
        if link.broken:
            raise Error(Code.DISCONNECTED, str(link.broken), Blame.BROKER, Effect.UNKNOWN)
        if link.cancelled:
            raise Error(Code.CANCELLED, "the caller gave up", Blame.CALLER, Effect.UNKNOWN)
        if time.monotonic() >= self._deadline:
            raise Error(Code.DEADLINE, "the call's time is over", effect=Effect.UNKNOWN)


class ChangeSink:
    """Where `get_changes` puts its changes."""

    def __init__(self, context: Context) -> None:
        self.context, self.count, self._stream = context, 0, _Stream(context)

    def push(self, change: Change) -> None:
        """Sends one change; waits while the broker is slow."""
        self._stream.push(change)
        self.count += 1


class ReadSink:
    """Where `read` puts its results: one for each item, in order."""

    def __init__(self, context: Context, items: list[ReadItem]) -> None:
        self.context, self.count, self._items, self._stream = context, 0, items, _Stream(context)

    def push(self, outcome: Union[Item, NotModified, NotFound, Error]) -> None:
        """Sends one result; waits while the broker is slow. Content that the reader has is not sent."""
        if self.count >= len(self._items):
            raise Error(Code.INTERNAL, f"the plugin answered more than the {len(self._items)} items asked for")
        if isinstance(outcome, Item):
            outcome = self._pack(outcome, self._items[self.count].known)
        elif isinstance(outcome, Error):
            outcome = self.context._server.shown(outcome)
        self._stream.push(_ReadResult(self.count, outcome))
        self.count += 1

    def _pack(self, item: Item, known: Optional[bytes]) -> Union[Item, NotModified, Error]:
        form = self.context._server.formats.get(item.format)
        try:
            data = form.pack(item.value) if form else item.data
        except Error as error:
            return error
        if known is not None and hashlib.sha256(data).digest() == known:
            return NotModified(item.revision, item.settled)
        if len(data) > MAX_CONTENT:
            return Error(Code.TOO_LARGE, f"{len(data)} bytes, above the limit of {MAX_CONTENT}", Blame.MEMBER)
        return Item(item.revision, item.format, data, item.settled)


class Plugin:
    """A plugin: one method a verb, one call at a time. `sink` is the name of a `Collection`. Order, for
    each sink and run: connect, connect_done, get_changes, any number of read and commit, committed_all,
    sync_done (after success), disconnect. Only the first five here have to be written."""

    formats: Sequence[Format] = ()  # those that do not cross as they are stored
    can_create = False  # whether `create_collection` works
    has_main_sink = False  # a link that all sinks share, called MAIN_SINK: connected first, ended last

    def initialize(self, request: Initialize, context: Context) -> None:
        """Takes the settings of the member. Once, before anything else."""
        raise NotImplementedError

    def discover(self, context: Context) -> list[Collection]:
        """Names the collections that are there now."""
        raise NotImplementedError

    def get_changes(self, sink: str, request: GetChanges, changes: ChangeSink) -> ListingEnd:
        """Pushes every item, or every change since the anchor."""
        raise NotImplementedError

    def read(self, sink: str, items: list[ReadItem], results: ReadSink) -> None:
        """Pushes one result for each item, in order."""
        raise NotImplementedError

    def commit(self, sink: str, batch: list[CommitItem], context: Context) -> Sequence[Union[Done, Error]]:
        """Writes each item whose condition holds. One outcome each, in order, once all is durable."""
        raise NotImplementedError

    def create_collection(self, request: CreateCollection, context: Context) -> Collection:
        """Makes a collection. The same `operation` again is the same collection: the answer was lost."""
        raise Error(Code.UNIMPLEMENTED, "this plugin makes no collections")

    def connect(self, sink: str, request: Connect, context: Context) -> Optional[Connected]:
        """Opens the link to the store."""

    def connect_done(self, sink: str, request: ConnectDone, context: Context) -> None:
        """All members are connected."""

    def committed_all(self, sink: str, context: Context) -> None:
        """No more commits come in this run. A store that names items for good only now says `context.rename`."""

    def sync_done(self, sink: str, context: Context) -> None:
        """The run succeeded and everything is recorded."""

    def disconnect(self, sink: str, context: Context) -> None:
        """Closes the link to the store."""

    def finalize(self, context: Context) -> None:
        """The instance ends."""


# ---------------------------------------------------------------- from call to method

_IDLE, _CONNECTED, _RUNNING, _COMMITTED = (
    "not connected", "connected, and connect_done has not come", "in its run", "past committed_all")


@dataclass(frozen=True)
class _Method:
    name: str
    total: float  # seconds
    request: Any = None
    barrier: bool = False  # refused while other calls on its target are open
    states: tuple[str, ...] = ()  # of a sink, in which it may be called; none: not a sink's
    leads_to: str = ""
    idle: float = 60  # seconds
    most: int = _MAX_REPLY  # bytes of the answer


_METHODS = {
    1: _Method("initialize", 60, Initialize),
    2: _Method("discover", 60, most=_MAX_BODY),
    3: _Method("create_collection", 60, CreateCollection),
    4: _Method("connect", 60, Connect, False, (_IDLE,), _CONNECTED, 30),
    5: _Method("connect_done", 60, ConnectDone, False, (_CONNECTED,), _RUNNING, 30),
    6: _Method("get_changes", 1800, GetChanges, True, (_RUNNING,)),
    7: _Method("read", 1800, (("items", list[ReadItem]),), False, (_RUNNING,)),
    8: _Method("commit", 1800, (("items", list[CommitItem]),), False, (_RUNNING,), most=_MAX_BODY),
    9: _Method("committed_all", 60, None, True, (_RUNNING,), _COMMITTED, 30),
    10: _Method("sync_done", 60, None, True, (_COMMITTED,), idle=30),
    11: _Method("disconnect", 30, None, True, (_CONNECTED, _RUNNING, _COMMITTED), _IDLE, 30),
    12: _Method("finalize", 30, None, True, idle=30),
    15: _Method("remarshal", 60, (("format", str), ("data", bytes)), most=_MAX_BODY),
    16: _Method("compare", 60, (("format", str), ("left", bytes), ("right", bytes))),
}


@dataclass
class _Sink:
    name: str
    state: str = _IDLE


class _Server:
    """A plugin, and the objects that it has given out."""

    def __init__(self, plugin: Plugin, link: _Link) -> None:
        self.plugin, self.link = plugin, link
        self.formats = {form.name: form for form in plugin.formats}
        self.objects, self.instance = 0, 0  # the last number given out; the instance's
        self.sinks: dict[int, _Sink] = {}
        self.member: Optional[Member] = None
        self.group: Optional[Group] = None
        self.secrets: list[str] = []

    def run(self) -> None:
        """Until the broker says goodbye."""
        answered = False
        while True:
            if self.link.broken:  # what was not begun is not begun: nobody would hear of it
                if self.link.goodbye is not None and not self.link.inbox and not self.link.queue:
                    return
                raise self.link.broken
            if self.link.queue:
                self.handle(self.link.queue.popleft())
            elif self.link.goodbye is not None and not answered:
                answered = True
                self.link.send(_GOODBYE_OK, 0)
            self.link.flush()  # which may have brought something to do
            if not (self.link.queue or self.link.broken or self.link.goodbye is not None and not answered):
                self.link.turn(None)

    def handle(self, call: _Call) -> None:
        """Works on one call and answers it: once, whatever happens."""
        link, context = self.link, Context(self, call)
        # What the broker has reserved for the answer: more would end the connection.
        room = min(_METHODS[call.method].most if call.method in _METHODS else _MAX_REPLY, link.max_body)
        self._renew(context)
        link.running, link.cancelled = call, False
        try:
            body = _encode(self._dispatch(call, context))
            if link.stream:
                link.stream.end()
            if len(body) > room:
                raise Error(Code.TOO_LARGE, f"an answer of {len(body)} bytes, above the limit of {room}",
                            effect=Effect.DONE)
            link.send(_REPLY, call.id, body)
        except Exception as error:  # the connector's own mistakes must not end the process
            link.send(_ERROR, call.id, self._error_body(self._as_error(call, error), room))
        finally:
            link.running = link.stream = None

    def _renew(self, context: Context) -> None:
        """Applies snapshots that came meanwhile: never under a running method."""
        for new in self.link.snapshots.values():
            name = "member" if isinstance(new, Member) else "group"
            known = getattr(self, name)
            if known is not None and new.object == known.object and new.generation > known.generation:
                setattr(self, name, new)
        self.link.snapshots.clear()
        context.member, context.group = self.member, self.group

    def _as_error(self, call: _Call, error: Exception) -> Error:
        if isinstance(error, Error):
            return error
        name = _METHODS[call.method].name if call.method in _METHODS else "?"
        if isinstance(error, _Malformed):
            return Error(Code.INVALID, f"{name}: {error}", Blame.CALLER)
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        with contextlib.suppress(OSError, ValueError):  # nobody reads the log any more
            print(self.plain(trace), file=sys.stderr, flush=True)
        if isinstance(error, OSError):
            return Error(_ERRNO.get(error.errno or 0, Code.IO), f"{name}: {error}", Blame.MEMBER, Effect.UNKNOWN)
        return Error(Code.PANIC, f"{name}: {type(error).__name__}: {error}", effect=Effect.UNKNOWN)

    def _error_body(self, error: Error, room: int) -> bytes:
        """A call gets its one end, whatever is said in it."""
        try:
            body = _encode(self.shown(error))
            if len(body) <= room:
                return body
            words = self.plain(error.message)
        except (TypeError, ValueError, AttributeError) as wrong:
            words = f"the plugin's error cannot be said: {_short(str(wrong))}"
        return _encode(Error(Code.INTERNAL, words[:1000], effect=Effect.UNKNOWN))

    def shown(self, error: Error) -> Error:
        """The error in words that may leave: no secrets, and within the limits."""
        causes = [Cause(int(cause.code), self.plain(cause.message)[:1000]) for cause in error.causes[:16]]
        message = self.plain(error.message)
        return Error(int(error.code), message, error.blame, error.effect, error.retry, causes, error.ext)

    def plain(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text.encode("utf-8", "replace")[:8192].decode("utf-8", "ignore")

    def keep(self, secret: Secret) -> None:
        """Remembers what must not be shown. A very short one stands in every other word."""
        if len(secret.expose()) >= 4 and secret.expose() not in self.secrets[-64:]:
            self.secrets = [*self.secrets[-63:], secret.expose()]

    def object_of(self, sink: Optional[str]) -> int:
        return next((number for number, one in self.sinks.items() if one.name == sink), self.instance)

    def _number(self) -> int:
        self.objects += 1
        return self.objects

    def _dispatch(self, call: _Call, context: Context) -> Any:
        method = _METHODS.get(call.method)
        if method is None:
            raise Error(Code.UNIMPLEMENTED, f"method {call.method} is not known here", Blame.CALLER)
        if not method.states:
            if call.target != (0 if method.name == "initialize" else self.instance or -1):
                raise Error(Code.NOT_FOUND, f"{method.name}: there is no such instance", Blame.CALLER)
            return getattr(self, "_" + method.name)(_decode(method.request, call.body), context)
        sink = self.sinks.get(call.target)
        if sink is None:
            raise Error(Code.NOT_FOUND, f"there is no object {call.target}", Blame.CALLER)
        if sink.state not in method.states:
            raise Error(Code.INVALID_STATE, f"the sink {sink.name} is {sink.state}", Blame.CALLER)
        request = _decode(method.request, call.body)
        try:
            own = getattr(self, "_" + method.name, None)
            if own and sink.name == MAIN_SINK:
                raise Error(Code.INVALID, "the main sink holds no items", Blame.CALLER)
            if own:
                return own(sink.name, request, context)
            answer = getattr(self.plugin, method.name)(sink.name, *([] if request is None else [request]), context)
        except BaseException:
            sink.state = _IDLE if method.name == "disconnect" else sink.state
            raise
        sink.state = method.leads_to or sink.state
        return (answer or Connected()) if method.name == "connect" else None

    def _initialize(self, request: Initialize, context: Context) -> Any:
        if self.instance:
            raise Error(Code.INVALID_STATE, "this host serves an instance already", Blame.CALLER)
        for _, secret in request.secrets:
            self.keep(secret)
        self.member, self.group = context.member, context.group = request.member, request.group
        self.plugin.initialize(request, context)
        self.formats = {form.name: form for form in self.plugin.formats}
        self.instance = self._number()
        formats = [{"name": form.name, "plain": False, "compare": True}
                   for form in self.formats.values()]
        return {"instance": self.instance, "formats": formats}

    def _sink(self, collection: Collection) -> Collection:
        """The wire's view; the same name keeps its number."""
        number = self.object_of(collection.name)
        if number == self.instance:
            number = self._number()
            self.sinks[number] = _Sink(collection.name)
        collection.object = number
        if collection.dedupe is not None:
            collection.ext[2] = Dedupe(collection.dedupe).value.encode()
        return collection

    def _discover(self, request: None, context: Context) -> Any:
        sinks = [self._sink(collection) for collection in self.plugin.discover(context) if collection.name]
        main = self._sink(Collection(MAIN_SINK)).object if self.plugin.has_main_sink else None
        return {"main": main, "sinks": _to_json(sinks, list[Collection]), "can_create": self.plugin.can_create}

    def _create_collection(self, request: CreateCollection, context: Context) -> Any:
        return self._sink(self.plugin.create_collection(request, context))

    def _get_changes(self, sink: str, request: GetChanges, context: Context) -> Any:
        changes = ChangeSink(context)
        end = self.plugin.get_changes(sink, request, changes)
        return {**_to_json(end, ListingEnd), "count": changes.count}

    def _read(self, sink: str, request: dict[str, list[ReadItem]], context: Context) -> Any:
        items = request["items"]
        results = ReadSink(context, items)
        self.plugin.read(sink, items, results)
        if results.count != len(items):
            raise Error(Code.INTERNAL, f"the plugin answered {results.count} of {len(items)} items")

    def _commit(self, sink: str, request: dict[str, list[CommitItem]], context: Context) -> Any:
        items = request["items"]
        outcomes = [self._unpack(item) for item in items]
        good = [item for item, bad in zip(items, outcomes) if bad is None]
        done = list(self.plugin.commit(sink, good, context)) if good else []
        if len(done) != len(good):
            raise Error(Code.INTERNAL, f"the plugin answered {len(done)} of {len(good)} items", effect=Effect.UNKNOWN)
        rest = iter(done)
        outcomes = [next(rest) if bad is None else bad for bad in outcomes]
        shown = [self.shown(one) if isinstance(one, Error) else one for one in outcomes]
        return {"results": [_CommitResult(item.operation, one) for item, one in zip(items, shown)]}

    def _unpack(self, item: CommitItem) -> Optional[Error]:
        """Makes the value of an item that does not cross as it is stored; says what is wrong with it."""
        if item.kind is CommitKind.DELETE:
            return None
        if hashlib.sha256(item.data).digest() != item.digest:
            return Error(Code.INVALID, "the content does not have its digest", Blame.CALLER)
        form = self.formats.get(item.format)
        try:
            if form:
                item.value = form.unpack(item.data)
                item.digest = hashlib.sha256(form.pack(item.value)).digest()
        except Error as error:
            return error
        return None

    def _format(self, name: str) -> Format:
        if name in self.formats:
            return self.formats[name]
        raise Error(Code.UNIMPLEMENTED, f"this plugin marshals no {_short(name)}", Blame.CALLER)

    def _remarshal(self, request: dict[str, Any], context: Context) -> Any:
        form = self._format(request["format"])
        return {"data": form.marshal(form.unpack(request["data"]))}

    def _compare(self, request: dict[str, Any], context: Context) -> Any:
        form = self._format(request["format"])
        left, right = form.unpack(request["left"]), form.unpack(request["right"])
        if form.compare:
            return {"verdict": form.compare(left, right)}
        return {"verdict": Verdict.SAME if left == right else Verdict.DIFFERENT}

    def _finalize(self, request: None, context: Context) -> None:
        self.instance, self.sinks = 0, {}
        self.plugin.finalize(context)


_ERRNO = {errno.ENOENT: Code.NOT_FOUND, errno.EEXIST: Code.EXISTS, errno.EACCES: Code.PERMISSION,
          errno.EPERM: Code.PERMISSION, errno.EROFS: Code.READ_ONLY, errno.ENOSPC: Code.FULL,
          errno.EDQUOT: Code.FULL, errno.EFBIG: Code.FULL}

# ---------------------------------------------------------------- from the start of the process to its end


def _exactly(sock: socket.socket, count: int, until: float, expected: bytes = b"") -> bytes:
    data = b""
    while len(data) < count:
        sock.settimeout(max(until - time.monotonic(), 0.001))
        more = sock.recv(count - len(data))
        data += more
        if expected and not expected.startswith(data):
            raise ConnectionBroken(f"the other end does not speak this protocol: it began with {data!r}")
        if not more:
            raise ConnectionBroken("the broker closed the connection")
    return data


class _WrongProof(ConnectionBroken):
    pass


def _handshake(sock: socket.socket, secret: Optional[bytes], listens: bool = False) -> _Link:
    """Agrees on protocol, codec and limits, and with a secret proves it and asks for proof. Whoever dials speaks
    first; whoever listens names the session."""
    until = time.monotonic() + 10
    auth = "inherited" if secret is None else "hmac"
    features = ["handles"] if hasattr(socket, "SCM_RIGHTS") and sock.family == socket.AF_UNIX else []
    ours = {"protocols": _PROTOCOLS, "software": f"outrigger-python {__version__}", "auth": auth, "codecs": [2],
            "features": features, "limits": _LIMITS, "level": 1, "nonce": os.urandom(32),
            "session": str(uuid.uuid4()) if listens else None}
    sent = _PREFACE + _frame(_HELLO_OK if listens else _HELLO, body=_encode(ours))
    sock.settimeout(10)
    if not listens:
        sock.sendall(sent)
    received = _exactly(sock, 8, until, _PREFACE)

    def frame(kind: int) -> bytes:
        nonlocal received
        head = _exactly(sock, _HEADER.size, until)
        length, found, *_, ext_len, _ = _HEADER.unpack(head)
        if length > 65536 or ext_len > length:
            raise ConnectionBroken(f"a frame of {length} bytes in the handshake")
        body = _exactly(sock, length, until)
        received += head + body if found != _PROOF else b""
        if found == _REFUSED:
            refused = _decode((("reason", str), ("hint", str)), body)
            raise ConnectionBroken("the broker refused: " + _short(f"{refused['reason']} ({refused['hint']})", 1000))
        if found != kind:
            raise ConnectionBroken(f"a frame of kind {found} in the handshake")
        return body[ext_len:]

    def refuse(reason: str, hint: str, preface: bytes = b"") -> str:
        with contextlib.suppress(OSError):  # it has gone, and does not want to know
            sock.sendall(preface + _frame(_REFUSED, body=_encode({"reason": reason, "hint": hint})))
        return f"{reason} ({hint})"

    theirs = _parse(frame(_HELLO if listens else _HELLO_OK))
    limits, refusal = _agree(theirs, auth, listens)
    limits["handles"] = bool(features) and "handles" in limits["features"]
    if refusal:
        raise ConnectionBroken(refuse(*refusal, preface=_PREFACE if listens else b""))
    if listens:
        sock.sendall(sent)
    if secret is not None:
        both = received + sent if listens else sent + received
        dialler, listener = (hmac.new(secret, b"outrigger proof of the %s\0" % side + both, hashlib.sha256).digest()
                             for side in (b"dialler", b"listener"))
        if not listens:
            sock.sendall(_frame(_PROOF, body=dialler))
        if not hmac.compare_digest(frame(_PROOF), dialler if listens else listener):
            refuse("the proof does not fit: the two ends do not share a secret",
                   "approve this end again if its key is new")
            raise _WrongProof("the other end does not know the secret of this connection")
        if listens:
            sock.sendall(_frame(_PROOF, body=listener))
    return _Link(sock, limits)


def _agree(theirs: Any, auth: str, listens: bool = False) -> tuple[dict[str, Any], Optional[tuple[str, str]]]:
    """What the broker takes, how long it waits for a sign of life, and what does not fit, with what to do about it."""
    try:
        versions = [(_from_json(int, one["major"]), _from_json(int, one["minor"])) for one in theirs["protocols"]]
        known = {key: one for key, one in theirs.get("limits", {}).items() if key in _LIMITS}
        idle = {int(method): _from_json(int, ms) / 1000 for method, ms in theirs.get("idle_ms", {}).items()}
        limits = {**_LIMITS, **{key: _from_json(int, one) for key, one in known.items()}, "idle": idle}
        limits["features"] = _from_json(list[str], theirs.get("features", []))
        codecs, nonce, session = list(theirs["codecs"]), _from_json(bytes, theirs["nonce"]), theirs.get("session")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {**_LIMITS, "features": []}, (f"HELLO_OK cannot be read: {_short(repr(error))}", "see the document of the protocol")
    if all(major != PROTOCOL[0] for major, _ in versions):
        listed = ", ".join(f"{major}.{minor}" for major, minor in versions[:8]) or "nothing"
        newer = "the other end" if PROTOCOL > max(versions, default=PROTOCOL) else "this end"
        other = "this one" if newer == "the other end" else "the other one"
        return limits, (f"no common protocol: ours is {PROTOCOL[0]}.{PROTOCOL[1]}, theirs is {listed}",
                        f"upgrade {newer}, or use an older version of {other}")
    if theirs.get("auth") != auth:
        return limits, (f"this end proves itself by {auth}, the other otherwise",
                        "a host that dials by name must use the token that it was given")
    if 2 not in codecs:
        return limits, ("no common codec: ours is 2 (JSON)", "use a broker that speaks codec 2")
    if len(nonce) != 32 or not (listens or isinstance(session, str)):
        return limits, ("HELLO_OK has no nonce of 32 bytes, or names no session", "see the document of the protocol")
    window = limits["stream_window"]
    if min(limits["max_body"], window) < 64 << 10 or limits["connection_window"] < window:
        return limits, ("the announced limits are below the floor", "announce 64 KiB of body and stream window")
    if len(idle) > 256 or not all(idle.values()):
        return limits, ("idle_ms names too many methods, or a time of 0", "name at most 256, each with 1 ms or more")
    return limits, None


def serve_on(plugin: Plugin, sock: socket.socket, secret: Optional[bytes] = None) -> None:
    """Serves `plugin` over a connection that was made elsewhere. ConnectionBroken: it ended otherwise than by
    a goodbye, or was not made."""
    try:
        link = _handshake(sock, secret)
    except (OSError, _Malformed) as error:
        raise ConnectionBroken(f"the handshake failed: {_short(str(error))}") from None
    _Server(plugin, link).run()


def serve(plugin: Plugin) -> int:
    """Serves `plugin` to the broker that started this process, until it says goodbye. Give the result to
    `sys.exit`: 0, or 1 when the connection broke, or 2 when no broker started the process."""
    try:
        found = _find()
        if found is None:
            print("this is an Outrigger plugin: a broker starts it, it does nothing by hand", file=sys.stderr)
            return 2
        sys.stdout = sys.stderr  # the log, in the order in which it was written
        serve_on(plugin, *found)
        return 0
    except (ConnectionBroken, OSError) as error:
        print(f"the connection to the broker ended: {error}", file=sys.stderr)
        return 1


def _find() -> Optional[tuple[socket.socket, Optional[bytes]]]:
    """The connection that the broker left for this process, and its one-time token if it is dialled."""
    endpoint = os.environ.get("OUTRIGGER_ENDPOINT")
    if endpoint:
        line = b""
        while not line.endswith(b"\n") and len(line) < 128:
            line += os.read(0, 1) or b"\n"
        if not re.fullmatch(rb"[0-9a-fA-F]{64}\s*", line):
            raise ConnectionBroken("no token on standard input")
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(endpoint)
        return sock, bytes.fromhex(line.decode().strip())
    if os.environ.get("OUTRIGGER_FD") != "0":
        return None
    sock = socket.socket(fileno=os.dup(0))  # the duplicate is not inherited by what the plugin starts
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return sock, None

# ---------------------------------------------------------------- an end that is found instead of started

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_REPAIR = 5.0  # how often one that waits looks whether what it left is still there
_MAX_PATH = 100  # of a socket, everywhere


def _fingerprint(secret: bytes) -> bytes:
    return hashlib.sha256(b"outrigger fingerprint of an end\0" + secret).digest()


def _code(fingerprint: bytes) -> str:
    bits = int.from_bytes(fingerprint[:8], "big")
    digits = "".join(_DIGITS[bits >> (59 - 5 * at) & 31] for at in range(12))
    return "-".join((digits[:4], digits[4:8], digits[8:]))


def _runtime_dir() -> str:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and len(os.fsencode(base)) < 50:
        return os.path.join(base, "outrigger")
    return f"/tmp/outrigger-{os.geteuid()}"


def _ours_alone(path: str, found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EACCES, f"not this user's alone (user {found.st_uid}, mode "
                                            f"{stat.S_IMODE(found.st_mode):o})", path)


def _private_folder(path: str) -> str:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    _ours_alone(path, os.lstat(path), stat.S_ISDIR)
    return path


def _private_file(path: str, flags: int) -> int:
    """An open file that is this user's alone; no symbolic link leads there."""
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        _ours_alone(path, os.fstat(file), stat.S_ISREG)
    except BaseException:
        os.close(file)
        raise
    return file


def _write_private(path: str, text: str) -> None:
    beside = f"{path}.{os.urandom(8).hex()}.tmp"
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _own_secret(path: str) -> bytes:
    try:
        with open(_private_file(path, os.O_RDONLY)) as file:
            text = file.read(128).rstrip()
    except FileNotFoundError:
        text = os.urandom(32).hex()
        _write_private(path, text + "\n")
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError(f"{path}: not a secret of 64 hexadecimal digits")
    return bytes.fromhex(text)


class End:
    """A program that runs anyway, and waits to be found by brokers of the same user. It takes `name` (letters,
    digits, - and _, at most 30), listens in the runtime directory and announces itself there. Its secret lies in
    `profile`, in a file `outrigger-NAME.key` with mode 600, or is given. The user approves it once, with
    `outrigger peers approve NAME`, after a look at `code`, which the program shows.

    OSError: another end holds the name (EADDRINUSE), or the folder is not this user's alone."""

    def __init__(self, name: str, profile: str = "", *, secret: Optional[bytes] = None) -> None:
        if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,29}", name):
            raise ValueError(f"{name!r} cannot be the name of an end: letters, digits, - and _, at most 30")
        self.name = name
        self._secret = secret or _own_secret(os.path.join(profile, f"outrigger-{name}.key"))
        if len(self._secret) != 32:
            raise ValueError("a secret has 32 bytes")
        self._offers, self._failed, self._lock, self._listener = True, 0, -1, None
        self._served: Optional[socket.socket] = None
        self._stopped, self._stop = socket.socketpair()
        try:
            self._folder = self._open_folder()
            self._take()
            self._announce()
        except BaseException:
            self.close()
            raise

    @property
    def code(self) -> str:
        """What the user compares before approving. It tells nothing of the secret."""
        return _code(_fingerprint(self._secret))

    def serve(self, make: Callable[[], Plugin]) -> None:
        """Serves one broker after the other, each with a connector that `make` makes, until `stop` is called;
        then what was announced is removed. A broker that goes ends nothing here. What an old one asked for is over
        before the next is served."""
        try:
            while True:
                sock = self._accept()
                if sock is None:
                    return
                with sock:
                    self._serve_one(make, sock)
                self._served = None
        finally:
            self.close()

    def stop(self) -> None:
        """Ends `serve`, from any thread, in the middle of a call too."""
        with contextlib.suppress(OSError):
            self._stop.shutdown(socket.SHUT_WR)
        served = self._served
        if served is not None:
            with contextlib.suppress(OSError):
                served.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Takes the announcement back."""
        if self._lock >= 0 and self._holds():
            self._remove("json", "offer", "sock")
        for one in (self._listener, self._stopped, self._stop):
            if one is not None:
                one.close()
        if self._lock >= 0:
            os.close(self._lock)
        self._lock, self._listener = -1, None

    def _serve_one(self, make: Callable[[], Plugin], sock: socket.socket) -> None:
        try:
            link = _handshake(sock, self._secret, listens=True)
            self._failed, self._offers = 0, False
            self._remove("offer")
            _Server(make(), link).run()
        except _WrongProof as error:
            self._failed += 1
            print(f"a broker's connection ended: {error}", file=sys.stderr)
        except (ConnectionBroken, OSError, _Malformed):
            pass  # it went, or found out that it does not know us yet

    def _accept(self) -> Optional[socket.socket]:
        delay = min(2 ** min(self._failed - 5, 12), 3600) if self._failed >= 5 else 0
        if select.select([self._stopped], [], [], delay)[0]:
            return None
        while True:
            ready = select.select([self._stopped, self._listener], [], [], _REPAIR)[0]
            if self._stopped in ready:
                return None
            if not ready:
                self._repair()
                continue
            try:
                sock, _ = self._listener.accept()
            except OSError:  # it has gone again, or there are no descriptors
                if select.select([self._stopped], [], [], 1)[0]:
                    return None
                continue
            _, user, _ = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            self._served = sock
            if user == os.geteuid() and not select.select([self._stopped], [], [], 0)[0]:
                return sock
            sock.close()

    def _file(self, kind: str) -> str:
        return os.path.join(self._folder, f"{self.name}.{kind}")

    def _open_folder(self) -> str:
        return _private_folder(os.path.join(_private_folder(_runtime_dir()), "ends"))

    def _remove(self, *kinds: str) -> None:
        for kind in kinds:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._file(kind))

    def _take(self) -> None:
        """Takes the lock of the name. A broker that looks whether somebody holds it holds it for that moment."""
        for _ in range(20):
            lock = _private_file(self._file("lock"), os.O_RDWR | os.O_CREAT)
            try:
                import fcntl  # not on Windows

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                time.sleep(0.01)
                continue
            old, self._lock = self._lock, lock
            if old >= 0:
                os.close(old)
            if self._holds():
                return
        holder = ""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with open(_private_file(self._file("json"), os.O_RDONLY), "rb") as file:
                said = json.loads(file.read(8192))
            holder = f": process {int(said['pid'])}, {_short(str(said['software']))!r}"
        raise OSError(errno.EADDRINUSE, f"another end holds the name {self.name}{holder}")

    def _holds(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._lock), os.lstat(self._file("lock")))
        except FileNotFoundError:
            return False

    def _announce(self) -> None:
        """Listens, and says so. Only with the lock."""
        self._remove("json", "offer", "sock")
        path = self._file("sock")
        if len(os.fsencode(path)) > _MAX_PATH:
            raise OSError(errno.ENAMETOOLONG, f"{len(os.fsencode(path))} bytes are too many for a socket path (limit "
                                              f"{_MAX_PATH})", path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(8)
        listener.setblocking(False)
        if self._listener is not None:
            self._listener.close()
        self._listener = listener
        if self._offers:
            _write_private(self._file("offer"), self._secret.hex())
        program = os.path.basename(sys.argv[0]) or "python"
        _write_private(self._file("json"), json.dumps({
            "name": self.name, "endpoint": path, "pid": os.getpid(), "protocols": _PROTOCOLS,
            "software": f"{program} (outrigger-python {__version__})",
            "fingerprint": _fingerprint(self._secret).hex()}))

    def _repair(self) -> None:
        """Puts back what somebody removed."""
        self._folder = self._open_folder()
        if not self._holds():
            self._take()
        if not (os.path.exists(self._file("json")) and os.path.exists(self._file("sock"))):
            self._announce()
