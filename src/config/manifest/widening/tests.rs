//! Comparing wishes: by hand, and against a model that asks of single deeds whether they are allowed.

use proptest::prelude::*;

use super::*;

fn fixed(path: &str) -> PathWish {
    PathWish::Fixed(path.into())
}

fn told(old: &Wishes, new: &Wishes) -> Vec<String> {
    beyond(old, new).iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_more_is_said_in_plain_words() {
    let old = Wishes {
        read: vec![fixed("/srv/a")],
        write: vec![PathWish::FolderOf("db".into())],
        memory: Some(1 << 20),
        processes: Some(1),
        file_size: Some(1000),
        require: vec![Guarantee::FsRead],
        ..Wishes::default()
    };
    let new = Wishes {
        profile: Profile::Network,
        read: vec![fixed("/srv/a/b"), PathWish::Plugin, fixed("/srv"), PathWish::Option("db".into())],
        write: vec![PathWish::Option("db".into()), PathWish::FolderOf("other".into())],
        execute: vec![PathWish::Plugin, fixed("/bin/sh")],
        network: vec![HostWish::Fixed("h:1".into()), HostWish::Option("url".into())],
        memory: Some(3 << 30),
        processes: None,
        file_size: Some(1001),
        require: Vec::new(),
        on_unsupported: OnUnsupported::Weaken,
    };
    let expected = [
        "use the network",
        "read /srv",
        "change the folder that holds what the option `other` names",
        "execute /bin/sh",
        "reach h:1",
        "reach the host of the option `url`",
        "use up to 3 GiB of memory",
        "have up to 64 processes and threads (the default)",
        "write files of up to 1001 bytes",
        "start where `fs_read` is not enforced",
        "start where what it requires cannot be enforced",
    ];
    assert_eq!(told(&old, &new), expected);
    let less = ["change the folder that holds what the option `db` names"];
    assert_eq!(told(&new, &old), less, "the file alone is less than its folder");
}

#[test]
fn a_neighbour_is_not_within() {
    let of = |path: &str| Wishes { read: vec![fixed(path)], ..Wishes::default() };
    assert!(!told(&of("/srv/a"), &of("/srv/ab")).is_empty());
    assert!(!told(&of("/srv/a"), &Wishes { write: vec![fixed("/srv/a")], ..Wishes::default() }).is_empty());
    let host = |host: &str| Wishes { network: vec![HostWish::Fixed(host.into())], ..Wishes::default() };
    assert!(!told(&host("h:443"), &host("h:4430")).is_empty());
    assert!(!told(&host("h.example:1"), &host("example:1")).is_empty());
}

#[test]
fn all_wishes_are_listed_with_the_limits_that_are_enforced() {
    let listed: Vec<String> = Wishes::default().list().iter().map(ToString::to_string).collect();
    let defaults = [
        "use up to 1 GiB of memory (the default)",
        "have up to 64 processes and threads (the default)",
        "write files of up to 1 GiB (the default)",
    ];
    assert_eq!(listed, defaults);
}

#[test]
fn a_limit_that_is_left_out_is_the_default() {
    let default = Wishes::default();
    let said = Wishes {
        memory: Some(Policy::MEMORY),
        processes: Some(Policy::PROCESSES),
        file_size: Some(Policy::FILE_SIZE),
        ..Wishes::default()
    };
    assert_eq!((beyond(&default, &said), beyond(&said, &default)), (Vec::new(), Vec::new()));
    let more = Wishes { memory: Some(Policy::MEMORY + 1), ..Wishes::default() };
    assert_eq!(beyond(&default, &more), [Wish::Memory(more.memory)]);
}

/// A small world, so that wishes meet.
fn paths() -> impl Strategy<Value = Vec<PathWish>> {
    let path = prop_oneof![
        Just(PathWish::Plugin),
        Just(PathWish::Option("a".into())),
        Just(PathWish::FolderOf("a".into())),
        Just(PathWish::FolderOf("b".into())),
        prop::sample::select(vec!["/x", "/x/y", "/x/y/z", "/xy", "/w"]).prop_map(fixed),
    ];
    prop::collection::vec(path, 0..4)
}

fn hosts() -> impl Strategy<Value = Vec<HostWish>> {
    let host = prop_oneof![
        Just(HostWish::Option("a".into())),
        prop::sample::select(vec!["h:1", "h:2", "i:1"]).prop_map(|host| HostWish::Fixed(host.into())),
    ];
    prop::collection::vec(host, 0..3)
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let limit = |default: u64| prop::option::of(prop_oneof![0_u64..4, default - 1..default + 2]);
    let guarantees =
        prop::sample::subsequence(vec![Guarantee::FsRead, Guarantee::Memory, Guarantee::Network], 0..=3);
    let grants = (paths(), paths(), paths(), hosts());
    let processes = prop::option::of(prop_oneof![1_u32..4, Policy::PROCESSES - 1..Policy::PROCESSES + 2]);
    let limits = (limit(Policy::MEMORY), processes, limit(Policy::FILE_SIZE));
    (grants, limits, guarantees, any::<bool>()).prop_map(|(grants, limits, require, weaken)| {
        let (read, write, execute, network) = grants;
        let (memory, processes, file_size) = limits;
        let profile = if network.is_empty() { Profile::Strict } else { Profile::Network };
        let on_unsupported = if weaken { OnUnsupported::Weaken } else { OnUnsupported::Refuse };
        Wishes {
            profile,
            read,
            write,
            execute,
            network,
            memory,
            processes,
            file_size,
            require,
            on_unsupported,
        }
    })
}

/// Every deed of the small world: what a plugin might do, or where it might be started.
#[derive(Debug, Clone, PartialEq)]
enum Deed {
    Read(&'static str),
    Write(&'static str),
    Execute(&'static str),
    Reach(&'static str),
    Use(u64),
    Fork(u32),
    Grow(u64),
    StartWithout(Guarantee),
}

/// The files of the world. `a` is the option's file in the folder `/f`, `b`'s is in `/g`; the plugin
/// lies in `/p`.
const FILES: [&str; 9] = ["/x", "/x/y", "/x/y/z", "/xy", "/w", "/f/a", "/f/other", "/g/b", "/p/main"];

fn deeds() -> Vec<Deed> {
    let files = FILES.into_iter().flat_map(|file| [Deed::Read(file), Deed::Write(file), Deed::Execute(file)]);
    let hosts = ["h:1", "h:2", "i:1", "the host of a"].into_iter().map(Deed::Reach);
    let bytes = |default: u64| (0..5).chain(default - 1..default + 3);
    let uses = bytes(Policy::MEMORY).map(Deed::Use).chain(bytes(Policy::FILE_SIZE).map(Deed::Grow));
    let amounts = uses.chain((1..5).chain(Policy::PROCESSES - 1..Policy::PROCESSES + 3).map(Deed::Fork));
    let starts = [Guarantee::FsRead, Guarantee::Memory, Guarantee::Network].map(Deed::StartWithout);
    files.chain(hosts).chain(amounts).chain(starts).collect()
}

/// What a sandbox made of these wishes would let happen.
fn allows(wishes: &Wishes, deed: &Deed) -> bool {
    let grants = |list: &[PathWish], file: &str| list.iter().any(|grant| grants(grant, file));
    let own = |file: &str| file.starts_with("/p/");
    match deed {
        Deed::Read(file) => {
            own(file) || [&wishes.read, &wishes.write, &wishes.execute].iter().any(|list| grants(list, file))
        }
        Deed::Write(file) => grants(&wishes.write, file),
        Deed::Execute(file) => own(file) || grants(&wishes.execute, file),
        Deed::Reach(host) => {
            wishes.profile != Profile::Strict && wishes.network.iter().any(|wish| reaches(wish, host))
        }
        Deed::Use(bytes) => *bytes <= wishes.memory.unwrap_or(Policy::MEMORY),
        Deed::Fork(count) => *count <= wishes.processes.unwrap_or(Policy::PROCESSES),
        Deed::Grow(bytes) => *bytes <= wishes.file_size.unwrap_or(Policy::FILE_SIZE),
        Deed::StartWithout(guarantee) => {
            wishes.on_unsupported == OnUnsupported::Weaken || !wishes.require.contains(guarantee)
        }
    }
}

fn grants(grant: &PathWish, file: &str) -> bool {
    match grant {
        PathWish::Plugin => file.starts_with("/p/"),
        PathWish::Option(_) => file == "/f/a",
        PathWish::FolderOf(name) => file.starts_with(if name == "a" { "/f/" } else { "/g/" }),
        PathWish::Fixed(path) => std::path::Path::new(file).starts_with(path),
    }
}

fn reaches(wish: &HostWish, host: &str) -> bool {
    match wish {
        HostWish::Option(_) => host == "the host of a",
        HostWish::Fixed(fixed) => fixed == host,
    }
}

/// Other orders of all lists, and entries twice.
fn shuffled(wishes: &Wishes) -> Wishes {
    fn turned<T: Clone>(list: &[T]) -> Vec<T> {
        list.iter().rev().chain(list).cloned().collect()
    }
    Wishes {
        read: turned(&wishes.read),
        write: turned(&wishes.write),
        execute: turned(&wishes.execute),
        network: turned(&wishes.network),
        require: turned(&wishes.require),
        ..wishes.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    /// The one that matters: what is let through allows nothing new.
    #[test]
    fn what_is_not_more_allows_nothing_more(old in wishes(), new in wishes()) {
        if beyond(&old, &new).is_empty() {
            for deed in deeds() {
                prop_assert!(allows(&old, &deed) || !allows(&new, &deed), "{deed:?}");
            }
        }
    }

    #[test]
    fn the_same_in_any_order_is_not_more(wishes in wishes()) {
        prop_assert_eq!(beyond(&wishes, &shuffled(&wishes)), []);
        prop_assert_eq!(beyond(&shuffled(&wishes), &wishes), []);
    }

    #[test]
    fn less_is_not_more(old in wishes(), keep in prop::collection::vec(any::<bool>(), 12)) {
        let mut keep = keep.into_iter().cycle();
        let mut new = old.clone();
        for list in [&mut new.read, &mut new.write, &mut new.execute] {
            list.retain(|_| keep.next().unwrap_or_default());
        }
        new.network.retain(|_| keep.next().unwrap_or_default());
        new.memory = Some(new.memory.unwrap_or(7) / 2);
        new.require = vec![Guarantee::FsRead, Guarantee::Memory, Guarantee::Network, Guarantee::Exec];
        new.on_unsupported = OnUnsupported::Refuse;
        prop_assert_eq!(beyond(&old, &new), []);
    }

    /// Many small updates let through no more than one.
    #[test]
    fn step_by_step_is_no_way_around(a in wishes(), b in wishes(), c in wishes()) {
        if beyond(&a, &b).is_empty() && beyond(&b, &c).is_empty() {
            prop_assert_eq!(beyond(&a, &c), []);
        }
    }

    /// A wish of its own kind and place is never taken for an old one.
    #[test]
    fn one_more_wish_is_found(wishes in wishes()) {
        let mut more = wishes.clone();
        more.write.push(fixed("/elsewhere"));
        more.network.push(HostWish::Fixed("elsewhere:1".into()));
        let found = beyond(&wishes, &more);
        prop_assert!(found.contains(&Wish::Write(fixed("/elsewhere"))), "{found:?}");
        prop_assert!(found.contains(&Wish::Reach(HostWish::Fixed("elsewhere:1".into()))), "{found:?}");
    }
}
