#!/usr/bin/env python3
"""A connector that reaches out: `get = "HOST PORT"` in the options of its member has it read a page, which it shows
as the name of its one collection."""
import http.client
import os
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
        page = connection.getresponse().read().decode()
        connection.close()
        return [outrigger.Collection(page)]


if __name__ == "__main__":
    sys.exit(outrigger.serve(Reaching()))
