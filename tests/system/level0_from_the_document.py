#!/usr/bin/env python3
"""An Outrigger plugin of level 0 in JSON: each folder in `path` is a collection, each .vcf file in it a contact."""
import base64, ctypes, hashlib, hmac, inspect, itertools, json, os, re, socket, stat, struct, sys, time, uuid
PREFACE, HEADER, MAX_BODY, WHOLE = b"OUTRGR\r\n", struct.Struct("<IBBBBQIHHI"), 1 << 20, socket.MSG_WAITALL
LEGAL, ILLEGAL = {16, 19, 48, 49, 64, 65, 66, 68, 69}, {1, 2, 3, 4, 17, 18, 20, 32, 33, 34, 35, 36, 50, 67}
TOO_LARGE, UNIMPLEMENTED, INVALID, INVALID_STATE, NOT_FOUND, EXISTS, PRECONDITION, IO = 7, 8, 9, 10, 11, 12, 13, 20
ITEM, FOLDER = re.compile(rb"[^./\0][^/\0]{0,250}\.vcf", re.S), re.compile("(?![.])[^/\0-\x1f\ud800-\udfff]{1,255}")
OPEN, BYTES = "running", {"href", "key", "data", "digest", "known", "expected", "expected_digest", "anchor", "cursor"}
EXCHANGE, signature = getattr(ctypes.CDLL(None), "renameat2", lambda *_: -1), inspect.signature    # it swaps two files
class Fault(Exception): """The fields of an `Error`, or the first of them."""
def failed(code, message, blame="Caller", effect="NotStarted", retry="Never", causes=()): return {"Failed": locals()}
def attempt(work, *args):     # what the work answers, or that it failed
    try: return work(*args)
    except Fault as fault: return failed(*fault.args)
    except FileExistsError as error: return failed(EXISTS, str(error)[:999], "Member")
    except OSError as error: return failed(IO, str(error)[:999], "Member", "Unknown", {"After": 1000})
    except Exception as error: return failed(INVALID, f"not what the protocol says ({type(error).__name__})")
def ensure(holds, error=None):
    if not holds: raise error or ValueError("not what the protocol says")
def sha(data): return hashlib.sha256(data).digest()
def dumps(value): return json.dumps(value, default=lambda data: base64.b64encode(data).decode()).encode()
def fields(pairs):            # of a JSON object; its bytes decoded
    ensure(len(dict(pairs)) == len(pairs))
    return {n: base64.b64decode(v, validate=True) if n in BYTES and v is not None else v for n, v in pairs}
def sync(path): handle = os.open(path, os.O_RDONLY); os.fsync(handle); os.close(handle)
def mark(path):
    now, info = time.time_ns(), os.lstat(path)
    return {"revision": b"%d-%d-%d-%d" % (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns),
            "settled": now - info.st_ctime_ns > 2e9, "kind": "Unknown" if stat.S_ISREG(info.st_mode) else "Unreadable"}
def load(path, most=MAX_BODY):                # data, and revision and settled, of a file
    found = mark(path)
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file: data = file.read(most + 1)
    ensure(found.pop("kind") == "Unknown" and len(data) <= most, Fault(TOO_LARGE, f"no file of up to {most} bytes"))
    ensure(mark(path)["revision"] == found["revision"], OSError("the file changes while it is read"))
    return data, found
