"""The Python SDK against a small fake broker: the rules of the wire, and what an author is promised."""
import contextlib
import hashlib
import io
import json
import pathlib
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import uuid
from typing import Union

from fake_broker import (ABORT, CALL, CANCEL, CREDIT, CRITICAL, DATA, ERROR, GOODBYE, GOODBYE_OK, HEADER, HELLO_OK,
                         LOG, NESTED, NOTIFY, PING, PONG, PREFACE, PROGRESS, PROOF, REFUSED, REPLY, SECRET, SNAPSHOT,
                         STREAM_END, STREAM_OPEN, STREAM_RESET,
                         TIMEOUT, UNIMPLEMENTED, VECTORS, FakeBroker, b64, frame, outrigger, prove, vector)
from outrigger import Code

GET_CHANGES = {"slow_sync": True, "anchor": None}


class Notes(outrigger.Plugin):
    """One collection in memory. What it does in a call can be replaced by a test."""

    def __init__(self, **deeds):
        self.notes, self.seen = {b"first": b"hello"}, []
        for name, deed in deeds.items():
            setattr(self, name, deed)

    def initialize(self, request, context):
        self.seen.append(request)

    def discover(self, context):
        return [outrigger.Collection("notes", ["note"])]

    def get_changes(self, sink, request, changes):
        for href, data in self.notes.items():
            changes.push(outrigger.Change(href, hashlib.sha256(data).digest(), "note", "text"))
        return outrigger.ListingEnd(complete=True, anchor=b"a1")

    def read(self, sink, items, results):
        for item in items:
            data = self.notes.get(item.href)
            results.push(outrigger.NotFound() if data is None
                         else outrigger.Item(hashlib.sha256(data).digest(), "text", data))

    def commit(self, sink, batch, context):
        self.notes.update({item.href or item.key: item.data for item in batch})
        return [outrigger.Done(item.href or item.key, item.digest, digest=item.digest) for item in batch]


def commit_item(data, **changes):
    return {"operation": str(uuid.uuid4()), "kind": "Create", "href": "", "expected": None, "expected_digest": None,
            "key": b64(b"k"), "object_type": "note", "format": "text", "digest": b64(hashlib.sha256(data).digest()),
            "data": b64(data), **changes}


BODIES = {
    "answered": (("text", outrigger.Secret),), "change": outrigger.Change, "commit_item": outrigger.CommitItem,
    "commit": outrigger._METHODS[8].request, "commit_result": outrigger._CommitResult,
    "committed": (("results", list[outrigger._CommitResult]),), "compare": outrigger._METHODS[16].request,
    "compared": (("verdict", outrigger.Verdict),), "connect": outrigger.Connect, "connect_done": outrigger.ConnectDone,
    "connected": outrigger.Connected, "create_collection": outrigger.CreateCollection, "error": outrigger.Error,
    "get_changes": outrigger.GetChanges, "group": outrigger.Group, "initialize": outrigger.Initialize,
    "member": outrigger.Member, "member_updated": outrigger.MemberUpdated, "nothing": None,
    "read": outrigger._METHODS[7].request, "read_result": outrigger._ReadResult,
    "remarshal": outrigger._METHODS[15].request, "remarshalled": (("data", bytes),),
    "sink": outrigger.Collection, "snapshot": Union[outrigger.Member, outrigger.Group],
}


def shown(tree):
    """What `_to_json` leaves hidden, to be compared."""
    if isinstance(tree, dict):
        return {key: shown(one) for key, one in tree.items()}
    if isinstance(tree, list):
        return [shown(one) for one in tree]
    return tree.expose() if isinstance(tree, outrigger.Secret) else tree


class Vectors(unittest.TestCase):
    """The golden bytes of the protocol."""

    def test_every_frame_is_built_as_the_vectors_say(self):
        paths = [path for path in sorted(VECTORS.glob("frame-*.hex")) if path.stem != "frame-reply_handle"]
        self.assertGreater(len(paths), 15)
        for path in paths:
            golden = vector(path)
            length, kind, flags, _, _, id, target, method, ext_len, budget = HEADER.unpack(golden[:28])
            self.assertEqual(length, len(golden) - 28, path.name)
            ext, body = golden[28:28 + ext_len], golden[28 + ext_len:]
            built = outrigger._frame(kind, id, body, target=target, method=method, flags=flags, ext=ext, budget=budget)
            self.assertEqual(built, golden, path.name)
        nested = vector(VECTORS / "frame-call_nested.hex")
        self.assertEqual(nested[28:40], struct.pack("<HHQ", 2, 8, 7))

    def test_every_body_of_codec_2_is_read_and_written_as_the_vectors_say(self):
        seen = set()
        for path in VECTORS.glob("json-*.hex"):
            name, body = path.stem[5:].split("-")[0], vector(path)
            if name not in BODIES:
                continue  # not spoken at level 1, or written by hand: the tests of calls look at those
            seen.add(name)
            tree = json.loads(body) if body else None
            value = outrigger._decode(BODIES[name], body)
            self.assertEqual(shown(outrigger._to_json(value, BODIES[name])), tree, path.name)
            for cut in range(1, len(body)):
                with self.assertRaises(ValueError, msg=(path.name, cut)):
                    outrigger._decode(BODIES[name], body[:cut])
        self.assertEqual(seen, set(BODIES))

    def test_w8_the_proofs_are_those_of_the_vectors(self):
        hello, hello_ok = (vector(VECTORS / f"handshake-{name}.hex") for name in ("hello", "hello_ok"))
        for side in ("dialler", "listener"):
            golden = vector(VECTORS / f"handshake-proof_{side}.hex")
            self.assertEqual(golden[28:], prove(b"\x5e" * 32, side.encode(), hello, hello_ok))


