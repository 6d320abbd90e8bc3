"""The broker's end of a connection, written from the document of the wire and not from the SDK."""
import base64
import hashlib
import hmac
import json
import pathlib
import socket
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "plugin-sdk" / "python"))
sys.dont_write_bytecode = True

import outrigger  # noqa: E402

HEADER = struct.Struct("<IBBBBQIHHI")
PREFACE = b"OUTRGR\r\n"
HELLO, HELLO_OK, PROOF, REFUSED = 1, 2, 3, 4
CALL, REPLY, ERROR, CANCEL, PROGRESS = 16, 17, 18, 19, 20
STREAM_OPEN, DATA, CREDIT, STREAM_END, STREAM_RESET = 32, 33, 34, 35, 36
LOG, SNAPSHOT, NOTIFY = 48, 49, 50
PING, PONG, GOODBYE, GOODBYE_OK, ABORT, UNIMPLEMENTED = 64, 65, 66, 67, 68, 69
CRITICAL, NESTED, SECRET = 1, 2, 4
DEFAULT_TIME = 0xFFFFFFFF
TIMEOUT = 20  # seconds: far above what anything takes


VECTORS = pathlib.Path(__file__).resolve().parents[2] / "protocol" / "vectors"


def vector(path):
    """The bytes of a golden vector."""
    return bytes.fromhex("".join(line.split("#")[0].strip() for line in path.read_text().splitlines()))


def prove(secret, side, dialler, listener):
    """The proof of one side, over all bytes before it."""
    return hmac.new(secret, b"outrigger proof of the " + side + b"\0" + dialler + listener, hashlib.sha256).digest()


def b64(data):
    return base64.b64encode(data).decode()


def frame(kind, id=0, body=b"", target=0, method=0, flags=0, ext=b"", budget=0):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return HEADER.pack(len(ext) + len(body), kind, flags, 0, 0, id, target, method, len(ext), budget) + ext + body


class Frame:
    def __init__(self, head, rest):
        (_, self.kind, self.flags, _, _, self.id, self.target, self.method, ext_len, self.budget) = HEADER.unpack(head)
        self.ext, self.body = rest[:ext_len], rest[ext_len:]

    def json(self):
        return json.loads(self.body) if self.body else None


class FakeBroker:
    """Starts `plugin`, or what it makes, in a thread of its own, over a socket pair."""

    def __init__(self, plugin, secret=None, hello=None, window=256 << 10, shake=True):
        self.sock, other = socket.socketpair()
        self.sock.settimeout(TIMEOUT)
        self.next, self.window, self.secret, self.outcome = 1, window, secret, None
        self.granted = {}
        self.thread = threading.Thread(target=self._serve, args=(plugin, other, secret), daemon=True)
        self.thread.start()
        if shake:
            self.shake(hello or {})

    def _serve(self, plugin, sock, secret):
        try:
            outrigger.serve_on(plugin() if isinstance(plugin, type) else plugin, sock, secret)
            self.outcome = "goodbye"
        except outrigger.ConnectionBroken as error:
            self.outcome = str(error)
        except BaseException as error:  # noqa: B902
            self.outcome = error
        finally:
            sock.close()

    def end(self):
        """Waits for the plugin's end; says how it ended."""
        self.sock.close()
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive(), "the plugin does not end"
        return self.outcome

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def frame(self):
        head = self.exactly(HEADER.size)
        return Frame(head, self.exactly(HEADER.unpack(head)[0]))

    def send(self, *args, **more):
        self.sock.sendall(frame(*args, **more))

    def hello(self, **changes):
        limits = {"max_body": 1 << 20, "max_calls": 64, "call_bytes": 4 << 20, "max_streams": 64,
                  "stream_window": self.window, "connection_window": max(self.window, 4 << 20), "dispatch_window": 64,
                  "max_instances": 1}
        auth = "hmac" if self.secret else "inherited"
        return {"protocols": [{"major": 0, "minor": 9}], "software": "fake", "auth": auth, "codecs": [1, 2],
                "features": [], "limits": limits, "level": 1, "nonce": b64(bytes(32)),
                "session": "00000000-0000-0000-0000-000000000007", **changes}

    def shake(self, changes):
        received = self.exactly(8)
        head = self.exactly(HEADER.size)
        body = self.exactly(HEADER.unpack(head)[0])
        received += head + body
        self.theirs = json.loads(body)
        sent = PREFACE + frame(HELLO_OK, body=self.hello(**changes))
        self.sock.sendall(sent)
        if self.secret:
            proof = self.frame()
            assert (proof.kind, proof.body) == (PROOF, prove(self.secret, b"dialler", received, sent))
            self.send(PROOF, body=prove(self.secret, b"listener", received, sent))

    def call(self, method, target=0, body=b"", budget=DEFAULT_TIME, **more):
        """Sends a call; gives its number."""
        id, self.next = self.next, self.next + 2
        self.send(CALL, id, body, target=target, method=method, budget=budget, **more)
        return id

    def answer(self, id, credit=True):
        """Takes frames until the call's answer: (kind, body, items, other frames)."""
        items, other, buffer, received = [], [], b"", 0
        while True:
            got = self.frame()
            if got.kind == DATA:
                buffer, received = buffer + got.body, received + len(got.body)
                while len(buffer) >= 4 and len(buffer) >= 4 + struct.unpack_from("<I", buffer)[0]:
                    length = struct.unpack_from("<I", buffer)[0]
                    items.append(json.loads(buffer[4:4 + length]))
                    buffer = buffer[4 + length:]
                if credit:
                    self.credit(got.id, received + self.window)
            elif got.kind == STREAM_END:
                end = got.json()
                assert (end["items"], end["bytes"], buffer) == (len(items), received, b""), end
            elif got.kind in (REPLY, ERROR) and got.id == id:
                return got.kind, got.json(), items, other
            else:
                other.append(got)

    def credit(self, stream, up_to, connection=1 << 40):
        self.send(CREDIT, stream, struct.pack("<QQQ", up_to, connection, 0))

    def ask(self, method, target=0, body=b"", **more):
        """A call that must succeed: its answer's body."""
        kind, body, items, _ = self.answer(self.call(method, target, body, **more))
        assert kind == REPLY, body
        return (body, items) if items else body

    def refused(self, method, target=0, body=b"", **more):
        """A call that must fail: its error."""
        kind, body, _, _ = self.answer(self.call(method, target, body, **more))
        assert kind == ERROR, body
        return body

    def initialize(self, secrets=(), options=()):
        options = [list(one) for one in options]
        member = {"object": 7, "name": "m", "generation": 3, "options": options, "object_types": []}
        group = {"object": 8, "name": "g", "generation": 1, "members": ["m"], "object_types": [], "conflict": "queue",
                 "last_run": None}
        body = {"member": member, "group": group, "secrets": [list(one) for one in secrets]}
        return self.ask(1, 0, body, flags=SECRET if secrets else 0)["instance"]

    def run(self, **more):
        """Up to a sink that is in its run: (instance, sink)."""
        instance = self.initialize(**more)
        sink = self.ask(2, instance)["sinks"][0]["object"]
        self.ask(4, sink, {"slow_sync": False, "read_only": False, "anchor": None})
        self.ask(5, sink, {"slow_sync": False})
        return instance, sink

    def goodbye(self):
        self.send(GOODBYE, body={"last_accepted": 0})
        while self.frame().kind != GOODBYE_OK:
            pass
        return self.end()
