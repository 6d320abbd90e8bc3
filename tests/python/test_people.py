"""The example connector over SQLite: its pair of functions, and what a retry or a foreign hand finds."""
import hashlib
import pathlib
import random
import sqlite3
import sys
import tempfile
import unittest

from fake_broker import FakeBroker, b64
from outrigger import Code
from test_outrigger import GET_CHANGES, commit_item

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "sqlite_people"))

import people  # noqa: E402


def card(*lines):
    return "".join(line + "\r\n" for line in ("BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD")).encode()


class Vcards(unittest.TestCase):
    def test_a_card_fills_the_columns_and_keeps_the_rest_and_comes_back_byte_by_byte(self):
        rich = card("UID:u1", "N:Doe;Jane;;;", "FN:Jane\\, Doe", "item1.EMAIL;TYPE=work:jane@a.example",
                    "EMAIL:second@a.example", "TEL;VALUE=uri:tel:+1;ext=5", "NOTE:one\\ntwo", "PHOTO;ENCODING=b:AAAA",
                    'X-A;P="a:b":{note}', "REV:20260101")
        person = people.demarshal(rich)
        self.assertEqual((person.uid, person.name, person.email, person.phone, person.note),
                         ("u1", "Jane, Doe", "jane@a.example", "tel:+1;ext=5", "one\ntwo"))
        self.assertEqual(people.marshal(person), rich)
        person.email, person.note = "new@a.example", ""
        edited = people.marshal(person).decode()
        self.assertIn("item1.EMAIL;TYPE=work:new@a.example\r\nEMAIL:second@a.example\r\n", edited)
        self.assertNotIn("NOTE", edited)
        again = people.demarshal(edited.encode())
        self.assertEqual((again, people.marshal(again)), (people.demarshal(people.marshal(again)), edited.encode()))

    def test_a_card_with_other_line_ends_or_folds_comes_back_as_it_came_until_a_column_is_changed(self):
        for data in (card("UID:u", "FN:Ada").replace(b"\r\n", b"\n"), card("UID:u", "FN:A\r\n da", "X:=")):
            person = people.demarshal(data)
            self.assertEqual((person.name, people.marshal(person)), ("Ada", data))
            person.name = "Bea"
            self.assertIn(b"FN:Bea\r\nEND:VCARD\r\n", people.marshal(person).replace(b"X:=\r\n", b""))

    def test_a_row_without_a_card_is_a_card_of_its_columns(self):
        person = people.Person("u", "Ann; B", "a@b", "", "x" * 200 + "ü")
        data = people.marshal(person)
        self.assertEqual(people.demarshal(data), person)
        self.assertTrue(all(len(line) <= 75 for line in data.split(b"\r\n")))
        self.assertNotIn(b"TEL", data)

    def test_what_is_no_card_is_refused(self):
        for data in (b"", b"hello", b"\xff", card() + card(), b"BEGIN:VCARD", card("FN:a\rb"),
                     b"END:VCARD\nBEGIN:VCARD"):
            with self.assertRaises(ValueError, msg=data):
                people.demarshal(data)

    def test_the_pair_is_an_identity_whatever_stands_in_the_rows_and_cards(self):
        pieces = ["a", "ü", "\\", ",", ";", ":", "\n", "\r", "{", "}", "!", "{note}", "{note!}", "{uid}", '"', " ",
                  "\t", "NOTE:", "\u2028"]
        names = ["FN", "NOTE", "note", "EMAIL", "g.TEL;TYPE=x", "UID", "X-A", "NOTE;ENCODING=B", ""]
        chance = random.Random(7)
        text = lambda: "".join(chance.choices(pieces, k=chance.randrange(5)))  # noqa: E731
        for _ in range(5000):
            try:
                lines = [f"{chance.choice(names)}:{text()}" for _ in range(chance.randrange(6))]
                person = people.demarshal(card(*lines))
            except ValueError:
                continue  # a line end in a value: no card
            self.assertEqual(people.demarshal(people.marshal(person)), person)
            for name in chance.choices(["uid", "name", "email", "phone", "note"], k=2):  # a hand edits columns
                setattr(person, name, text())
            normal = people.demarshal(people.marshal(person))
            self.assertEqual(people.demarshal(people.marshal(normal)), normal)

    def test_they_compare_by_what_they_mean(self):
        verdict = lambda a, b: people.compare(a, b).name  # noqa: E731
        one = people.Person("u", "Ann", "a@b")
        self.assertEqual(verdict(one, people.Person("u", "Ann", "a@b")), "SAME")
        phone = lambda number: people.Person("u", "Ann", "a@b", number)  # noqa: E731
        self.assertEqual(verdict(phone("+47 22 33"), phone("+47-(22)33")), "SAME")
        self.assertEqual(verdict(phone("+47 22 33"), phone("+47 22 34")), "SIMILAR")
        self.assertEqual(verdict(one, people.Person("u", "Anna")), "SIMILAR")
        self.assertEqual(verdict(one, people.Person("", "Ann")), "SIMILAR")
        self.assertEqual(verdict(one, people.Person("v", "Ann")), "DIFFERENT")