class Wire(unittest.TestCase):
    def test_the_whole_life_of_a_plugin(self):
        broker = FakeBroker(Notes())
        said = [broker.theirs[key] for key in ("codecs", "auth", "level")]
        self.assertEqual(said, [[2], "inherited", 1])
        instance, sink = broker.run()
        listing, items = broker.ask(6, sink, GET_CHANGES)
        self.assertEqual(listing, {"complete": True, "count": 1, "anchor": b64(b"a1")})
        self.assertEqual(items, [{"href": b64(b"first"), "revision": b64(hashlib.sha256(b"hello").digest()),
                                  "object_type": "note", "format": "text", "kind": "Unknown", "settled": True,
                                  "ext": {}}])
        asked = [{"href": b64(b"first"), "known": None}, {"href": b64(b"gone"), "known": None},
                 {"href": b64(b"first"), "known": b64(hashlib.sha256(b"hello").digest())}]
        nothing, results = broker.ask(7, sink, {"items": asked})
        self.assertIsNone(nothing)
        self.assertEqual([one["index"] for one in results], [0, 1, 2])
        self.assertEqual(results[0]["outcome"]["Item"]["data"], b64(b"hello"))
        self.assertEqual(results[1]["outcome"], "NotFound")
        self.assertEqual(list(results[2]["outcome"]), ["NotModified"], "known content is not sent")
        item = commit_item(b"new")
        done = broker.ask(8, sink, {"items": [item]})["results"][0]
        self.assertEqual((done["operation"], done["outcome"]["Done"]["href"]), (item["operation"], b64(b"k")))
        for method, target in ((9, sink), (10, sink), (11, sink), (12, instance)):
            self.assertIsNone(broker.ask(method, target))
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w8_both_sides_prove_the_secret(self):
        broker = FakeBroker(Notes(), secret=bytes(range(32)))
        broker.initialize()
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w8_a_broker_that_does_not_know_the_secret_is_left(self):
        broker = FakeBroker(Notes(), secret=bytes(32), shake=False)
        broker.exactly(8)
        broker.frame()
        broker.sock.sendall(PREFACE + frame(HELLO_OK, body=broker.hello()) + frame(PROOF, body=bytes(32)))
        broker.frame()
        self.assertIn("does not know the secret", broker.end())

    def test_w8_another_protocol_is_refused_with_both_ranges_and_the_side_to_upgrade(self):
        for major, hint in ((1, "upgrade this end"), (0, None)):
            broker = FakeBroker(Notes(), hello={"protocols": [{"major": major, "minor": 4}]})
            if hint is None:
                broker.initialize()
                broker.goodbye()
                continue
            refused = broker.frame()
            self.assertEqual(refused.kind, REFUSED)
            self.assertEqual(refused.json()["reason"], "no common protocol: ours is 0.9, theirs is 1.4")
            self.assertIn(hint, refused.json()["hint"])
            self.assertIn("no common protocol", broker.end())

    def test_w8_what_does_not_fit_is_said(self):
        small = {"max_body": 4096, "stream_window": 1 << 18, "connection_window": 1 << 22}
        for changes, words in (({"codecs": [1]}, "codec"), ({"auth": "hmac"}, "token"), ({"nonce": "AAAA"}, "nonce"),
                               ({"session": None}, "session"), ({"limits": small}, "floor"),
                               ({"protocols": 7}, "HELLO_OK"), ({"idle_ms": {"8": 0}}, "idle_ms"),
                               ({"idle_ms": {str(n): 1 for n in range(257)}}, "idle_ms"),
                               ({"idle_ms": {"commit": 1}}, "HELLO_OK"), ({"idle_ms": [8]}, "HELLO_OK")):
            broker = FakeBroker(Notes(), hello=changes)
            refused = broker.frame()
            self.assertEqual(refused.kind, REFUSED)
            self.assertIn(words, str(refused.json()), changes)
            self.assertIn(words, broker.end())

    def test_w8_a_refusal_is_told_in_the_brokers_words(self):
        for body, words in (({"reason": "no common\x1b[2J codec", "hint": "use 2"}, "no common\ufffd[2J codec (use 2)"),
                            ([7], "the handshake failed"), (b"\xff", "the handshake failed")):
            broker = FakeBroker(Notes(), shake=False)
            broker.exactly(8)
            broker.frame()
            broker.sock.sendall(PREFACE + frame(REFUSED, body=body))
            broker.thread.join(TIMEOUT)
            self.assertIn(words, broker.end())

    def test_something_else_on_the_line_is_named(self):
        broker = FakeBroker(Notes(), shake=False)
        broker.exactly(8)
        broker.frame()
        broker.sock.sendall(b"Hello, world\n")
        self.assertIn("Hello", broker.end())

    def test_calls_out_of_order_never_reach_the_author(self):
        broker = FakeBroker(Notes())
        self.assertEqual(broker.refused(2, 1)["code"], Code.NOT_FOUND)
        instance = broker.initialize()
        self.assertEqual(broker.refused(1, 0, {})["code"], Code.INVALID)
        sink = broker.ask(2, instance)["sinks"][0]["object"]
        for method in (5, 6, 7, 8, 9, 10, 11):
            body = {5: {"slow_sync": False}, 6: GET_CHANGES, 7: {"items": []}, 8: {"items": []}}.get(method, b"")
            error = broker.refused(method, sink, body)
            self.assertEqual((error["code"], error["blame"]), (Code.INVALID_STATE, "Caller"), method)
        self.assertEqual(broker.refused(99, sink)["code"], Code.UNIMPLEMENTED)
        self.assertEqual(broker.refused(4, 77, {})["code"], Code.NOT_FOUND)
        self.assertEqual(broker.ask(2, instance)["sinks"][0]["object"], sink, "the same name keeps its number")
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_ping_is_answered_and_unknown_kinds_are_skipped(self):
        broker = FakeBroker(Notes())
        broker.send(200, 0, b"from the future")
        broker.send(201, 0, b"critical", flags=CRITICAL)
        self.assertEqual(broker.frame().kind, UNIMPLEMENTED)
        broker.sock.sendall(frame(200, 0, ext=b"\x03\0\0\0") + frame(200, 0, ext=b"cut"))
        broker.send(PING, 5)
        pong = broker.frame()
        self.assertEqual((pong.kind, pong.id), (PONG, 5))
        odd = struct.pack("<HH", 5, 1) + b"x"
        self.assertEqual(broker.refused(1, 0, {}, ext=odd)["code"], Code.UNIMPLEMENTED)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w9_what_was_accepted_is_finished_after_goodbye(self):
        broker = FakeBroker(Notes())
        _, sink = broker.run()
        id = broker.call(6, sink, GET_CHANGES)
        broker.send(GOODBYE, body={"last_accepted": 0})
        self.assertEqual(broker.answer(id)[0], REPLY)
        self.assertEqual(broker.frame().kind, GOODBYE_OK)
        self.assertEqual(broker.end(), "goodbye")

    def test_a_lost_connection_is_no_goodbye(self):
        broker = FakeBroker(Notes())
        broker.initialize()
        self.assertIn("closed the connection", broker.end())


