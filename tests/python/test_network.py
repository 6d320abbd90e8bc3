"""Network by name in the SDK: the right stream for each answer, or a clean end, and never a leak."""
import os
import socket
import unittest

from fake_broker import ABORT, CALL, CANCEL, HEADER, NESTED, PING, REPLY, FakeBroker, frame, outrigger

CONNECTED = {"address": "127.0.0.1:1"}


def open_files():
    return len(os.listdir("/proc/self/fd"))


class Reaching(outrigger.Plugin):
    """Does `act` in `discover`; keeps what comes of it."""

    def __init__(self, act):
        self.act, self.result = act, None

    def initialize(self, request, context):
        pass

    def discover(self, context):
        try:
            self.result = self.act(context)
        except outrigger.Error as error:
            self.result = error
            raise
        return []


def connection():
    """A TCP connection: the end that is handed over, and the other."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


def answer(id, handles=1):
    body = frame(REPLY, id, CONNECTED)[28:]
    return HEADER.pack(len(body), REPLY, 0, handles, 0, id, 0, 0, 0, 0) + body


@unittest.skipUnless(os.path.isdir("/proc/self/fd"), "needs Linux")
class Network(unittest.TestCase):
    def setUp(self):
        self.before = open_files()

    def reach(self, act, features=("handles",)):
        """A plugin that has asked; its broker, the number of its call, and the plugin."""
        plugin = Reaching(act)
        broker = FakeBroker(plugin, hello={"features": list(features)})
        instance = broker.initialize()
        self.call = broker.call(2, instance)
        return broker, plugin

    def asked(self, broker):
        got = broker.frame()
        self.assertEqual((got.kind, got.method, got.target, got.flags), (CALL, 35, 7, NESTED))
        return got

    def finish(self, broker):
        self.assertEqual(broker.goodbye(), "goodbye")
        self.assertEqual(open_files(), self.before)

    def test_a_stream_is_a_socket_like_any_other(self):
        def act(context):
            with context.connect("dav.example.org", 443) as stream:
                stream.sendall(b"hello")
                return stream.recv(9), stream.gettimeout(), stream.get_inheritable()

        broker, plugin = self.reach(act)
        self.assertEqual(broker.theirs["features"], ["handles"])
        got = self.asked(broker)
        self.assertEqual(got.json(), {"host": "dav.example.org", "port": 443})
        ours, other = connection()
        with ours, other:
            other.sendall(b"you too")
            broker.sock.sendall(frame(PING, 0))  # glued to what follows
            socket.send_fds(broker.sock, [answer(got.id)[:5]], [ours.fileno()])
            broker.sock.sendall(answer(got.id)[5:])
            ours.close()
            broker.answer(self.call)
            self.assertEqual(plugin.result, (b"you too", None, False))
            self.assertEqual(other.recv(9), b"hello")
            self.assertEqual(other.recv(9), b"", "closed: nobody else has a copy")
        self.finish(broker)

    def test_descriptors_that_do_not_belong_end_the_connection_and_are_closed(self):
        cases = [(frame(PING, 0), 1), (None, 2), (None, 0), (answer(2, 2), 2), (answer(4, 1), 1), (frame(PING, 0), 200)]
        for at, (said, count) in enumerate(cases):
            with self.subTest(at):
                broker, plugin = self.reach(lambda context: context.connect("a", 1))
                said = said or answer(self.asked(broker).id)
                ours, other = connection()
                socket.send_fds(broker.sock, [said], [ours.fileno()] * count) if count else broker.sock.sendall(said)
                ours.close()
                got = broker.frame()
                while got.kind != ABORT:
                    got = broker.frame()
                self.assertTrue(got.json()["reason"].startswith(("descriptors", "number 4")), got.json())
                broker.end()
                self.assertEqual(other.recv(9), b"", "closed")
                other.close()
                if isinstance(plugin.result, socket.socket):
                    plugin.result.close()  # it had its own, and the other was one too many
                self.assertEqual(open_files(), self.before)

    def test_without_the_feature_it_says_so_and_asks_nobody(self):
        broker, plugin = self.reach(lambda context: context.connect("a", 1), features=())
        kind, error, _, _ = broker.answer(self.call)
        self.assertEqual(error["code"], outrigger.Code.UNIMPLEMENTED)
        self.finish(broker)

    def test_the_stream_of_a_late_answer_is_closed(self):
        broker, plugin = self.reach(lambda context: context.connect("a", 1))
        got = self.asked(broker)
        broker.send(CANCEL, self.call)
        kind, error, _, _ = broker.answer(self.call)
        self.assertEqual(error["code"], outrigger.Code.CANCELLED)
        ours, other = connection()
        socket.send_fds(broker.sock, [answer(got.id)], [ours.fileno()])
        ours.close()
        self.assertEqual(other.recv(9), b"", "closed")
        other.close()
        self.finish(broker)

    def test_what_is_no_tcp_stream_is_not_taken_for_one(self):
        broker, plugin = self.reach(lambda context: context.connect("a", 1))
        ours, other = socket.socketpair()
        socket.send_fds(broker.sock, [answer(self.asked(broker).id)], [ours.fileno()])
        ours.close()
        kind, error, _, _ = broker.answer(self.call)
        self.assertEqual((error["code"], error["blame"]), (outrigger.Code.INVALID, "Broker"))
        self.assertEqual(other.recv(9), b"", "closed")
        other.close()
        self.finish(broker)

    def test_records_are_looked_up(self):
        def act(context):
            return context.lookup_srv("_caldavs._tcp.example.org"), context.lookup_txt("example.org")

        broker, plugin = self.reach(act)
        for method, records in (
                (36, [{"priority": 0, "weight": 5, "port": 443, "target": "dav.example.org"}]),
                (37, [{"data": "eD15"}])):
            got = broker.frame()
            self.assertEqual(got.method, method)
            broker.send(REPLY, got.id, {"records": records})
        broker.answer(self.call)
        self.assertEqual(plugin.result, ([outrigger.SrvRecord(0, 5, 443, "dav.example.org")], [b"x=y"]))
        self.finish(broker)


if __name__ == "__main__":
    unittest.main()
