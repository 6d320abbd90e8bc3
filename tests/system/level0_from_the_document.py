#!/usr/bin/env python3
"""Outrigger plugin, level 0, JSON: contacts as files, a collection for each subfolder of option `path`."""
import base64, contextlib, errno, hashlib, json, os, re, secrets, socket, stat, struct, sys, time
MAX, MAX_ITEM, HEAD, PREFACE = 1 << 20, 983040, "<IBBBBQIHHI", b"OUTRGR\r\n"
KNOWN = {1, 2, 3, 4, *range(16, 21), *range(32, 37), 48, 49, 50, *range(64, 70)}
CODES = {errno.EACCES: 15, errno.EROFS: 25, errno.ENOSPC: 24, errno.ENAMETOOLONG: 9, errno.EEXIST: 12}
class Fail(Exception): pass                             # code, message, and what else is not as usual
def failure(e, effect):                                 # any exception as an Error
    code = CODES.get(getattr(e, "errno", 0), 20)
    known = e.args if isinstance(e, Fail) else (code, repr(e), {"blame": "Member"})
    (code, message), more, sure = known[:2], (*known, {})[2], isinstance(e, Fail) or known[0] != 20
    return {"code": code, "message": message[:999], "causes": [], "blame": "Caller",
            "effect": "NotStarted" if sure else effect, "retry": "Never" if code in (7, 8, 9) else "WithFix", **more}
def b64(raw): return base64.b64encode(raw).decode()
def blob(v): return None if v is None else base64.b64decode(v, validate=True)
def sha(data): return b"" if data is None else hashlib.sha256(data).digest()
def valid(name): return 0 < len(name) <= 4096 and name[:1] != b"." and not set(name) & {0, 47}
def revision(st): return b"%x.%x.%x.%x" % (st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
def state(st, now): return dict(revision=b64(revision(st)), settled=now - max(st[8:10]) > 3)
def encode(value): return json.dumps(value, separators=(",", ":")).encode() if value else b""
def sync(path, dir_fd=None): fd = os.open(path, os.O_RDONLY, dir_fd=dir_fd); os.fsync(fd); os.close(fd)
def load(fd, name):                                     # data (none: too large) and stat; two nones: not there
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try: file = open(name if valid(name) else b"", "rb", opener=lambda n, _: os.open(n, flags, dir_fd=fd))
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENAMETOOLONG, errno.EISDIR): return None, None
        raise
    with file:
        st = os.fstat(file.fileno())
        if not stat.S_ISREG(st.st_mode): raise OSError(errno.EIO, "not a regular file")
        data = file.read() if st.st_size <= MAX_ITEM else None
        return (data, st) if revision(os.fstat(file.fileno())) == revision(st) else load(fd, name)
def write(fd, kind, name, key, goal, data, want, expected):
    if kind not in ("Create", "Update", "Delete") or kind != "Delete" and sha(data) != goal or \
            kind != "Create" and want is None and expected is None: raise Fail(9, "no kind, digest, condition")
    if kind == "Create" and not name:                   # follows from the key, and no other key has it
        name = re.sub(b"[^a-z0-9]+", b"-", b"c " + key.lower())[:40] + b"-%s.vcf" % sha(key).hex().encode()
    if kind == "Create" and not valid(name): raise Fail(9, "a name that this store cannot hold")
    old, st = load(fd, name)
    if st and kind != "Delete" and sha(old) == goal: sync(name, fd)             # it was done before
    elif st and kind == "Create": raise Fail(12, "an item of this name is there")
    elif not st and kind != "Create": raise Fail(11 if kind == "Delete" else 13, "there is no such item")
    elif st and (sha(old) != want if want else revision(st) != expected): raise Fail(13, "the item has changed")
    elif kind == "Delete":
        os.unlink(name, dir_fd=fd); return {"Done": dict(href=b64(name), revision="", settled=False)}
    else:
        both, temp = dict(src_dir_fd=fd, dst_dir_fd=fd), b".outrigger-%d" % secrets.randbits(128)
        with open(temp, "xb", opener=lambda n, flags: os.open(n, flags, 0o666, dir_fd=fd)) as new:
            try:
                new.write(data), new.flush(), os.fsync(new.fileno())
                (os.replace if st else os.link)(temp, name, **both)             # link never replaces
            finally:
                with contextlib.suppress(FileNotFoundError): os.unlink(temp, dir_fd=fd)
            st = os.fstat(new.fileno())
    return {"Done": dict(href=b64(name), digest=b64(goal), **state(st, 0))}