class Hostile(unittest.TestCase):
    """A broker that breaks the rules costs the connection and little memory."""

    def broken(self, *frames, words):
        broker = FakeBroker(Notes())
        broker.initialize()
        for one in frames:
            broker.sock.sendall(one)
        got = broker.frame()
        self.assertEqual(got.kind, ABORT, got.body)
        self.assertIn(words, got.json()["reason"])
        self.assertIn(words, broker.end())

    def test_what_breaks_the_protocol_ends_the_connection(self):
        huge = HEADER.pack(0xFFFFFFFF, CALL, 0, 0, 0, 3, 0, 1, 0, 0)
        handles = HEADER.pack(0, CALL, 0, 1, 0, 3, 0, 1, 0, 0)
        for bad, words in ((huge, "above the limit"), (handles, "descriptors"),
                           (frame(CALL, 1, b"", method=2), "not a new number"),
                           (frame(CALL, 2, b"", method=2), "not a new number"), (frame(REPLY, 2), "never issued"),
                           (frame(CREDIT, 0, b"short"), "24 bytes"), (frame(STREAM_OPEN, 9), "streams"),
                           (frame(CANCEL, 99), "never issued"), (frame(STREAM_RESET, 9), "never issued"),
                           (frame(SNAPSHOT, 0, b"[" * 1000), "nested"),
                           (frame(GOODBYE_OK), "no place"), (frame(HELLO_OK, body=b"{}"), "no place"),
                           (frame(PING, 0, ext=b"\x03\0\0\0"), "extension"),
                           (frame(PING, 0, ext=b"\x04\0\xff\0"), "extension")):
            with self.subTest(words=words):
                self.broken(bad, words=words)

    def test_w6_more_calls_than_announced(self):
        begin, go_on = threading.Event(), threading.Event()

        def discover(context):
            begin.set()
            go_on.wait(TIMEOUT)
            context.is_cancelled()
            return []

        broker = FakeBroker(Notes(discover=discover))
        instance = broker.initialize()
        broker.call(2, instance)
        begin.wait(TIMEOUT)
        for _ in range(65):
            broker.call(2, instance)
        go_on.set()
        while broker.frame().kind != ABORT:
            pass
        self.assertIn("more unanswered calls", broker.end())

    def test_a_body_that_cannot_be_read_is_an_error_answer(self):
        broker = FakeBroker(Notes())
        _, sink = broker.run()
        for body in (b"{", b"[]", b"\xff", b'{"slow_sync":true,"anchor":null,"more":1}', b'{"slow_sync":1}', b"", b"{}",
                     b'{"slow_sync":true,"slow_sync":true}', b'{"slow_sync":NaN}', b'{"slow_sync":true,"anchor":"?"}',
                     b"9" * 100_000, b"[" * 100_000):
            error = broker.refused(6, sink, body)
            self.assertEqual((error["code"], error["blame"]), (Code.INVALID, "Caller"), body[:50])
        self.assertEqual(broker.ask(6, sink, GET_CHANGES)[0]["count"], 1, "it goes on")
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_one_that_does_not_read_what_it_asked_for_is_cut_off(self):
        broker = FakeBroker(Notes())
        with contextlib.suppress(OSError):  # cut off
            broker.sock.sendall(frame(PING, 0) * 400_000)
            self.fail("11 MB of pings were taken")
        self.assertIn("does not read", broker.end())


    def test_no_damaged_bytes_do_more_than_end_the_connection(self):
        chance = random.Random(11)
        snapshot = {"Member": {"object": 7, "name": "m", "generation": 9, "options": [], "object_types": []}}
        good = [frame(CALL, 5, b"", 1, 2, budget=9), frame(CANCEL, 1), frame(CREDIT, 2, bytes(24)), frame(PING),
                frame(SNAPSHOT, 0, snapshot, 7), frame(CALL, 7, GET_CHANGES, 2, 6, ext=bytes(4)),
                frame(CALL, 9, {"items": [commit_item(b"x")]}, 2, 8), frame(GOODBYE, body={"last_accepted": 0})]
        for _ in range(200):
            broker = FakeBroker(Notes())
            broker.run()
            bytes_ = bytearray(b"".join(chance.choices(good, k=4)))
            for _ in range(chance.randrange(1, 6)):
                bytes_[chance.randrange(len(bytes_))] = chance.randrange(256)
            broker.sock.sendall(bytes_)
            self.assertIsInstance(broker.end(), str, bytes(bytes_))


