#!/usr/bin/env python3
"""A connector over one SQLite table of people, who travel as vCards.

Inside, an item is a row; on the wire it is a vCard: a format with a `marshal`, a `demarshal` and a
`compare` of its own. What the table has no column for is kept in `rest`, so that nothing is lost.
`people.py --create FILE` makes an empty file; the README beside this one tells the rest.
"""
from __future__ import annotations

import contextlib
import hashlib
import pathlib
import re
import sqlite3
import sys
import time
from dataclasses import dataclass, replace
from typing import Optional, Sequence, Union

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[2] / "plugin-sdk" / "python"))  # or beside this file

import outrigger  # noqa: E402
from outrigger import Blame, Code, CommitKind, Done, Error  # noqa: E402

SCHEMA = """
CREATE TABLE people (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: it is what the engine calls the item
    uid   TEXT UNIQUE DEFAULT (lower(hex(randomblob(16)))),
    name  TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    phone TEXT NOT NULL DEFAULT '',
    note  TEXT NOT NULL DEFAULT '',
    rest  TEXT NOT NULL DEFAULT '',           -- the vCard around the columns; '' = nothing but them
    rev   INTEGER NOT NULL DEFAULT 1          -- rises with each change, whoever makes it
);
CREATE TRIGGER people_changed AFTER UPDATE ON people WHEN NEW.rev = OLD.rev BEGIN
    UPDATE people SET rev = OLD.rev + 1 WHERE id = OLD.id;
END;
CREATE TABLE operations (                     -- what was done already, should the answer have been lost
    operation TEXT PRIMARY KEY,
    digest    BLOB NOT NULL,
    href      BLOB NOT NULL,
    revision  BLOB NOT NULL,
    at        INTEGER NOT NULL                -- seconds since 1970
) WITHOUT ROWID;
CREATE TABLE store (identity BLOB NOT NULL);
INSERT INTO store VALUES (randomblob(16));
"""

KEEP_OPERATIONS = 30 * 86400  # seconds

# ---------------------------------------------------------------- a person, and the person as a vCard

COLUMNS = {"UID": "uid", "FN": "name", "EMAIL": "email", "TEL": "phone", "NOTE": "note"}
AS_IT_CAME = "="
EDGES = ("BEGIN:VCARD", "END:VCARD")
LINE = re.compile(r'((?:"[^"]*"|[^":])*):(.*)', re.DOTALL)


@dataclass
class Person:
    """`rest` holds the lines of the card; `{email}` stands where the column's value belongs, `{email!}` if
    that is not escaped as it should be and has to stay so. A card with other line ends or folds than ours is
    kept there as it came, behind `=`."""

    uid: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
    note: str = ""
    rest: str = ""


def escape(text: str) -> str:
    return re.sub(r"\r\n?|\n", r"\\n", re.sub(r"[\\,;]", r"\\\g<0>", text))


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], text)


def column(line: str) -> tuple[Optional[str], str, str]:
    """The column that a line could fill, what stands before its value, and the value."""
    match = LINE.fullmatch(line)
    if match is None:
        return None, line, ""
    name, _, parameters = match[1].partition(";")
    encoded = "ENCODING" in parameters.upper()
    return None if encoded else COLUMNS.get(name.rpartition(".")[2].upper()), match[1] + ":", match[2]


def demarshal(data: bytes) -> Person:
    """The person whom a card describes. ValueError: it is not one vCard."""
    person = parse(data)
    return person if marshal(person) == data else replace(person, rest=AS_IT_CAME + data.decode())


def parse(data: bytes) -> Person:
    text = re.sub(rb"\r?\n[ \t]", b"", data).decode().replace("\r\n", "\n").rstrip("\n")
    lines = text.split("\n")
    edges = [(number, line.upper()) for number, line in enumerate(lines) if line.upper() in EDGES]
    if edges != [(0, EDGES[0]), (len(lines) - 1, EDGES[1])] or "\r" in text:
        raise ValueError("this is not one vCard")
    person = Person()
    for number, line in enumerate(lines):
        name, before, value = column(line)
        if name and value and not getattr(person, name):
            exact = escape(unescape(value)) == value
            setattr(person, name, unescape(value) if exact else value)
            lines[number] = before + ("{%s}" if exact else "{%s!}") % name
    person.rest = "" if lines == plain(person) else "\n".join(lines)
    return person


def plain(person: Person) -> list[str]:
    """The lines of a card that holds nothing but columns."""
    filled = [f"{key}:{{{name}}}" for key, name in COLUMNS.items() if getattr(person, name)]
    return ["BEGIN:VCARD", "VERSION:4.0", *filled, "END:VCARD"]