sinks, at = {}, {"instance": 0, "next": 1, "limit": MAX}
def about(name):
    number = at["numbers"].setdefault(name, len(at["numbers"]) + at["instance"] + 1)
    sinks.setdefault(number, dict(name=name, state="idle"))
    return dict(object=number, name=name, object_types=["contact"], formats=["vcard"], read_only=False)
def initialize(_, ask):
    options = dict(ask["member"]["options"])
    if set(options) != {"path"} or not os.path.isabs(options["path"]):
        raise Fail(9, "the option is `path`, a whole path, and no other", {"blame": "Configuration"})
    return at.update(root=options["path"].rstrip("/"), instance=at["next"], numbers={}) or {"instance": at["next"]}
def discover(_, ask):
    found = [e.name for e in os.scandir(at["root"]) if e.is_dir()] if os.path.isdir(at["root"]) else []
    return {"sinks": [about(n) for n in sorted(found) if n[0] != "." and n.isprintable()], "can_create": True}
def create(_, ask):
    name, root = ask["name"], at["root"]
    if not name.isprintable() or not valid(name.encode()): raise Fail(9, "a name that cannot be")
    os.makedirs(root + "/" + name, exist_ok=True), sync(root), sync(os.path.dirname(root))
    return about(name)
def connect(sink, ask):
    sink.update(look=ask["read_only"], fd=os.open(at["root"] + "/" + sink["name"], os.O_DIRECTORY))
    return {"slow_sync": False}
def page(sink, ask):
    names, changes, room, now = os.listdir(sink["fd"]), [], at["limit"] - 8192, time.time()
    for name in sorted(n for n in map(os.fsencode, names) if valid(n) and n > (blob(ask.get("cursor")) or b"")):
        st, full = None, len(changes) >= ask["max"] or room < 0
        if full: return dict(changes=changes, next=b64(last), complete=False)
        with contextlib.suppress(FileNotFoundError): st = os.stat(name, dir_fd=sink["fd"], follow_symlinks=False)
        if st is None or stat.S_ISDIR(st.st_mode): continue
        kind, last = "Unknown" if stat.S_ISREG(st.st_mode) else "Unreadable", name
        more = dict(kind=kind, object_type="contact", format="vcard", **state(st, now))
        changes.append(dict(href=b64(name), **more)); room -= len(encode(changes[-1])) + 1
    return dict(changes=changes, next=None, complete=True)
def read_one(fd, name, known):
    now, (data, st) = time.time(), load(fd, name)
    if not st or known == sha(data): return {"NotModified": state(st, now)} if st else "NotFound"
    outcome = {"Item": dict(format="vcard", data=b64(data or b""), **state(st, now))}
    if data is not None and len(encode(outcome)) + 100 <= at["limit"]: return outcome
    raise Fail(7, "an item of %d bytes does not fit a body of %d" % (st.st_size, at["limit"]))
def tried(effect, work, *row):
    try: return work(*row)
    except Exception as e: return {"Failed": failure(e, effect)}
def read(sink, ask):
    results, room = [], at["limit"] - 50
    for fd, name, known in [(sink["fd"], blob(i["href"]), blob(i.get("known"))) for i in ask["items"]]:
        results.append({"index": len(results), "outcome": tried("NotStarted", read_one, fd, name, known)})
        room -= len(encode(results[-1])) + 1
        if room < 0: return {"results": results[:-1]}
    return {"results": results}
def commit(sink, ask):
    if sink["look"]: raise Fail(25, "this run only looks")
    rows = [[i["operation"], i["kind"], *(blob(i[k]) for k in ("href", "key", "digest", "data")),
             blob(i.get("expected_digest")), blob(i.get("expected"))] for i in ask["items"]]
    results = [dict(operation=o, outcome=tried("Unknown", write, sink["fd"], *row)) for o, *row in rows]
    os.fsync(sink["fd"])                                # one for all names, before the answer
    return {"results": results}