class Streams(unittest.TestCase):
    def test_w5_a_push_waits_while_credit_is_missing(self):
        pushed = []

        def get_changes(sink, request, changes):
            for number in range(4000):
                changes.push(outrigger.Change(b"h%05d" % number, b"r" * 100, "note", "text"))
                pushed.append(number)
            return outrigger.ListingEnd(True)

        broker = FakeBroker(Notes(get_changes=get_changes), window=64 << 10)
        _, sink = broker.run()
        id = broker.call(6, sink, GET_CHANGES)
        got = broker.frame()
        self.assertEqual((got.kind, got.json()), (STREAM_OPEN, {"call": id, "kind": "Items"}))
        stream = got.id
        self.assertEqual(stream % 2, 0)
        data = b""
        while len(data) < 64 << 10:
            data += broker.frame().body
        self.assertEqual(len(data), 64 << 10, "to the last byte, and no further")
        broker.send(PING, 1)
        self.assertEqual(broker.frame().kind, PONG, "it listens while it waits")
        self.assertLess(len(pushed), 2000, "what is held back is bounded")
        broker.credit(stream, 1 << 40)
        while True:
            got = broker.frame()
            if got.kind != DATA:
                break
            data += got.body
        self.assertEqual((got.kind, got.json()), (STREAM_END, {"items": 4000, "bytes": len(data)}))
        reply = broker.frame()
        self.assertEqual((reply.kind, reply.json()["count"]), (REPLY, 4000), "the answer is behind its data")
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w5_the_connections_credit_counts_too(self):
        def get_changes(sink, request, changes):
            for number in range(2000):
                changes.push(outrigger.Change(b"h%05d" % number, b"r" * 100, "note", "text"))
            return outrigger.ListingEnd(True)

        limits = FakeBroker.hello(type("B", (), {"window": 1 << 20, "secret": None})())["limits"]
        broker = FakeBroker(Notes(get_changes=get_changes), hello={"limits": {
            **limits, "stream_window": 100_000, "connection_window": 100_000}})
        _, sink = broker.run()
        broker.call(6, sink, GET_CHANGES)
        stream, data = broker.frame().id, b""
        while len(data) < 100_000:
            data += broker.frame().body
        broker.credit(stream, 1 << 40, connection=100_000)
        broker.send(PING)
        self.assertEqual(broker.frame().kind, PONG, "credit of the stream alone moves nothing")
        broker.credit(0, 0, connection=1 << 40)
        self.assertEqual(broker.frame().kind, DATA)
        broker.end()

    def test_a_reset_ends_the_listing_and_not_the_plugin(self):
        def get_changes(sink, request, changes):
            for number in range(100_000):
                changes.push(outrigger.Change(b"h%05d" % number, b"r" * 100, "note", "text"))
            return outrigger.ListingEnd(True)

        broker = FakeBroker(Notes(get_changes=get_changes), window=64 << 10)
        _, sink = broker.run()
        id = broker.call(6, sink, GET_CHANGES)
        broker.send(STREAM_RESET, broker.frame().id, {"code": 1})
        got = broker.frame()
        while got.kind == DATA:
            got = broker.frame()
        self.assertEqual((got.kind, got.id, got.json()["code"]), (ERROR, id, Code.CANCELLED))
        self.assertEqual(broker.ask(11, sink), None)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_too_few_and_too_many_results_are_the_plugins_fault(self):
        def read(sink, items, results):
            for _ in range(self.count):
                results.push(outrigger.NotFound())

        broker = FakeBroker(Notes(read=read, commit=lambda *_: []))
        _, sink = broker.run()
        for self.count in (1, 3):
            error = broker.refused(7, sink, {"items": [{"href": "", "known": None}] * 2})
            self.assertEqual((error["code"], error["blame"]), (Code.INTERNAL, "Plugin"))
        error = broker.refused(8, sink, {"items": [commit_item(b"x")]})
        self.assertEqual((error["code"], error["effect"]), (Code.INTERNAL, "Unknown"))
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_an_item_that_is_too_large_is_named_and_the_rest_goes_on(self):
        plugin = Notes()
        plugin.notes[b"large"] = bytes(outrigger.MAX_CONTENT + 1)
        plugin.notes[b"just"] = bytes(outrigger.MAX_CONTENT)
        broker = FakeBroker(plugin)
        _, sink = broker.run()
        items = [{"href": b64(href), "known": None} for href in (b"large", b"just", b"first")]
        _, results = broker.ask(7, sink, {"items": items})
        self.assertEqual(results[0]["outcome"]["Failed"]["code"], Code.TOO_LARGE)
        self.assertEqual([list(one["outcome"]) for one in results[1:]], [["Item"], ["Item"]])
        self.assertEqual(broker.goodbye(), "goodbye")


