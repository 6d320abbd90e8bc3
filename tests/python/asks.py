"""A connector that asks the engine all that it can, and prints the answers. `tests/system/python.rs` starts it."""
import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "plugin-sdk" / "python"))

import outrigger  # noqa: E402


def types(member):
    return [one.object_type + "!" * one.slow_sync for one in member.object_types]


class Asks(outrigger.Plugin):
    has_main_sink = True

    def initialize(self, request, context):
        print("began with", request.member.option("token"), types(request.member))

    def discover(self, context):
        return [outrigger.Collection("book", object_types=["contact"])]

    def connect(self, sink, request, context):
        print("connect", sink or "main", types(context.member), context.group.object_types)

    def disconnect(self, sink, context):
        print("disconnect", sink or "main", context.member.option("token"))

    def get_changes(self, sink, request, changes):
        context, first, second = changes.context, uuid.uuid4(), uuid.uuid4()
        updated = context.update_member(first, [("token", "kept")], [])
        print("set", updated.applied, updated.member.option("token"), context.member.option("token"))
        print("again", context.update_member(first, [("token", "kept")], []).applied)
        print("stale", context.update_member(second, [("token", "lost")], []).applied)
        context.raise_slow_sync(uuid.uuid4(), "contact")
        try:
            context.ask(outrigger.AskKind.CONFIRM, "Sure?")
        except outrigger.Error as error:
            print("asked", outrigger.Code(error.code).name)
        context.notify(sink)
        context.log(outrigger.Level.WARN, "a line of the log")
        return outrigger.ListingEnd(complete=True)


sys.exit(outrigger.serve(Asks()))