def leave(sink, ask): os.close(sink["fd"])
def finalize(_, ask): at.update(next=at["instance"] + len(sinks) + 1, instance=0); sinks.clear()
UP, RUN, LAST, NO_BODY = ["connected"], ["running"], ["committed"], (2, 9, 10, 11, 12)
METHODS = {1: (initialize, "host", 0), 2: (discover, "instance", 0), 3: (create, "instance", 0),
           4: (connect, "connected", ["idle"]), 5: (lambda s, a: a["slow_sync"] and None, "running", UP),
           8: (commit, "running", RUN), 9: (None, "committed", RUN), 10: (None, "committed", LAST),
           11: (leave, "idle", UP + RUN + LAST), 12: (finalize, "instance", 0), 13: (page, "running", RUN),
           14: (read, "running", RUN)}
def call(target, method, body):
    if method not in METHODS or target == 0 and method != 1: raise Fail(8, "there is no such method here")
    (work, then, states), sink = METHODS[method], sinks.get(target)
    place = {0: "host", at["instance"] or -1: "instance"}.get(target) or sink and "sink"
    if place != ("sink" if states else then): raise Fail(11, "there is no such object for this method")
    if method == 1 and at["instance"] or states and sink["state"] not in states: raise Fail(10, "not now")
    try: answer = work and work(sink, None if method in NO_BODY and not body else json.loads(body.decode()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e: raise Fail(9, repr(e))
    if states: sink["state"] = then
    return encode(answer)
if os.environ.get("OUTRIGGER_ENDPOINT") or os.environ.get("OUTRIGGER_FD") != "0":
    sys.exit(print("Outrigger starts this program, with OUTRIGGER_FD=0", file=sys.stderr) or 2)
wire, last = socket.socket(fileno=os.dup(0)), 0
source = wire.makefile("rb")
os.dup2(os.open(os.devnull, os.O_RDWR), 0)
def take(n, data=b""): data = source.read(n); return data if len(data) == n else sys.exit(1)
def send(kind, number=0, body=b""):
    wire.sendall(struct.pack(HEAD, len(body), kind, 0, 0, 0, number, 0, 0, 0, 0) + body)
def rule(good, why): return good or sys.exit(send(68, 0, encode({"reason": why})) or 1)
wire.sendall(PREFACE)
send(1, 0, encode(dict(protocols=[dict(major=0, minor=9)], software="contacts 1.0", auth="inherited", level=0,
                       codecs=[2], limits={"dispatch_window": 1}, nonce=b64(secrets.token_bytes(32)))))
length, kind = struct.unpack(HEAD, take(28))[:2] if take(8) == PREFACE else sys.exit(1)
answer = json.loads(take(length)) if length <= 65500 and kind in (2, 4) else {}
if kind != 2 or 0 not in [p["major"] for p in answer["protocols"]]:
    sys.exit("refused: %s; %s" % (answer.get("reason"), answer.get("hint")))
at["limit"] = min(MAX, answer.get("limits", {}).get("max_body", MAX))
while True:
    head = take(28)
    length, kind, flags, handles, zero, number, target, method, ext, budget = struct.unpack(HEAD, head)
    rule(not handles and not zero and ext <= length <= (65536 if kind == 33 else MAX), "a bad header")
    body, start, tags = take(length), 0, [-1]
    while kind in KNOWN and start < ext:
        tags.append(int.from_bytes(body[start:start + 2], "little"))
        start += 4 + int.from_bytes(body[start + 2:start + 4], "little")
        rule(tags[-2] < tags[-1] and start <= ext and len(tags) <= 65, "bad extensions")
    if kind == 16:
        last = rule(number % 2 and last < number <= 2**53, "a bad number") and number
        try:
            if any(t % 2 for t in tags[1:]): raise Fail(8, "an extension that is not known")
            if not budget: raise Fail(2, "no time is left")
            kind, answer = 17, call(target, method, body[ext:])
            if len(answer) > at["limit"]: raise Fail(7, "the answer does not fit", {"effect": "Unknown"})
        except Exception as e: kind, answer = 18, encode(failure(e, "Unknown"))
        send(kind, number, answer)
    elif kind == 64: send(65, number)
    elif kind == 66: send(67); source.read(); sys.exit(0)
    elif kind in KNOWN: rule(kind in (48, 49, 65, 69) or kind == 19 and number <= last, "not now")
    elif flags & 1: send(69, 0, head)