class Calls(unittest.TestCase):
    def setUp(self):
        self.begun, self.go_on = threading.Event(), threading.Event()

    def waits(self, *_):
        """The body of a method that works until it is cancelled."""
        context = getattr(_[-1], "context", _[-1])
        self.begun.set()
        while not context.is_cancelled():
            self.go_on.wait(0.001)
        context.progress(1)  # raises

    def test_w4_a_cancel_is_seen_while_a_method_works(self):
        broker = FakeBroker(Notes(discover=self.waits))
        instance = broker.initialize()
        id = broker.call(2, instance)
        self.begun.wait(TIMEOUT)
        behind = broker.call(2, instance)
        broker.send(CANCEL, behind)
        kind, error, _, _ = broker.answer(behind)
        self.assertEqual((kind, error["code"], error["effect"]), (ERROR, Code.CANCELLED, "NotStarted"))
        broker.send(CANCEL, id)
        kind, error, _, _ = broker.answer(id)
        self.assertEqual((kind, error["code"], error["effect"]), (ERROR, Code.CANCELLED, "Unknown"))
        broker.send(CANCEL, id)  # too late: nothing happens
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w3_a_method_learns_that_its_time_is_over(self):
        broker = FakeBroker(Notes(discover=self.waits))
        instance = broker.initialize()
        self.assertEqual(broker.refused(2, instance, budget=50)["code"], Code.DEADLINE)
        error = broker.refused(2, instance, budget=0)
        self.assertEqual((error["code"], error["effect"]), (Code.DEADLINE, "NotStarted"))
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w3_a_method_knows_how_long_it_may_stay_silent(self):
        told = []
        plugin = Notes(discover=lambda context: told.append(context.idle()) or [outrigger.Collection("notes")],
                       connect=lambda sink, request, context: told.append(context.idle()))
        for idle in ({}, {"idle_ms": {"2": 1500, "777": 9}}):
            broker = FakeBroker(plugin, hello=idle)
            broker.run()
            self.assertEqual(broker.goodbye(), "goodbye")
        self.assertEqual(told, [60, 30, 1.5, 30])

    def test_w2_a_barrier_is_refused_while_another_call_is_open_and_a_nested_one_is_busy(self):
        broker = FakeBroker(Notes(get_changes=self.waits))
        instance, sink = broker.run()
        id = broker.call(6, sink, GET_CHANGES)
        self.begun.wait(TIMEOUT)
        for method, target, flags, code in ((9, sink, 0, Code.INVALID_STATE), (12, instance, 0, Code.INVALID_STATE),
                                            (7, sink, NESTED, Code.BUSY), (2, instance, NESTED, Code.BUSY)):
            open_call = broker.call(method, target, {"items": []} if method == 7 else b"", flags=flags)
            kind, error, _, _ = broker.answer(open_call)
            self.assertEqual((kind, error["code"], error["effect"]), (ERROR, code, "NotStarted"))
        broker.send(CANCEL, id)
        self.assertEqual(broker.answer(id)[0], ERROR)
        self.assertEqual(broker.ask(7, sink, {"items": []}, flags=NESTED), None, "not busy any more")
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_exceptions_are_error_answers_and_the_process_goes_on(self):
        def raises(error):
            def discover(context):
                raise error
            return discover

        plugin = Notes()
        broker = FakeBroker(plugin)
        instance = broker.initialize()
        cause = outrigger.Error(Code.AUTH, "no", outrigger.Blame.CONFIGURATION, retry=outrigger.after(1.5),
                                causes=[outrigger.Cause(Code.IO, "why")] * 20)
        for error, code, blame, effect in ((cause, Code.AUTH, "Configuration", "NotStarted"),
                                           (ZeroDivisionError("x"), Code.PANIC, "Plugin", "Unknown"),
                                           (PermissionError(13, "no"), Code.PERMISSION, "Member", "Unknown"),
                                           (RecursionError("deep"), Code.PANIC, "Plugin", "Unknown")):
            plugin.discover = raises(error)
            with contextlib.redirect_stderr(io.StringIO()) as log:
                answer = broker.refused(2, instance)
            self.assertEqual((answer["code"], answer["blame"], answer["effect"]), (code, blame, effect))
            if error is cause:
                self.assertEqual((answer["retry"], len(answer["causes"])), ({"After": 1500}, 16))
            else:
                self.assertIn(type(error).__name__, log.getvalue(), "the author sees where")
        plugin.discover = lambda context: 7
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(broker.refused(2, instance)["code"], Code.PANIC)
        del plugin.discover
        self.assertEqual(len(broker.ask(2, instance)["sinks"]), 1)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_a_value_of_the_wrong_type_is_the_plugins_mistake_and_not_a_broken_connection(self):
        good = dict(href=b"h", revision=b"r", object_type="note", format="text")
        wrong = [{"href": "h"}, {"revision": 7}, {"object_type": b"note"}, {"kind": "Unknown"}, {"settled": 1},
                 {"format": None}]
        plugin = Notes()
        broker = FakeBroker(plugin)
        _, sink = broker.run()
        with contextlib.redirect_stderr(io.StringIO()):
            for slip in wrong:
                change = outrigger.Change(**{**good, **slip})
                plugin.get_changes = lambda sink, request, changes: changes.push(change)  # noqa: B023
                error = broker.refused(6, sink, GET_CHANGES)
                self.assertEqual((error["code"], error["blame"]), (Code.PANIC, "Plugin"), slip)
                self.assertIn("belongs", error["message"])
            plugin.get_changes = lambda *_: outrigger.ListingEnd(True, "anchor")
            self.assertIn("belongs", broker.refused(6, sink, GET_CHANGES)["message"])
            plugin.commit = lambda *_: [None]
            self.assertIn("none of Done", broker.refused(8, sink, {"items": [commit_item(b"x")]})["message"])
            plugin.read = lambda sink, items, results: results.push(b"data")
            self.assertIn("none of Item", broker.refused(7, sink, {"items": [{"href": "", "known": None}]})["message"])

            def disconnect(sink, context):
                raise outrigger.Error("code", 7, "blame")

            plugin.disconnect = disconnect
            self.assertEqual(broker.refused(11, sink)["code"], Code.INTERNAL)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_an_error_that_fits_no_frame_is_shortened(self):
        def discover(context):
            raise outrigger.Error(Code.REMOTE, "\x01" * 8192, ext={2: bytes(1 << 20)})

        broker = FakeBroker(Notes(discover=discover))
        error = broker.refused(2, broker.initialize())
        self.assertEqual((error["code"], len(error["message"])), (Code.INTERNAL, 1000))
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_what_a_collection_says_of_retries_goes_to_the_engine(self):
        said = [None, outrigger.Dedupe.TOKEN, "lookup", "token, I think"]
        plugin = Notes(discover=lambda context: [outrigger.Collection("notes", dedupe=said[0])])
        broker = FakeBroker(plugin)
        instance = broker.initialize()
        self.assertEqual(broker.ask(2, instance)["sinks"][0]["ext"], {})
        for word in (b"token", b"lookup"):
            said.pop(0)
            self.assertEqual(broker.ask(2, instance)["sinks"][0]["ext"], {"2": b64(word)})
        said.pop(0)
        self.assertEqual(broker.refused(2, instance)["code"], Code.PANIC, "no such word")
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w6_an_answer_that_has_no_room_is_an_error(self):
        names = []
        plugin = Notes(create_collection=lambda request, context: outrigger.Collection(request.name),
                       discover=lambda context: [outrigger.Collection(name) for name in names])
        broker = FakeBroker(plugin)
        instance = broker.initialize()

        def create(length):
            operation = str(uuid.UUID(int=length))
            id = broker.call(3, instance, {"operation": operation, "name": "x" * length, "object_types": []})
            kind, body, _, _ = broker.answer(id)
            return body["name"] if kind == REPLY else body

        self.assertEqual(len(create(65_000)), 65_000)
        error = create(65_500)
        self.assertEqual((error["code"], error["effect"]), (Code.TOO_LARGE, "Done"))
        self.assertIn("above the limit of 65536", error["message"])
        names = [f"{n}-{'x' * 990}" for n in range(900)]
        self.assertEqual(len(broker.ask(2, instance)["sinks"]), 900, "a list has more room")
        names *= 2
        self.assertIn("above the limit of 1048576", broker.refused(2, instance)["message"])
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w6_an_error_that_has_no_room_is_shortened(self):
        def fails(*_):
            raise outrigger.Error(Code.REMOTE, "no", ext={2: bytes(60_000)})  # 80,000 in base64

        broker = FakeBroker(Notes(discover=fails, create_collection=fails))
        instance = broker.initialize()
        self.assertEqual(broker.refused(2, instance)["code"], Code.REMOTE)
        request = {"operation": str(uuid.UUID(int=1)), "name": "x", "object_types": []}
        shortened = broker.refused(3, instance, request)
        self.assertEqual((shortened["code"], shortened["message"]), (Code.INTERNAL, "no"))
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_what_was_kept_from_a_call_that_is_over_does_no_harm(self):
        kept = []

        def get_changes(sink, request, changes):
            for old in kept:
                for use in (lambda: old.push(outrigger.Change(b"h", b"r", "note", "text")),  # noqa: B023
                            lambda: old.context.progress(1)):  # noqa: B023
                    with self.assertRaises(outrigger.Error) as raised:
                        use()
                    self.assertEqual(raised.exception.code, Code.INVALID_STATE)
            kept.append(changes)
            return outrigger.ListingEnd(True)

        broker = FakeBroker(Notes(get_changes=get_changes))
        _, sink = broker.run()
        for _ in range(2):
            kind, listing, items, _ = broker.answer(broker.call(6, sink, GET_CHANGES))
            self.assertEqual((kind, listing["count"], items), (REPLY, 0, []), listing)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_x3_what_waits_when_the_broker_goes_is_not_begun(self):
        begun, go_on, seen = threading.Event(), threading.Event(), []

        def discover(context):
            seen.append(1)
            begun.set()
            go_on.wait(TIMEOUT)
            context.is_cancelled()  # takes in the call behind this one
            return []

        broker = FakeBroker(Notes(discover=discover))
        instance = broker.initialize()
        broker.call(2, instance)
        begun.wait(TIMEOUT)
        broker.call(2, instance)
        broker.sock.close()
        go_on.set()
        self.assertIn("connection", broker.end())
        self.assertEqual(len(seen), 1)

    def test_text_that_is_no_unicode_does_not_break_the_connection(self):
        def discover(context):
            raise outrigger.Error(Code.IO, "file \udcff\n" + "x" * 20_000)

        broker = FakeBroker(Notes(discover=discover))
        message = broker.refused(2, broker.initialize())["message"]
        self.assertTrue(message.startswith("file ?\n") and len(message.encode()) <= 8192)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_progress_logs_and_notices_are_sent_as_they_happen(self):
        def discover(context):
            context.progress(3, 10)
            context.waiting(2.5)
            context.log(outrigger.Level.WARN, "slow")
            context.notify("notes")
            context.notify()
            self.assertGreater(context.time_left(), 50)
            return [outrigger.Collection("notes")]

        broker = FakeBroker(Notes(discover=discover))
        instance = broker.initialize()
        broker.ask(2, instance)
        _, _, _, said = broker.answer(broker.call(2, instance))
        self.assertEqual([(one.kind, one.json()) for one in said[:3]], [
            (PROGRESS, {"done": 3, "total": 10, "waiting_ms": 0}),
            (PROGRESS, {"done": 0, "total": None, "waiting_ms": 2500}),
            (LOG, {"level": "Warn", "message": "slow"})])
        self.assertEqual([(one.kind, one.target) for one in said[3:]], [(NOTIFY, 2), (NOTIFY, instance)])
        self.assertEqual(broker.goodbye(), "goodbye")


