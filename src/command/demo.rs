//! `demo`: a sync from beginning to end, with real plugin processes, in a temporary folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use outrigger::config::{Config, Draft, DraftMember, Places};
use outrigger::conflicts::name_raised;
use outrigger::exit::Exit;
use outrigger::report::{Failure, RunReport, write_run};
use outrigger::run::{Options, Unwatched, run};

use super::{Ended, block_on, print};
use crate::cli::DemoArgs;

const PEOPLE: [(&str, &str); 5] = [
    ("ada", "Ada Lovelace"),
    ("anna", "Anna García"),
    ("bert", "Bert Müller"),
    ("grace", "Grace Hopper"),
    ("kenji", "山田 健二"),
];

/// Plays the whole story, then says where to look.
pub(crate) fn demo(args: &DemoArgs) -> Ended {
    let folder = Folder::new(args.keep)?;
    let story = Story { root: &folder.path, config: configure(&folder.path)? };
    let ended = story.tell();
    let ended = ended?;
    let path = folder.path.display();
    if args.keep {
        let file = folder.path.join("outrigger.toml");
        print(|out| writeln!(out, "\nLook around: {path}\n  outrigger -c {} status", file.display()))?;
    } else {
        print(|out| {
            writeln!(out, "\nThe folder {path} is gone again; `outrigger demo --keep` leaves it there.")
        })?;
    }
    print(|out| {
        writeln!(out, "Your own folders: `outrigger init`, then `outrigger plan`, then `outrigger sync`.")
    })?;
    Ok(ended)
}

struct Story<'s> {
    root: &'s Path,
    config: Config,
}

impl Story<'_> {
    fn tell(&self) -> Ended {
        let [laptop, phone] = [self.root.join("laptop/family"), self.root.join("phone/family")];
        for folder in [&laptop, &phone] {
            fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        }
        for (uid, name) in &PEOPLE[..3] {
            write(&laptop, uid, name, "")?;
        }
        for (uid, name) in &PEOPLE[3..] {
            write(&phone, uid, name, "")?;
        }
        self.sync("1. Two address books, laptop with 3 cards and phone with 2, meet for the first time.")?;

        write(&laptop, "ada", "Ada Lovelace", "TEL:+44 20 1815\r\n")?;
        write(&phone, "grace", "Grace Hopper", "EMAIL:grace@example.org\r\n")?;
        fs::remove_file(phone.join("bert.vcf")).map_err(|error| failed(&phone, &error))?;
        write(&laptop, "anna", "Anna García", "TEL:+49 170 1\r\n")?;
        write(&phone, "anna", "Anna García", "TEL:+49 170 2\r\n")?;
        self.sync(
            "2. The laptop gave Ada a number; the phone gave Grace an address and deleted Bert;\n   \
             both gave Anna a number, and not the same.",
        )?;

        write(&phone, "anna", "Anna García", "TEL:+49 170 1\r\n")?;
        let report =
            self.sync("3. Somebody made up their mind: the phone has the laptop's number for Anna now.")?;
        Ok(if report.exit() == Exit::Conflicts { Exit::Internal } else { report.exit() })
    }

    fn sync(&self, title: &str) -> Result<RunReport, Failure> {
        let mut report = block_on(run(&self.config, &Options::default(), &Unwatched))?;
        name_raised(&self.config, &mut report);
        print(|out| {
            writeln!(out, "\n{title}\n")?;
            write_run(&report, out)?;
            for plugin in &report.plugins {
                let (name, member, pid, ms) =
                    (&plugin.plugin, &plugin.member, plugin.pid, plugin.start.as_millis());
                writeln!(
                    out,
                    "            {member} was served by the plugin {name} in process {pid}, ready after {ms} ms"
                )?;
            }
            Ok(())
        })?;
        Ok(report)
    }
}

fn configure(root: &Path) -> Result<Config, Failure> {
    let member =
        |name: &str| DraftMember { name: name.into(), plugin: "vdir".into(), place: format!("./{name}") };
    let draft = Draft { group: "contacts".into(), members: vec![member("laptop"), member("phone")] };
    let file = root.join("outrigger.toml");
    let text = format!("state = \"./state\"\n\n{draft}");
    fs::write(&file, &text).map_err(|error| failed(&file, &error))?;
    Ok(Config::load(&file, &Places::from_environment())?)
}

fn write(folder: &Path, uid: &str, name: &str, more: &str) -> Result<(), Failure> {
    let card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\n{more}END:VCARD\r\n");
    let file = folder.join(format!("{uid}.vcf"));
    fs::write(&file, card).map_err(|error| failed(&file, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::internal(format!("{} cannot be written", path.display())).because(error)
}

/// A folder of the demo's own; it goes away with this unless it is kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn new(keep: bool) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("outrigger-demo-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _gone = fs::remove_dir_all(&self.path);
        }
    }
}
