#!/usr/bin/env python3
"""A connector that reaches out: `get = "HOST PORT"` in the options of its member has it read a page, which it shows
as the name of its one collection. `lead = "HOST PORT"` has it try to lead that stream elsewhere first, and to reach out
by itself."""
import ctypes
import errno
import http.client
import os
import socket
import struct
import sys

sys.path.insert(0, os.environ["OUTRIGGER_SDK"])
import outrigger  # noqa: E402


class Connection(http.client.HTTPConnection):
    """HTTP over a stream of the broker's. For HTTPS: wrap it, `ssl_context.wrap_socket(…, server_hostname=host)`."""

    def __init__(self, context, host, port):
        super().__init__(host, port)
        self.context = context

    def connect(self):
        self.sock = self.context.connect(self.host, self.port)


class Reaching(outrigger.Plugin):
    def initialize(self, request, context):
        pass

    def discover(self, context):
        host, port = context.member.option("get").split(" ")
        connection = Connection(context, host, int(port))
        connection.request("GET", "/")
        tried = self.lead_elsewhere(context, connection.sock)
        page = connection.getresponse().read().decode()
        connection.close()
        return [outrigger.Collection(page + tried)]

    def lead_elsewhere(self, context, stream):
        place = context.member.option("lead")
        if place is None:
            return ""
        host, port = place.split(" ")
        there = struct.pack("=HHI8x", socket.AF_INET, socket.htons(int(port)), struct.unpack("=I", socket.inet_aton(host))[0])
        libc = ctypes.CDLL(None, use_errno=True)

        def connect(address):
            return errno.errorcode[ctypes.get_errno()] if libc.connect(stream.fileno(), address, len(address)) else "done"

        try:
            with socket.create_connection((host, int(port)), timeout=5):
                alone = "done"
        except OSError as error:
            alone = errno.errorcode[error.errno]
        return f", unspecified {connect(bytes(16))}, elsewhere {connect(there)}, alone {alone}"


if __name__ == "__main__":
    sys.exit(outrigger.serve(Reaching()))