class Callbacks(unittest.TestCase):
    """What a plugin asks of the engine."""

    def member(self, generation, *options):
        return {"object": 7, "name": "m", "generation": generation, "options": [list(one) for one in options],
                "object_types": []}

    def test_w11_a_set_is_one_compare_and_set_and_the_snapshot_stays_while_a_method_works(self):
        operation, seen = uuid.uuid4(), []

        def discover(context):
            updated = context.update_member(operation, [("token", "t2")], ["old"])
            seen.append((updated.applied, updated.member.option("token"), context.member.generation))
            return []

        plugin = Notes(discover=discover)
        broker = FakeBroker(plugin)
        instance = broker.initialize()
        id = broker.call(2, instance)
        asked = broker.frame()
        self.assertEqual((asked.kind, asked.id % 2, asked.target, asked.method, asked.flags), (CALL, 0, 7, 32, NESTED))
        self.assertEqual(asked.ext, struct.pack("<HHQ", 2, 8, id), "it names the call that it is made for")
        self.assertEqual(asked.json(), {"operation": str(operation), "generation": 3, "set": [["token", "t2"]],
                                        "unset": ["old"]})
        broker.send(REPLY, asked.id, {"applied": True, "member": self.member(4, ("token", "t2"))})
        broker.answer(id)
        self.assertEqual(seen, [(True, "t2", 3)])
        plugin.discover = lambda context: seen.append(context.member.generation) or []
        for generation, known in ((9, 9), (5, 9)):
            broker.send(SNAPSHOT, 0, {"Member": self.member(generation)}, target=7)
            broker.ask(2, instance)
            self.assertEqual(seen[-1], known)
        other = {**self.member(99), "object": 70}
        broker.send(SNAPSHOT, 0, {"Member": other}, target=70)
        broker.ask(2, instance)
        self.assertEqual(seen[-1], 9, "another's snapshot is nothing to it")
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_a_refusal_reaches_the_author_as_an_error(self):
        def discover(context):
            try:
                context.raise_slow_sync(uuid.uuid4(), "contact")
            except outrigger.Error as error:
                return [outrigger.Collection(f"{error.code} {error.message}")]

        broker = FakeBroker(Notes(discover=discover))
        id = broker.call(2, broker.initialize())
        asked = broker.frame()
        self.assertEqual((asked.method, asked.json()["object_type"]), (33, "contact"))
        error = {"code": 15, "blame": "Caller", "effect": "NotStarted", "retry": "Never", "message": "no", "causes": []}
        broker.send(ERROR, asked.id, error)
        self.assertEqual(broker.answer(id)[1]["sinks"][0]["name"], "15 no")
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_x4_new_names_are_one_call_for_the_collection_at_hand(self):
        seen = []

        def committed_all(sink, context):
            context.rename([(b"a", b"b"), (b"b", b"a\xff")])
            try:
                context.rename([(b"c", b"a")])
            except outrigger.Error as error:
                seen.append((sink, error.code))

        broker = FakeBroker(Notes(committed_all=committed_all))
        sink = broker.run()[1]
        id = broker.call(9, sink)
        asked = broker.frame()
        self.assertEqual((asked.kind, asked.target, asked.method, asked.flags), (CALL, 7, 38, NESTED))
        self.assertEqual(asked.ext, struct.pack("<HHQ", 2, 8, id), "it names the call that it is made for")
        self.assertEqual(asked.json(), {"sink": sink, "names": [[b64(b"a"), b64(b"b")], [b64(b"b"), b64(b"a\xff")]]})
        broker.send(REPLY, asked.id)
        error = {"code": 12, "blame": "Plugin", "effect": "NotStarted", "retry": "Never", "message": "", "causes": []}
        broker.send(ERROR, broker.frame().id, error)
        broker.answer(id)
        self.assertEqual(seen, [("notes", Code.EXISTS)])
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w6_an_answer_of_the_broker_that_has_no_room_ends_the_connection(self):
        for length, broken in ((60_000, False), (66_000, True)):
            broker = FakeBroker(Notes(discover=lambda context: context.ask(outrigger.AskKind.TEXT, "Name?") and []))
            id = broker.call(2, broker.initialize())
            broker.send(REPLY, broker.frame().id, {"text": "x" * length})
            if broken:
                self.assertEqual(broker.frame().kind, ABORT)
                self.assertIn("above the limit of 65536", broker.end())
            else:
                self.assertEqual(broker.answer(id)[0], REPLY)
                self.assertEqual(broker.goodbye(), "goodbye")

    def test_secrets_are_shown_nowhere(self):
        def discover(context):
            answer = context.ask(outrigger.AskKind.PASSWORD, "Password?")
            shown = f"{answer} {answer!r} {plugin.seen[0]!r}"
            context.log(outrigger.Level.INFO, f"{answer.expose()} and hunter2-given")
            raise ValueError(f"{answer.expose()} {plugin.seen[0].secret('pin').expose()} {shown}")

        plugin = Notes(discover=discover)
        broker = FakeBroker(plugin)
        instance = broker.initialize(secrets=[("pin", "hunter2-given")])
        with contextlib.redirect_stderr(io.StringIO()) as log:
            id = broker.call(2, instance)
            asked = broker.frame()
            self.assertEqual(asked.json(), {"kind": "Password", "prompt": "Password?", "choices": []})
            broker.send(REPLY, asked.id, {"text": "hunter2-asked"}, flags=SECRET)
            _, error, _, said = broker.answer(id)
        everything = log.getvalue() + json.dumps(error) + str([one.body for one in said])
        self.assertNotIn("hunter2", everything)
        self.assertIn("*** ***", error["message"])
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_w9_a_question_that_the_goodbye_left_out_was_not_started(self):
        broker = FakeBroker(Notes(discover=lambda context: context.ask(outrigger.AskKind.TEXT, "Name?")))
        id = broker.call(2, broker.initialize())
        broker.send(GOODBYE, body={"last_accepted": 0})
        asked = broker.frame()
        self.assertEqual((asked.kind, asked.method), (CALL, 34))
        kind, error, _, _ = broker.answer(id)
        self.assertEqual((kind, error["code"], error["effect"]), (ERROR, Code.DISCONNECTED, "NotStarted"))
        self.assertEqual(broker.frame().kind, GOODBYE_OK)
        self.assertEqual(broker.end(), "goodbye")

    def test_an_open_question_is_taken_back_when_its_call_is_cancelled(self):
        broker = FakeBroker(Notes(discover=lambda context: context.ask(outrigger.AskKind.TEXT, "Name?")))
        id = broker.call(2, broker.initialize())
        asked = broker.frame()
        broker.send(CANCEL, id)
        cancel = broker.frame()
        self.assertEqual((cancel.kind, cancel.id), (CANCEL, asked.id))
        self.assertEqual(broker.answer(id)[1]["code"], Code.CANCELLED)
        broker.send(REPLY, asked.id, {"text": "late"})  # dropped
        self.assertEqual(broker.goodbye(), "goodbye")


