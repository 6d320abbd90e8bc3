//! A connector in another language, from a file of the user's: `examples/sqlite_people` takes part
//! beside vdir, its rows travelling as vCards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{LAPTOP, Link, PHONE, World, card};

#[test]
#[ignore = "needs python3"]
fn a_table_and_a_folder_are_kept_the_same() {
    kept_the_same(People::new(Link::Inherited));
}

#[test]
#[ignore = "needs python3"]
fn a_table_and_a_folder_are_kept_the_same_over_a_named_connection() {
    kept_the_same(People::new(Link::Named));
}

/// What the table has columns for, and what it has not.
const ANNA: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:anna\r\nN:Dahl;Anna;;;\r\nFN:Anna Dahl\r\n\
    EMAIL;TYPE=work:anna@work.example\r\nEMAIL:anna@home.example\r\nBDAY:1990-01-02\r\n\
    NOTE:likes tea\\, not coffee\r\nPHOTO;ENCODING=b:AAAA\r\nEND:VCARD\r\n";

fn kept_the_same(people: People) {
    all_comes_across(&people);
    an_edit_on_either_side(&people);
    an_edit_back(&people);
    a_deletion_on_either_side(&people);
    both_changed_it(&people);
    both_wrote_down_her_number(&people);
}

/// Bert, as the connector writes him.
const BERT: &str =
    "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:bert\r\nFN:Bert\\; jr.\r\nEMAIL:bert@a.example\r\nEND:VCARD\r\n";

fn all_comes_across(people: &People) {
    let world = &people.world;
    world.put(LAPTOP, "anna.vcf", ANNA);
    world.put(LAPTOP, "carl.vcf", card("carl", "Carl"));
    people.sql("INSERT INTO people (uid, name, email) VALUES ('bert', 'Bert; jr.', 'bert@a.example')");
    world.sync_well().wrote(LAPTOP, [1, 0, 0]).wrote(PHONE, [2, 0, 0]);
    assert_eq!(
        people.rows(),
        "anna|Anna Dahl|anna@work.example|likes tea, not coffee\n\
         bert|Bert; jr.|bert@a.example|\ncarl|Carl||\n"
    );
    assert_eq!(world.get(LAPTOP, "bert.vcf"), BERT);
    world.assert_at_rest(0);
}

/// An edit on either side, in one run; nothing of the rich card is lost.
fn an_edit_on_either_side(people: &People) {
    let world = &people.world;
    people.sql("UPDATE people SET email = 'anna@new.example', phone = '+47 1' WHERE uid = 'anna'");
    let richer = BERT.replace("END:", "NOTE:from the folder\r\nADR:;;Street 1;;;;\r\nEND:");
    world.put(LAPTOP, "bert.vcf", &richer);
    world.sync_well().wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 1, 0]);
    let edited = ANNA.replace("anna@work", "anna@new").replace("END:", "TEL:+47 1\r\nEND:");
    assert_eq!(world.get(LAPTOP, "anna.vcf"), edited);
    assert!(people.rows().contains("bert|Bert; jr.|bert@a.example|from the folder\n"));
    world.assert_at_rest(0);
}

/// And back to what it said before.
fn an_edit_back(people: &People) {
    let world = &people.world;
    people.sql("UPDATE people SET email = 'anna@work.example', phone = '' WHERE uid = 'anna'");
    world.sync_well().wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 0, 0]);
    assert_eq!(world.get(LAPTOP, "anna.vcf"), ANNA);
    world.assert_at_rest(0);
}

fn a_deletion_on_either_side(people: &People) {
    let world = &people.world;
    people.sql("DELETE FROM people WHERE uid = 'bert'");
    world.delete(LAPTOP, "carl.vcf");
    world.sync_well().wrote(LAPTOP, [0, 0, 1]).wrote(PHONE, [0, 0, 1]);
    assert_eq!((people.rows().lines().count(), world.items(LAPTOP).len()), (1, 1));
    world.assert_at_rest(0);
}

/// Both changed it: both stay as they are until somebody decides.
fn both_changed_it(people: &People) {
    let world = &people.world;
    people.sql("UPDATE people SET name = 'Anna T.' WHERE uid = 'anna'");
    world.put(LAPTOP, "anna.vcf", ANNA.replace("FN:Anna Dahl", "FN:Anna L."));
    world.sync().expect(3).counted("conflicts", 1).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    assert!(people.rows().starts_with("anna|Anna T.|"));
    world.put(LAPTOP, "anna.vcf", ANNA.replace("FN:Anna Dahl", "FN:Anna T."));
    world.sync_well().counted("conflicts", 0).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    world.assert_at_rest(0);
}

/// Both wrote down her number, each in its own way: the connector knows that it is one number.
fn both_wrote_down_her_number(people: &People) {
    let world = &people.world;
    people.sql("UPDATE people SET phone = '+47 22 33' WHERE uid = 'anna'");
    let numbered = ANNA.replace("FN:Anna Dahl", "FN:Anna T.").replace("END:", "TEL:+47-2233\r\nEND:");
    world.put(LAPTOP, "anna.vcf", &numbered);
    world.run(["plan", "contacts", "--json"]).expect(0).counted("conflicts", 0);
    world.sync_well().counted("conflicts", 0).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    world.assert_at_rest(0);
    assert_eq!(people.sql("SELECT phone FROM people"), "+47 22 33\n");
    assert_eq!(world.get(LAPTOP, "anna.vcf"), numbered);
    world.put(LAPTOP, "anna.vcf", numbered.replace("2233", "2234"));
    world.sync_well().wrote(PHONE, [0, 1, 0]);
    assert_eq!(people.sql("SELECT phone FROM people"), "+47-2234\n");
    world.assert_at_rest(0);
}