class Table(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(pathlib.Path(folder.name, "people.db"))
        self.sql = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(self.sql.close)
        self.sql.executescript(people.SCHEMA)

    def broker(self):
        broker = FakeBroker(people.People)
        broker.instance, broker.sink = broker.run(options=[("path", self.path)])
        self.addCleanup(self.finish, broker)
        return broker

    def finish(self, broker):
        for method, target in ((11, broker.sink), (12, broker.instance)):
            broker.ask(method, target)
        self.assertEqual(broker.goodbye(), "goodbye")

    def commit(self, broker, data, **changes):
        item = commit_item(data, object_type="contact", format="vcard", **changes)
        return item, broker.ask(8, broker.sink, {"items": [item]})["results"][0]["outcome"]

    def rows(self):
        return self.sql.execute("SELECT id, uid, name, rev FROM people").fetchall()

    def test_x1_x4_a_retried_create_answers_the_same_and_is_done_once(self):
        broker = self.broker()
        item, first = self.commit(broker, card("UID:u1", "FN:Ann"))
        self.sql.execute("UPDATE people SET name = 'Anna'")  # meanwhile
        again = broker.ask(8, broker.sink, {"items": [item]})["results"][0]["outcome"]
        self.assertEqual((again, self.rows()), (first, [(1, "u1", "Anna", 2)]))
        other = self.broker()  # after a crash
        self.assertEqual(other.ask(8, other.sink, {"items": [item]})["results"][0]["outcome"], first)
        _, refused = self.commit(other, card("UID:u1", "FN:Bob"), operation=item["operation"])
        self.assertEqual(refused["Failed"]["code"], Code.INVALID, "an operation is bound to its content")

    def test_a_write_is_done_only_if_the_row_is_as_expected(self):
        broker = self.broker()
        data = card("UID:u1", "FN:Ann")
        _, done = self.commit(broker, data)
        href, revision = done["Done"]["href"], done["Done"]["revision"]
        self.assertEqual(done["Done"]["digest"], b64(hashlib.sha256(data).digest()))
        self.sql.execute("UPDATE people SET email = 'a@b'")
        for kind in ("Update", "Delete"):
            _, failed = self.commit(broker, card("FN:x"), kind=kind, href=href, expected=revision)
            self.assertEqual(failed["Failed"]["code"], Code.PRECONDITION)
        self.assertEqual(self.rows(), [(1, "u1", "Ann", 2)])
        _, listed = broker.ask(6, broker.sink, GET_CHANGES)
        self.assertEqual([one["revision"] for one in listed], [b64(b"2")])
        _, done = self.commit(broker, card("UID:u1", "FN:Al"), kind="Update", href=href, expected=b64(b"2"))
        self.assertEqual((done["Done"]["revision"], self.rows()), (b64(b"3"), [(1, "u1", "Al", 3)]))
        digest = b64(hashlib.sha256(card("UID:u1", "FN:Al")).digest())
        _, done = self.commit(broker, b"", kind="Delete", href=href, expected=b64(b"9"), expected_digest=digest)
        self.assertEqual((list(done), self.rows()), (["Done"], []))
        _, done = self.commit(broker, b"", kind="Delete", href=href, expected=b64(b"3"))
        self.assertEqual(list(done), ["Done"], "it is as it shall be")
        _, gone = self.commit(broker, data, kind="Update", href=href, expected=b64(b"3"))
        self.assertEqual(gone["Failed"]["code"], Code.PRECONDITION)
        self.commit(broker, data)
        self.assertEqual(self.rows()[0][0], 2, "a name is never given twice")

    def test_a_second_row_of_a_uid_fails_alone(self):
        broker = self.broker()
        items = [commit_item(card("UID:u", f"FN:{name}"), object_type="contact", format="vcard") for name in "ab"]
        items.append(commit_item(card("FN:c"), object_type="contact", format="vcard"))
        outcomes = [one["outcome"] for one in broker.ask(8, broker.sink, {"items": items})["results"]]
        self.assertEqual([list(one)[0] for one in outcomes], ["Done", "Failed", "Done"])
        self.assertEqual(outcomes[1]["Failed"]["code"], Code.EXISTS)
        self.assertEqual([name for _, _, name, _ in self.rows()], ["a", "c"])

    def test_a_locked_table_is_busy_and_nothing_is_written(self):
        broker = self.broker()
        self.sql.execute("BEGIN IMMEDIATE")
        error = broker.refused(8, broker.sink, {"items": [commit_item(card("FN:a"), format="vcard")]})
        self.assertEqual((error["code"], error["effect"], error["retry"]), (Code.BUSY, "NotStarted", {"After": 1000}))
        self.sql.execute("ROLLBACK")
        self.assertEqual(self.rows(), [])

    def test_a_row_that_is_no_card_is_named_and_the_rest_is_read(self):
        broker = self.broker()
        self.sql.execute("INSERT INTO people (uid, name, rest) VALUES ('a', 'A', 'nonsense'), ('b', 'B', '')")
        items = [{"href": b64(href), "known": None} for href in (b"1", b"2", b"3", b"02", b"x")]
        _, results = broker.ask(7, broker.sink, {"items": items})
        outcomes = [one["outcome"] for one in results]
        self.assertEqual(outcomes[0]["Failed"]["code"], Code.FORMAT)
        self.assertEqual(outcomes[2:], ["NotFound"] * 3)
        self.assertIn("Item", outcomes[1])

    def test_a_file_that_is_not_there_is_not_made(self):
        broker = FakeBroker(people.People)
        self.addCleanup(broker.end)
        with self.assertRaises(AssertionError):
            broker.initialize(options=[("path", self.path + "x")])
        self.assertFalse(pathlib.Path(self.path + "x").exists())


if __name__ == "__main__":
    unittest.main()