def marshal(person: Person) -> bytes:
    if person.rest.startswith(AS_IT_CAME):
        data = person.rest[len(AS_IT_CAME):].encode()
        card = parse(data)
        if replace(card, rest=person.rest) == person:
            return data
        person = replace(person, rest=card.rest)  # a column was changed: the card is written anew
    lines, used = [], set()
    for line in person.rest.split("\n") if person.rest else plain(person):
        name, before, value = column(line)
        if name is None or name in used or value not in ("{%s}" % name, "{%s!}" % name):
            lines.append(line)
            continue
        used.add(name)
        text = getattr(person, name)
        if text:
            lines.append(before + (text if value.endswith("!}") and not re.search("[\r\n]", text) else escape(text)))
    lines[-1:-1] = [f"{key}:{escape(getattr(person, name))}" for key, name in COLUMNS.items()
                    if name not in used and getattr(person, name)]
    return "".join(fold(line) + "\r\n" for line in lines).encode()


def fold(line: str) -> str:
    """At most 75 bytes a line, and no character cut in two."""
    folded, room = "", 75
    for character in line:
        size = len(character.encode())
        if size > room:
            folded, room = folded + "\r\n ", 74
        folded, room = folded + character, room - size
    return folded


def compare(left: Person, right: Person) -> outrigger.Verdict:
    if meaning(left) == meaning(right):
        return outrigger.Verdict.SAME
    about_one = left.uid == right.uid if left.uid and right.uid else left.name == right.name
    return outrigger.Verdict.SIMILAR if about_one else outrigger.Verdict.DIFFERENT


def meaning(person: Person) -> Person:
    """How a number is grouped says nothing: +47 22 33 is +47-2233."""
    return replace(person, phone=re.sub(r"[ ().-]", "", person.phone))


# ---------------------------------------------------------------- the table


def open_table(path: str) -> sqlite3.Connection:
    """Every transaction is on the disk when COMMIT returns. sqlite3.Error: there is no such table."""
    uri = pathlib.Path(path).absolute().as_uri() + "?mode=rw"
    table = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1)
    table.execute("PRAGMA synchronous = EXTRA")
    table.execute("SELECT id, uid, name, email, phone, note, rest, rev FROM people LIMIT 0")
    table.execute("SELECT operation, digest, href, revision, at FROM operations LIMIT 0")
    return table