#[test]
#[ignore = "needs python3"]
fn a_plan_writes_nothing_to_the_table() {
    let people = People::new(Link::Inherited);
    people.world.put(LAPTOP, "anna.vcf", ANNA);
    people.sql("INSERT INTO people (uid, name) VALUES ('bert', 'Bert')");
    let before = people.world.members();
    people.world.run(["plan", "contacts"]).expect(0);
    for (before, now) in before.iter().zip(&people.world.members()) {
        before.assert_untouched(now);
    }
}

#[test]
#[ignore = "needs python3"]
fn a_table_that_is_not_there_is_named_in_the_plugins_words() {
    let people = People::new(Link::Inherited);
    fs::remove_file(people.table()).unwrap();
    people.world.sync().expect(4).says(&[
        "the plugin of phone",
        "the plugin people says",
        "people.db",
        "--create",
    ]);
    assert!(!people.table().exists());
}

/// W11 and the calls back, in codec 2.
#[test]
#[ignore = "needs python3"]
fn w11_what_a_connector_sets_is_kept_for_its_next_run() {
    let people = People::new(Link::Inherited);
    let asks =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/asks.py")).unwrap();
    fs::write(people.world.path("people/people.py"), asks).unwrap();
    let sync = || people.world.run(["-v", "sync", "contacts"]).expect(0);
    let told = [
        "began with None []",
        "connect main ['contact'] ['contact', 'event']",
        "connect book ['contact'] ['contact', 'event']",
        "set True kept None",
        "again True",
        "stale False",
        "asked PERMISSION",
        "a line of the log",
        "disconnect book kept",
        "disconnect main kept",
    ];
    sync().says(&told);
    sync().says(&["began with kept ['contact!']"]);
}

#[test]
#[ignore = "needs python3"]
fn the_sdk_and_the_example_keep_their_promises() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let run = Command::new(python()).args(["-B", "-m", "unittest"]).current_dir(tests).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// A world whose phone is a table of people.
struct People {
    world: World,
    python: PathBuf,
}

impl People {
    fn new(link: Link) -> Self {
        let (world, python) = (World::new(link), python());
        let folder = people_in(&world);
        let program = folder.join("people.py");
        fs::remove_dir(world.member(PHONE).join("book")).unwrap();
        let member = format!("plugin = \"people\"\npath = \"./{PHONE}/people.db\"\ncollection = \"book\"\n");
        let text = fs::read_to_string(world.config()).unwrap();
        let text = text.replace(&format!("plugin = \"vdir\"\npath = \"./{PHONE}\"\n"), &member);
        // The interpreter itself, see below; all else is the manifest that is shipped.
        let manifest = folder.join("plugin.toml");
        let shipped = fs::read_to_string(&manifest).unwrap();
        let command = format!("command = [{python:?}, \"-B\", \"./people.py\"]");
        fs::write(manifest, shipped.replace("command = [\"./people.py\"]", &command)).unwrap();
        world.configure_as(&format!("{text}\n[plugin.people]\nmanifest = {folder:?}\n"));
        world.sync().expect(7).says(&["people is not trusted yet"]);
        let wants = ["change the folder that holds what the option `path` names", "execute "];
        world.run(["plugin", "trust", "people", "--yes"]).expect(0).says(&wants);
        let people = Self { world, python };
        people.run(&["-B".as_ref(), &program, "--create".as_ref(), &people.table()]);
        people
    }

    fn table(&self) -> PathBuf {
        self.world.member(PHONE).join("people.db")
    }

    fn run(&self, args: &[&Path]) -> String {
        let run = Command::new(&self.python).args(args).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }

    /// What some other program does with the table; its answer, a line a row.
    fn sql(&self, statement: &str) -> String {
        const RUN: &str = "import sqlite3, sys\ntable = sqlite3.connect(sys.argv[1])\n\
            for row in table.execute(sys.argv[2]): print('|'.join(row))\ntable.commit()";
        self.run(&["-c".as_ref(), RUN.as_ref(), &self.table(), statement.as_ref()])
    }

    fn rows(&self) -> String {
        self.sql("SELECT uid, name, email, note FROM people ORDER BY uid")
    }
}

/// A folder with the example as its README says to lay it out: the SDK beside it.
pub(crate) fn people_in(world: &World) -> PathBuf {
    let (sources, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), world.path("people"));
    fs::create_dir(&folder).unwrap();
    for file in [
        "examples/sqlite_people/people.py",
        "examples/sqlite_people/plugin.toml",
        "plugin-sdk/python/outrigger.py",
    ] {
        let file = sources.join(file);
        fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    folder
}

/// The interpreter itself: what is found by name may be a script that needs an environment.
pub(crate) fn python() -> PathBuf {
    let script = "import sys; print(sys.executable)";
    let found = Command::new("python3").args(["-c", script]).output().expect("python3");
    String::from_utf8(found.stdout).unwrap().trim_end().into()
}