class Sink:
    def __init__(self, folder): self.folder, self.state = folder, "idle"
    def look(self, name, most=MAX_BODY):      # the item, or None if there is surely none
        try: return load(self.folder + name, most) if ITEM.fullmatch(name) else None
        except FileNotFoundError: os.listdir(self.folder)       # another one if it is the folder that is missing
    def connect(self, slow_sync, read_only, anchor=None):
        self.read_only, _ = read_only is not False, os.listdir(self.folder)
        return {"slow_sync": False}
    connect_done, end = lambda self, slow_sync: None, lambda self: None
    def listing(self, slow_sync, max, anchor=None, cursor=None):
        names = sorted(name for name in os.listdir(self.folder) if ITEM.fullmatch(name) and name > (cursor or b""))
        page, what = names[:min(max or 1, limit >> 10)], {"object_type": "contact", "format": "vcard"}
        return {"changes": [{"href": name, **what, **mark(self.folder + name)} for name in page],
                "next": page[-1] if page != names else None, "complete": page == names}
    def fetch(self, href, known=None):
        data, it = self.look(href, (limit - 1024) // 4 * 3) or (b"", None)
        if it is None: return "NotFound"
        return {"NotModified": it} if sha(data) == known else {"Item": {"format": "vcard", "data": data, **it}}
    def read_page(self, items):               # one at a time: the broker asks for the rest
        return {"results": [{"index": 0, "outcome": attempt(self.fetch, *signature(self.fetch).bind(**items[0]).args)}]}
    def commit(self, items):
        ensure(not self.read_only, Fault(25, "this run only looks"))
        calls = [signature(self.write).bind(**item).args for item in items]
        try: return {"results": [{"operation": call[0], "outcome": attempt(self.write, *call)} for call in calls]}
        finally: sync(self.folder)
    def write(self, operation, kind, href, key, object_type, format, digest, data, expected=None, expected_digest=None):
        create, delete = kind == "Create", kind == "Delete"
        ensure(create or kind in ("Update", "Delete") and (expected_digest or expected is not None))
        ensure(delete or sha(data) == digest and format == "vcard", Fault(INVALID, "a wrong digest, or no vcard"))
        if create and not ITEM.fullmatch(href): href = sha(key).hex().encode() + b".vcf"
        path, old, temp = self.folder + href, self.look(href), self.folder + b".new-%d" % uuid.UUID(operation).int
        if delete or not old or old[0] != data:
            same = old and (sha(old[0]) == expected_digest if expected_digest else old[1]["revision"] == expected)
            wrong = EXISTS if create else PRECONDITION if old or not delete else NOT_FOUND
            ensure(not old if create else same, Fault(wrong, "another item is there, or none"))
            with open(temp, "wb") as file: file.write(data)
            sync(temp)
            if create: os.link(temp, path)
            elif delete: os.rename(path, temp)
            elif EXCHANGE(-100, temp, -100, path, 2): os.replace(temp, path)
            if not create and os.path.lexists(temp) and load(temp)[0] != old[0]:        # somebody was quicker: undo it
                os.link(temp, path) if delete else EXCHANGE(-100, temp, -100, path, 2)
                raise Fault(PRECONDITION, "the item was changed in this moment")
            if os.path.lexists(temp): os.unlink(temp)
        data, found = (b"", {"revision": b"", "settled": False}) if delete else sync(path) or load(path)
        return {"Done": {"href": href, "digest": None if delete else sha(data), **found}}
class Plugin:                 # the host and, once initialized, the instance
    state, numbers = "idle", itertools.count(1)
    def initialize(self, member, group, secrets=()):
        settings, number = dict([*member["options"], *secrets]), next(self.numbers)
        ensure([*settings] == ["path"] and os.path.isabs(settings["path"]), Fault(
            INVALID, f"one setting, the absolute `path`, is needed, not {[*settings]}"[:999], "Configuration"))
        self.path, self.sinks, objects[number] = os.path.join(settings["path"], ""), {}, self
        return {"instance": number}
    def sink(self, name):
        number = self.sinks[name] = self.sinks.get(name) or next(self.numbers)
        objects.setdefault(number, Sink(os.fsencode(self.path + name + "/")))
        return {"object": number, "name": name, "object_types": ["contact"], "formats": ["vcard"], "read_only": False}
    def discover(self):
        names = sorted(entry.name for entry in os.scandir(self.path) if entry.is_dir(follow_symlinks=False))
        return {"sinks": [self.sink(name) for name in names if FOLDER.fullmatch(name)], "can_create": True}
    def create_collection(self, operation, name, object_types):
        ensure(FOLDER.fullmatch(name), Fault(INVALID, "no collection can have this name"))
        return os.makedirs(self.path + name, exist_ok=True) or sync(self.path) or self.sink(name)
    def finalize(self): objects.clear(); objects[0] = self
RULES = {1: ("idle", "live", "initialize"), 2: ("live", "live", "discover"), 3: ("live", "live", "create_collection"),
         4: ("idle", "connected", "connect"), 5: ("connected", OPEN, "connect_done"), 8: (OPEN, OPEN, "commit"),
         9: (OPEN, "committed", "end"), 10: ("committed", "committed", "end"), 12: ("live", "idle", "finalize"),
         11: ("connected running committed", "idle", "end"), 13: (OPEN, OPEN, "listing"), 14: (OPEN, OPEN, "read_page")}
def answer(target, method, budget, odd, body):
    thing, rule, where = objects.get(target), RULES.get(method), Plugin if method in (1, 2, 3, 12) else Sink
    ensure(not odd and (rule or not thing) and (target or method == 1), Fault(UNIMPLEMENTED, "this is not known"))
    ensure(rule and type(thing) is where and (target > 0) == (method > 1), Fault(NOT_FOUND, "no such object"))
    ensure(thing.state in rule[0], Fault(INVALID_STATE, f"the state is {thing.state}"))
    ensure(budget, Fault(2, "no time is left"))
    request = json.loads(body.decode(), object_pairs_hook=fields) if body else {}
    thing.state, reply = rule[1], getattr(thing, rule[2])(**request)
    ensure(len(dumps(reply)) <= limit, Fault(TOO_LARGE, "no frame holds the answer", "Caller", "Unknown"))
    return reply
def send(kind, ident, body=b""): sock.sendall(HEADER.pack(len(body), kind, 0, 0, 0, ident, 0, 0, 0, 0) + body)
def receive(most):
    head, tags, at = sock.recv(28, WHOLE), [-2], 0
    ensure(len(head) == 28, SystemExit("the connection ended without GOODBYE"))
    size, kind, flags, handles, zero, ident, target, method, ext_len, budget = HEADER.unpack(head)
    ensure(not handles and not zero and ext_len <= size <= most)
    body = sock.recv(size, WHOLE)
    while at < ext_len and kind in LEGAL:
        tag, length = struct.unpack("<HH", body[at:at + 4].ljust(4, b"\0")); tags.append(tag); at += 4 + length
    odd, good = any(tag % 2 for tag in tags), at == ext_len and tags == sorted({*tags}) and len(tags) <= 65
    ensure(len(body) == size and (kind not in LEGAL or good and (kind == 16 or not odd)))
    return head, kind, flags, ident, target, method, budget, odd, body[ext_len:]
secret, last = bytes.fromhex(sys.stdin.readline(128) if "OUTRIGGER_ENDPOINT" in os.environ else ""), 0
if not secret and os.environ.get("OUTRIGGER_FD") != "0": sys.exit(print("Outrigger starts this.", file=sys.stderr) or 2)
sock = socket.socket(socket.AF_UNIX) if secret else socket.socket(fileno=os.dup(0))
sock.connect(os.environ["OUTRIGGER_ENDPOINT"]) if secret else os.dup2(os.open("/dev/null", os.O_RDWR), 0)
hello = dumps({"protocols": [{"major": 0, "minor": 9}], "software": "contacts 1.0", "codecs": [2], "level": 0, "nonce":
               os.urandom(32), "auth": "hmac" if secret else "inherited", "limits": {"dispatch_window": 1}})
sock.sendall(mine := PREFACE + HEADER.pack(len(hello), 1, 0, 0, 0, 0, 0, 0, 0, 0) + hello)
ensure(sock.recv(8, WHOLE) == PREFACE, SystemExit("this is no broker"))
head, *_, body = receive(65500); said = json.loads(body)
ensure(0 in [x["major"] for x in said.get("protocols", [])], SystemExit(f"{said.get('reason')}: {said.get('hint')}"))
proof = lambda who: hmac.digest(secret, b"outrigger proof of the %s\0" % who + mine + PREFACE + head + body, "sha256")
if secret: send(3, 0, proof(b"dialler")); ensure(hmac.compare_digest(receive(32)[-1], proof(b"listener")))
objects, limit = {0: Plugin()}, min(MAX_BODY, said.get("limits", {}).get("max_body", MAX_BODY))
try:
    while True:
        head, kind, flags, ident, target, method, budget, odd, body = receive(MAX_BODY)
        ensure(kind not in ILLEGAL and (kind not in (16, 19) or ident % 2 and (ident > last) == (kind == 16)))
        if kind == 16:        # CALL, to be answered with REPLY or ERROR
            last, reply = ident, attempt(answer, target, method, budget, odd, body) or {}
            send(18 if "Failed" in reply else 17, ident, dumps(reply.get("Failed", reply)) if reply else b"")
        elif kind == 64: send(65, ident)        # PING, PONG
        elif kind not in LEGAL and flags & 1: send(69, 0, head)
        elif kind == 66: send(67, 0); sock.makefile("rb").read(); sys.exit(0)                   # GOODBYE
except ValueError as error: send(68, 0, dumps({"reason": str(error)})); sys.exit("the broker broke a rule")