def create(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as table:
        table.executescript(SCHEMA)


def columns_of(person: Person) -> tuple[Optional[str], ...]:
    return (person.uid or None, person.name, person.email, person.phone, person.note, person.rest)


class People(outrigger.Plugin):
    formats = (outrigger.Format("vcard", marshal, demarshal, compare),)

    def initialize(self, request: outrigger.Initialize, context: outrigger.Context) -> None:
        path = request.member.option("path")
        self.name = request.member.option("collection", "people") or ""
        if not path or not self.name:
            raise Error(Code.INVALID, "say under `path` where the database is", Blame.CONFIGURATION,
                        retry=outrigger.WITH_FIX)
        try:
            if request.member.option("create") == "true" and not pathlib.Path(path).exists():
                create(path)
            self.table = open_table(path)
        except sqlite3.Error as error:
            raise Error(Code.NOT_FOUND, f"{path}: {error}; `people.py --create FILE` makes one", Blame.MEMBER,
                        retry=outrigger.WITH_FIX) from None

    def discover(self, context: outrigger.Context) -> list[outrigger.Collection]:
        identity = self.table.execute("SELECT identity FROM store").fetchone()[0]
        return [outrigger.Collection(self.name, ["contact"], ["vcard"], store=identity,
                                     dedupe=outrigger.Dedupe.TOKEN)]

    def get_changes(self, sink: str, request: outrigger.GetChanges,
                    changes: outrigger.ChangeSink) -> outrigger.ListingEnd:
        for number, revision in self.table.execute("SELECT id, rev FROM people ORDER BY id").fetchall():
            changes.push(outrigger.Change(b"%d" % number, b"%d" % revision, "contact", "vcard"))
        return outrigger.ListingEnd(complete=True)

    def read(self, sink: str, items: list[outrigger.ReadItem], results: outrigger.ReadSink) -> None:
        for item in items:
            try:
                person, revision = self.find(item.href)
                results.push(outrigger.NotFound() if person is None
                             else outrigger.Item(b"%d" % revision, "vcard", value=person))
            except ValueError as error:
                results.push(Error(Code.FORMAT, f"row {item.href!r}: {error}", Blame.MEMBER))

    def find(self, href: bytes) -> tuple[Optional[Person], int]:
        """The person in a row, and its revision. A hand may have changed the columns and not `rest`, so the
        row is taken for what its card says."""
        if not re.fullmatch(b"[1-9][0-9]{0,17}", href):
            return None, 0
        row = self.table.execute("SELECT coalesce(uid, ''), name, email, phone, note, rest, rev FROM people"
                                 " WHERE id = ?", (int(href),)).fetchone()
        return (None, 0) if row is None else (demarshal(marshal(Person(*row[:6]))), row[6])

    def commit(self, sink: str, batch: list[outrigger.CommitItem],
               context: outrigger.Context) -> Sequence[Union[Done, Error]]:
        """All in one transaction, and with it what was done: an answer may be lost, a write is not done twice."""
        try:
            self.table.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise Error(Code.BUSY, str(error), Blame.MEMBER, retry=outrigger.after(1)) from None
        try:
            outcomes = [self.write(item) for item in batch]
            self.table.execute("COMMIT")
            return outcomes
        except sqlite3.Error as error:
            raise Error(Code.IO, f"nothing was written: {error}", Blame.MEMBER, outrigger.Effect.UNKNOWN) from None
        finally:
            if self.table.in_transaction:
                self.table.execute("ROLLBACK")

    def write(self, item: outrigger.CommitItem) -> Union[Done, Error]:
        operation, binding = str(item.operation), hashlib.sha256(b"%s %s %s" % (
            item.kind.value.encode(), item.href, item.digest)).digest()
        known = self.table.execute("SELECT digest, href, revision FROM operations WHERE operation = ?",
                                   (operation,)).fetchone()
        if known is not None and known[0] != binding:
            return Error(Code.INVALID, "this operation was done with another content", Blame.CALLER)
        if known is None:
            try:
                known = (binding, *self.apply(item))
            except Error as error:
                return error
            except ValueError as error:
                return Error(Code.FORMAT, f"row {item.href!r}: {error}", Blame.MEMBER)
            self.table.execute("INSERT INTO operations VALUES (?, ?, ?, ?, ?)", (operation, *known, int(time.time())))
        return Done(known[1], known[2], digest=None if item.kind is CommitKind.DELETE else item.digest)

    def apply(self, item: outrigger.CommitItem) -> tuple[bytes, bytes]:
        """Writes one item if it is as the caller expects. Gives its name and revision."""
        try:
            if item.kind is CommitKind.CREATE:
                made = self.table.execute("INSERT INTO people (uid, name, email, phone, note, rest)"
                                          " VALUES (?, ?, ?, ?, ?, ?)", columns_of(item.value))
                return b"%d" % (made.lastrowid or 0), b"1"
            person, revision = self.find(item.href)
            if person is None and item.kind is CommitKind.DELETE:
                return item.href, b""  # it is as it shall be
            self.check(item, person, revision)
            if item.kind is CommitKind.DELETE:
                self.table.execute("DELETE FROM people WHERE id = ?", (int(item.href),))
                return item.href, b""
            self.table.execute("UPDATE people SET uid = ?, name = ?, email = ?, phone = ?, note = ?, rest = ?, rev = ?"
                               " WHERE id = ?", (*columns_of(item.value), revision + 1, int(item.href)))
            return item.href, b"%d" % (revision + 1)
        except sqlite3.IntegrityError:
            raise Error(Code.EXISTS, "somebody else has this uid", Blame.MEMBER) from None

    def check(self, item: outrigger.CommitItem, person: Optional[Person], revision: int) -> None:
        if person is None:
            raise Error(Code.PRECONDITION, "the row is gone", Blame.MEMBER)
        if item.expected == b"%d" % revision or item.expected_digest == hashlib.sha256(marshal(person)).digest():
            return
        raise Error(Code.PRECONDITION, "the row was changed by somebody else", Blame.MEMBER)

    def sync_done(self, sink: str, context: outrigger.Context) -> None:
        self.table.execute("DELETE FROM operations WHERE at < ?", (int(time.time()) - KEEP_OPERATIONS,))

    def finalize(self, context: outrigger.Context) -> None:
        self.table.close()


def main() -> int:
    if sys.argv[1:2] == ["--create"] and len(sys.argv) == 3:
        create(sys.argv[2])
        return 0
    return outrigger.serve(People())


if __name__ == "__main__":
    sys.exit(main())