class Formats(unittest.TestCase):
    def plugin(self, marshal):
        number = outrigger.Format("number", marshal, lambda data: int(data),
                                  lambda a, b: outrigger.Verdict.SAME if a == b else outrigger.Verdict.SIMILAR)
        seen = []

        def commit(sink, batch, context):
            seen.extend((item.value, item.digest) for item in batch)
            return [outrigger.Done(b"h", b"r", digest=item.digest) for item in batch]

        def read(sink, items, results):
            for item in items:
                results.push(outrigger.Item(b"r", "number", value=-7))

        plugin = Notes(commit=commit, read=read)
        plugin.formats, plugin.got = [number], seen
        return plugin

    def test_values_are_marshalled_on_the_way_out_and_taken_apart_on_the_way_in(self):
        plugin = self.plugin(lambda number: b"%d" % number)
        broker = FakeBroker(plugin)
        instance, sink = broker.run()
        _, results = broker.ask(7, sink, {"items": [{"href": "", "known": None}]})
        self.assertEqual(results[0]["outcome"]["Item"]["data"], b64(b"-7"))
        items = [commit_item(b"+8", format="number"), commit_item(b"x", format="number"),
                 commit_item(b"9", format="number", digest=b64(bytes(32))), commit_item(b"10", format="number")]
        outcomes = [one["outcome"] for one in broker.ask(8, sink, {"items": items})["results"]]
        self.assertEqual([list(one)[0] for one in outcomes], ["Done", "Failed", "Failed", "Done"])
        self.assertEqual([outcomes[1]["Failed"]["code"], outcomes[2]["Failed"]["code"]], [Code.FORMAT, Code.INVALID])
        self.assertEqual([value for value, _ in plugin.got], [8, 10], "bad ones never reach the author")
        self.assertEqual(outcomes[0]["Done"]["digest"], b64(hashlib.sha256(b"8").digest()), "of what a read will give")
        ask = lambda method, **body: broker.ask(method, instance, {"format": "number", **body})  # noqa: E731
        self.assertEqual(ask(15, data=b64(b"+7")), {"data": b64(b"7")})
        self.assertEqual(ask(16, left=b64(b"+7"), right=b64(b"7")), {"verdict": "Same"})
        self.assertEqual(ask(16, left=b64(b"6"), right=b64(b"7")), {"verdict": "Similar"})
        self.assertEqual(broker.refused(15, instance, {"format": "?", "data": ""})["code"], Code.UNIMPLEMENTED)
        self.assertEqual(broker.refused(15, instance, {"format": "number", "data": b64(b"x")})["code"], Code.FORMAT)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_a_pair_that_is_no_identity_is_noticed(self):
        broker = FakeBroker(self.plugin(lambda number: b"%d" % abs(number)))
        _, sink = broker.run()
        _, results = broker.ask(7, sink, {"items": [{"href": "", "known": None}]})
        failed = results[0]["outcome"]["Failed"]
        self.assertEqual((failed["code"], failed["blame"]), (Code.FORMAT, "Plugin"))
        results = broker.ask(8, sink, {"items": [commit_item(b"-8", format="number")]})["results"]
        self.assertEqual(results[0]["outcome"]["Failed"]["code"], Code.FORMAT)
        self.assertEqual(broker.goodbye(), "goodbye")

    def test_formats_are_named_when_the_instance_is_made(self):
        broker = FakeBroker(self.plugin(lambda number: b"%d" % number))
        body = {"member": {"object": 7, "name": "m", "generation": 0, "options": [], "object_types": []},
                "group": {"object": 8, "name": "g", "generation": 0, "members": [], "object_types": [],
                          "conflict": "queue"}}
        self.assertEqual(broker.ask(1, 0, body)["formats"], [{"name": "number", "plain": False, "compare": True}])
        self.assertEqual(broker.goodbye(), "goodbye")


class Start(unittest.TestCase):
    """From the start of a process, over either kind of connection."""

    PLUGIN = """if True:
        import os, sys
        import outrigger
        from test_outrigger import Notes

        def discover(context):
            print("printed")
            descriptor = "/proc/self/fd/0"
            return [outrigger.Collection(os.readlink(descriptor) if os.path.exists(descriptor) else "/dev/null")]

        sys.exit(outrigger.serve(Notes(discover=discover)))
    """

    def process(self, **more):
        folder = pathlib.Path(__file__).parent
        python = [sys.executable, "-B", "-c", "import fake_broker\n" + self.PLUGIN]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(python, cwd=folder, text=True, **pipes, **more)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def broker(self, sock, secret=None):
        broker = FakeBroker.__new__(FakeBroker)
        broker.sock, broker.secret, broker.next, broker.window = sock, secret, 1, 1 << 18
        sock.settimeout(TIMEOUT)
        self.addCleanup(sock.close)
        broker.shake({})
        return broker

    def ends_well(self, broker, process):
        name = broker.ask(2, broker.initialize())["sinks"][0]["name"]
        broker.send(GOODBYE, body={"last_accepted": 0})
        self.assertEqual(broker.frame().kind, GOODBYE_OK)
        broker.sock.close()
        self.assertEqual(process.communicate(timeout=TIMEOUT), ("", "printed\n"), "print is the log")
        self.assertEqual(process.returncode, 0)
        return name

    def test_an_inherited_connection_leaves_descriptor_0_empty(self):
        ours, theirs = socket.socketpair()
        process = self.process(stdin=theirs, env={"OUTRIGGER_FD": "0"})
        theirs.close()
        self.assertEqual(self.ends_well(self.broker(ours), process), "/dev/null")

    def test_a_named_connection_is_proved_with_the_token_on_standard_input(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
            listener.settimeout(TIMEOUT)
            listener.bind(folder + "/s")
            listener.listen()
            process = self.process(stdin=subprocess.PIPE, env={"OUTRIGGER_ENDPOINT": folder + "/s"})
            process.stdin.write("0f" * 32 + "\n")
            process.stdin.flush()
            broker = self.broker(listener.accept()[0], bytes([15] * 32))
            self.ends_well(broker, process)

    def test_without_a_broker_it_says_what_it_is(self):
        for env, code, words in (({}, 2, "a broker starts it"), ({"OUTRIGGER_ENDPOINT": "/nowhere"}, 1, "no token")):
            process = self.process(stdin=subprocess.DEVNULL, env=env)
            self.assertIn(words, process.communicate(timeout=TIMEOUT)[1])
            self.assertEqual(process.returncode, code)


class Readme(unittest.TestCase):
    """The connector on one screen is not only to be looked at."""

    def test_the_connector_of_the_readme_works(self):
        text = (pathlib.Path(outrigger.__file__).parent / "README.md").read_text()
        source = text.split("```python\n", 1)[1].split("```", 1)[0].replace("sys.exit(outrigger.serve(Notes()))", "")
        names = {}
        exec(compile(source, "README.md", "exec"), names)
        with tempfile.TemporaryDirectory() as folder:
            broker = FakeBroker(names["Notes"]())
            _, sink = broker.run(options=[("path", folder)])
            create = commit_item(b"one")
            done = broker.ask(8, sink, {"items": [create]})["results"][0]["outcome"]["Done"]
            again = broker.ask(8, sink, {"items": [create]})["results"][0]["outcome"]["Done"]
            self.assertEqual((again, len(list(pathlib.Path(folder).iterdir()))), (done, 1))
            _, listed = broker.ask(6, sink, GET_CHANGES)
            self.assertEqual([(one["href"], one["revision"]) for one in listed], [(done["href"], done["revision"])])
            update = commit_item(b"two", kind="Update", href=done["href"], expected=b64(bytes(32)))
            outcome = broker.ask(8, sink, {"items": [update]})["results"][0]["outcome"]
            self.assertEqual(outcome["Failed"]["code"], Code.PRECONDITION)
            update["expected"] = done["revision"]
            outcome = broker.ask(8, sink, {"items": [update]})["results"][0]["outcome"]
            delete = commit_item(b"", kind="Delete", href=done["href"], expected=outcome["Done"]["revision"])
            self.assertIn("Done", broker.ask(8, sink, {"items": [delete]})["results"][0]["outcome"])
            _, results = broker.ask(7, sink, {"items": [{"href": done["href"], "known": None}]})
            self.assertEqual(results[0]["outcome"], "NotFound")
            self.assertEqual(broker.goodbye(), "goodbye")


if __name__ == "__main__":
    unittest.main()
