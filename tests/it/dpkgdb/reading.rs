//! What we read, against what dpkg's and apt's own programs say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use onlay::package::DebianVersion;
use onlay::pkgdb::Error;
use onlay::pkgdb::dpkg::{Database, MultiArch, State, stem};
use onlay::sys::with_causes;

use super::system::{Bed, System, entry, sorted};

/// A system to which all has happened that leaves a trace in the database.
fn eventful(bed: &Bed) -> System {
    let system = bed.system("eventful");
    let native = system.run("dpkg --print-architecture").trim().to_owned();
    let same = |arch: &str| {
        let lib = format!("/usr/lib/{arch}/libonlay.so.1");
        let control = format!("Package: libonlay1\nVersion: 1:2.0-1\nArchitecture: {arch}\nMulti-Arch: same");
        bed.deb(&control, &[(&lib, arch), ("/usr/share/doc/libonlay1/copyright", "free")])
    };
    let foreign = if native == "amd64" { "i386" } else { "amd64" };
    let conf = bed.deb(
        &format!("Package: onlay-conf\nVersion: 1.0\nArchitecture: {native}"),
        &[
            ("/etc/onlay conf", "a=1"),
            ("/etc/onlay.d/b", "b=1"),
            ("/usr/bin/onlay-conf", "conf"),
            ("/DEBIAN/conffiles", "/etc/onlay conf\n/etc/onlay.d/b\n"),
        ],
    );
    let newer = bed.deb(
        &format!("Package: onlay-conf\nVersion: 1.1\nArchitecture: {native}"),
        &[
            ("/etc/onlay conf", "a=2"),
            ("/usr/bin/onlay-conf", "conf 2"),
            ("/DEBIAN/conffiles", "/etc/onlay conf\n"),
        ],
    );
    let divert = bed.deb(
        "Package: onlay-divert\nVersion: 1.0\nArchitecture: all",
        &[
            ("/usr/bin/onlay-conf", "other"),
            ("/bin/onlay-divert", "in /bin"),
            (
                "/DEBIAN/preinst",
                "#!/bin/sh\nset -e\ndpkg-divert --package onlay-divert --add --rename --divert /usr/bin/onlay-conf.real /usr/bin/onlay-conf\n",
            ),
            ("/DEBIAN/triggers", "interest-noawait /usr/share/onlay\ninterest onlay-explicit\n"),
        ],
    );
    let broken = bed.deb(
        "Package: onlay-broken\nVersion: 3\nArchitecture: all\nDepends: onlay-nowhere",
        &[("/usr/share/onlay/x", "x")],
    );
    system.run(&format!("dpkg --add-architecture {foreign}"));
    system.install(&[&conf, &same(&native), &same(foreign), &divert]);
    system.run("apt-mark auto libonlay1 onlay-divert; apt-mark hold onlay-conf strace; apt-mark auto cron; apt-mark manual cron");
    system.install(&[&newer]);
    system.dpkg("--unpack", &[&broken]);
    system.run("dpkg --remove cron; dpkg --purge patch --force-depends || true");
    system.run(
        "dpkg-divert --local --add --rename --divert /usr/bin/psmisc.fuser /usr/bin/fuser; \
         dpkg-statoverride --update --add root daemon 2750 /usr/bin/strace; \
         update-alternatives --install /usr/bin/onlay-alt onlay-alt /usr/bin/true 10 \
            --slave /usr/bin/onlay-slave onlay-slave /usr/bin/false; \
         update-alternatives --install /usr/bin/onlay-alt onlay-alt /usr/bin/strace 5; \
         update-alternatives --set onlay-alt /usr/bin/strace",
    );
    system
}

#[test]
fn packages_are_read_as_by_dpkg_query() {
    let Some(bed) = Bed::make() else { return };
    let system = eventful(&bed);
    let database = system.database();
    let format = "${Package}|${Architecture}|${Version}|${db:Status-Want} ${db:Status-Eflag} ${db:Status-Status}|${Multi-Arch}\\n";
    let expected = sorted(&system.run(&format!("dpkg-query -W -f '{format}'")));
    let mut found: Vec<String> = database
        .entries
        .values()
        .map(|entry| {
            let version = entry.version.as_ref().map_or("", DebianVersion::as_str);
            let multi_arch = match entry.multi_arch {
                MultiArch::No => "no",
                MultiArch::Same => "same",
                MultiArch::Foreign => "foreign",
                MultiArch::Allowed => "allowed",
            };
            let key = &entry.key;
            format!("{}|{}|{version}|{}|{multi_arch}", key.name, key.arch, entry.status)
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(expected.len() > 100, "is this a Debian?");
    let state = |name| entry(&database, name).status.to_string();
    assert_eq!(state("cron"), "deinstall ok config-files");
    assert_eq!(state("onlay-broken"), "install ok unpacked");
    assert_eq!(state("strace"), "hold ok installed");
    assert_eq!(database.entries.values().filter(|entry| entry.key.name == "libonlay1").count(), 2);
    let conffiles = system.run("dpkg-query -W -f '${Conffiles}\\n' onlay-conf");
    let found: Vec<String> = entry(&database, "onlay-conf")
        .conffiles
        .iter()
        .map(|file| {
            let flag = if file.is_obsolete { " obsolete" } else { "" };
            format!(" {} {}{flag}", file.path.display(), file.digest)
        })
        .collect();
    assert_eq!(found.join("\n"), conffiles.trim_end());
    assert!(conffiles.contains(" obsolete"), "{conffiles}");
    // What dpkg finds to be done is what we take for not configured.
    let audit = system.run("dpkg --audit");
    assert!(audit.contains("onlay-broken"), "{audit}");
    let unfinished: Vec<&str> =
        database.present().filter(|entry| !entry.is_configured()).map(|entry| &*entry.key.name).collect();
    assert_eq!(unfinished, ["onlay-broken"]);
    assert_eq!(database.native, system.run("dpkg --print-architecture").trim());
}

#[test]
fn tables_are_read_as_by_their_programs() {
    let Some(bed) = Bed::make() else { return };
    let system = eventful(&bed);
    let database = system.database();
    let diversions: Vec<String> = database
        .tables
        .diversions
        .iter()
        .map(|(from, diversion)| {
            let to = diversion.target.display();
            match &diversion.package {
                Some(package) => format!("diversion of {} to {to} by {package}", from.display()),
                None => format!("local diversion of {} to {to}", from.display()),
            }
        })
        .collect();
    assert_eq!(sorted(&diversions.join("\n")), sorted(&system.run("dpkg-divert --list")));
    assert!(diversions.iter().any(|line| line.starts_with("local")), "{diversions:?}");

    let overrides: Vec<String> = database
        .tables
        .overrides
        .iter()
        .map(|(path, entry)| format!("{} {} {:o} {}", entry.user, entry.group, entry.mode, path.display()))
        .collect();
    assert_eq!(sorted(&overrides.join("\n")), sorted(&system.run("dpkg-statoverride --list")));

    let automatic: Vec<String> = database
        .present()
        .filter(|entry| database.is_auto_installed(&entry.key))
        .map(|entry| {
            let is_native = [&database.native, "all"].contains(&&*entry.key.arch);
            if is_native { entry.key.name.clone() } else { entry.key.to_string() }
        })
        .collect();
    assert_eq!(sorted(&automatic.join("\n")), sorted(&system.run("apt-mark showauto")));
    assert!(automatic.contains(&"onlay-divert".to_owned()), "which is for all architectures");

    assert!(database.tables.alternatives.len() > 1);
    for (name, alternative) in &database.tables.alternatives {
        let told = system.run(&format!("update-alternatives --query '{name}'"));
        assert_eq!(
            query(name, alternative),
            told.lines().filter(|line| !line.starts_with("Value: ")).collect::<Vec<_>>()
        );
    }
}

#[test]
fn links_of_alternatives_are_those_that_are_there() {
    let Some(bed) = Bed::make() else { return };
    let system = eventful(&bed);
    let root = system.open();
    let database = system.database();
    let mut count = 0;
    for (name, alternative) in &database.tables.alternatives {
        let chosen = if name == "onlay-alt" {
            Path::new("/usr/bin/strace")
        } else {
            alternative.best().expect("one").0
        };
        for (link, target) in alternative.links(name, chosen) {
            let parent = root.open_dir(link.parent().expect("it has one")).ok();
            let found = parent.and_then(|parent| parent.read_link(link.file_name()?).ok());
            match found {
                Some(found) => {
                    assert_eq!(Path::new(&found), target, "{}", link.display());
                    count += 1;
                }
                // Documentation was left out of this tree, and there are no links to what is not there.
                None => assert!(!root.exists(&target), "{} is missing", link.display()),
            }
        }
    }
    assert!(count > 6, "only {count} links");
}

#[test]
fn the_database_of_this_machine_is_read() {
    let root = onlay::sys::Root::open("/").expect("it is there");
    let Ok(Some(database)) = Database::open(&root) else {
        return crate::debian::skip("this machine has no dpkg, or its dpkg is at work");
    };
    let format = "--showformat=${Package} ${Architecture} ${Version} ${Status}\n";
    let told = crate::debian::expect_success(crate::debian::command("dpkg-query").args(["--show", format]));
    let mut found: Vec<String> = database
        .entries
        .values()
        .map(|entry| {
            let package = entry.package();
            format!("{} {} {} {}", package.name, package.arch, package.version, entry.status)
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, sorted(&String::from_utf8(told.stdout).expect("text")));
    for entry in database.present() {
        assert!(
            !database.files(entry).expect("its files").is_empty() || entry.key.arch == "all",
            "{}",
            entry.key
        );
    }
}

/// What `update-alternatives --query` says, but for what is chosen: that is in the link.
fn query(name: &str, alternative: &onlay::pkgdb::dpkg::Alternative) -> Vec<String> {
    let mut lines = vec![format!("Name: {name}"), format!("Link: {}", alternative.link.display())];
    let slaves = |lines: &mut Vec<String>, slaves: &BTreeMap<String, std::path::PathBuf>| {
        if !slaves.is_empty() {
            lines.push("Slaves:".to_owned());
            lines.extend(slaves.iter().map(|(name, path)| format!(" {name} {}", path.display())));
        }
    };
    slaves(&mut lines, &alternative.slaves);
    lines.push(format!("Status: {}", if alternative.is_manual { "manual" } else { "auto" }));
    lines.extend(alternative.best().map(|(path, _)| format!("Best: {}", path.display())));
    for (path, choice) in &alternative.choices {
        lines.extend([String::new(), format!("Alternative: {}", path.display())]);
        lines.push(format!("Priority: {}", choice.priority));
        if choice.slaves.is_empty() && !alternative.slaves.is_empty() {
            lines.push("Slaves:".to_owned());
        } else {
            slaves(&mut lines, &choice.slaves);
        }
    }
    lines
}

#[test]
fn files_are_read_as_by_dpkg() {
    let Some(bed) = Bed::make() else { return };
    let system = eventful(&bed);
    let database = system.database();
    // All at once: a line with the package's name before its files.
    let names: Vec<String> = database
        .entries
        .values()
        .map(|entry| match entry.multi_arch {
            MultiArch::Same => entry.key.to_string(),
            _ => entry.key.name.clone(),
        })
        .collect();
    let listed =
        system.run(&format!("for p in {}; do echo \"= $p\"; dpkg-query -L $p; done", names.join(" ")));
    let listed: BTreeMap<&str, Vec<&str>> = listed
        .split("= ")
        .skip(1)
        .map(|part| {
            let mut lines = part.lines();
            let name = lines.next().expect("a name");
            let is_path = |line: &&str| line.starts_with('/') && *line != "/.";
            (name, lines.filter(is_path).collect())
        })
        .collect();
    let mut count = 0;
    for (entry, name) in database.entries.values().zip(&names) {
        let files = database.files(entry).expect("its files");
        let found: Vec<&str> = files.iter().map(|file| file.path.to_str().expect("text")).collect();
        assert_eq!(found, listed[&**name], "{name}");
        count += found.len();
        let kinds: BTreeSet<&str> =
            database.info.kinds(&stem(entry)).filter(|kind| !matches!(*kind, "list" | "conffiles")).collect();
        if name.starts_with("onlay") || name.starts_with("lib") {
            let expected = system.run(&format!("dpkg-query --control-list {name}"));
            assert_eq!(kinds, expected.lines().collect(), "{name}");
        }
    }
    assert!(count > 5000, "only {count} files");
    for path in ["/usr/bin/ls", "/usr/bin/onlay-conf", "/usr/share/doc/libonlay1/copyright", "/etc/onlay.d/b"]
    {
        let told = system.run(&format!("dpkg-query -S {path}"));
        let told = told.lines().find(|line| !line.starts_with("diversion")).expect("an owner");
        let told: BTreeSet<&str> = told.split(": ").next().expect("owners").split(", ").collect();
        let owners = database.owners(Path::new(path)).expect("owners");
        let owners: Vec<String> = owners.into_iter().map(stem).collect();
        assert_eq!(owners.iter().map(String::as_str).collect::<BTreeSet<&str>>(), told, "{path}");
    }
    // By the name that the package does not use.
    for path in ["/bin/ls", "/usr/bin/onlay-divert"] {
        assert_eq!(database.owners(Path::new(path)).expect("owners").len(), 1, "{path}");
    }
}

/// What differs from our digests at our places is what dpkg finds changed or missing.
#[test]
fn digests_are_those_of_dpkg() {
    let Some(bed) = Bed::make() else { return };
    let system = eventful(&bed);
    system.run(
        "echo changed >>'/etc/onlay conf'; echo changed >>/usr/bin/onlay-conf.real; echo changed >>/usr/bin/psmisc.fuser; \
         rm /usr/bin/strace /etc/onlay.d/b; echo changed >>/usr/bin/onlay-divert",
    );
    let database = system.database();
    let mut expected = BTreeSet::new();
    let mut locations = Vec::new();
    for entry in database.present() {
        for file in database.files(entry).expect("its files") {
            if let Some(digest) = file.digest {
                let location = file.location.to_str().expect("text").to_owned();
                locations.push(location.clone());
                expected.insert((location, digest, file.path, file.is_conffile));
            }
        }
    }
    fs::write(system.root.join("var/tmp/files"), locations.join("\0")).expect("a list");
    let real = system.run("xargs -0 -a /var/tmp/files md5sum 2>/dev/null || true");
    let real: BTreeMap<&str, &str> =
        real.lines().filter_map(|line| line.split_once("  ")).map(|(digest, path)| (path, digest)).collect();
    assert!(real.len() > 3000, "only {} files", real.len());
    let found: BTreeSet<String> = expected
        .iter()
        .filter(|(location, digest, ..)| real.get(&**location) != Some(&&**digest))
        .map(|(_, _, path, is_conffile)| {
            format!("{} {}", if *is_conffile { "c" } else { "-" }, path.display())
        })
        .collect();
    let told: BTreeSet<String> = system
        .run("dpkg --verify || true")
        .lines()
        .map(|line| {
            let mark = if line.as_bytes()[10..].starts_with(b"c") { "c" } else { "-" };
            format!("{mark} {}", &line[12..])
        })
        .collect();
    // Of diverted files dpkg looks only whether they are there.
    let diverted = ["- /usr/bin/fuser", "- /usr/bin/onlay-conf"].map(str::to_owned);
    assert_eq!(found, &told | &BTreeSet::from(diverted));
    for path in ["c /etc/onlay conf", "c /etc/onlay.d/b", "- /usr/bin/strace", "- /bin/onlay-divert"] {
        assert!(told.contains(path), "{path} in {told:?}");
    }
}

#[test]
fn triggers_are_what_packages_declare() {
    let Some(bed) = Bed::make() else { return };
    let system = eventful(&bed);
    let database = system.database();
    let mut declared = BTreeSet::new();
    for entry in database.present() {
        for (trigger, is_noawait) in database.declared_triggers(&entry.key).interests {
            declared.insert((trigger, stem(entry), is_noawait));
        }
    }
    let known: BTreeSet<(String, String, bool)> = database
        .triggers
        .files
        .iter()
        .chain(database.triggers.named.values().flatten())
        .map(|interest| (interest.trigger.clone(), interest.package.clone(), interest.is_noawait))
        .collect();
    assert_eq!(known, declared);
    assert!(known.contains(&("onlay-explicit".to_owned(), "onlay-divert".to_owned(), false)));
    assert!(database.tables.activated.is_empty(), "dpkg has run them");
    // A trigger that nobody has run yet.
    system.run("dpkg-trigger --no-await --by-package=cron onlay-explicit; dpkg-trigger --by-package=strace /usr/share/onlay");
    let activated = system.database().tables.activated.clone();
    let activated: Vec<(&str, Vec<&str>)> = activated
        .iter()
        .map(|(trigger, waiting)| (&**trigger, waiting.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(activated, [("/usr/share/onlay", vec!["strace"]), ("onlay-explicit", vec!["-"])]);
}

#[test]
fn a_database_elsewhere_is_found() {
    let Some(bed) = Bed::make() else { return };
    let system = bed.system("moved");
    system.run("mkdir -p /usr/lib/sysimage; cp -a /var/lib/dpkg /usr/lib/sysimage/; rm -r /var/lib/dpkg");
    let database = system.database();
    assert_eq!(database.directory(), Path::new("/usr/lib/sysimage/dpkg"));
    // As a link in its old place it is the same.
    system.run("ln -s ../../usr/lib/sysimage/dpkg /var/lib/dpkg");
    assert_eq!(system.database().entries, database.entries);
    assert_eq!(system.run("dpkg-query -W").lines().count(), database.entries.len());
    // A link out of the root leads nowhere.
    system.run(
        "rm /var/lib/dpkg; mv /usr/lib/sysimage/dpkg /var/lib/; mv /var/lib/dpkg/info /info; \
        ln -s ../../../../../../../../../../../../info /var/lib/dpkg/info",
    );
    assert_eq!(system.database().info, database.info);
}

#[test]
fn a_system_without_dpkg_has_no_database() {
    let place = tempfile::tempdir().expect("a directory");
    let root = onlay::sys::Root::open(place.path()).expect("it is there");
    assert!(Database::open(&root).expect("nothing to read").is_none());
}

#[test]
fn what_dpkg_left_unfinished_is_refused() {
    let Some(bed) = Bed::make() else { return };
    let system = bed.system("broken-off");
    // A whole record, as it is when dpkg was killed before it wrote status anew.
    system.run("cp /var/lib/dpkg/status /var/lib/dpkg/updates/0001");
    let error = Database::open(&system.open()).expect_err("it is unfinished");
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    assert!(with_causes(&error).contains("dpkg --configure"), "{error}");
    system.run("dpkg --configure --pending");
    assert!(system.database().present().all(|entry| entry.status.state == State::Installed));
}

#[test]
fn a_database_is_in_use_while_dpkg_runs() {
    let Some(bed) = Bed::make() else { return };
    let system = bed.system("locked");
    let slow = bed.deb(
        "Package: onlay-slow\nVersion: 1\nArchitecture: all",
        &[("/DEBIAN/preinst", "#!/bin/sh\necho waiting; read answer\n")],
    );
    let path = system.copy(&slow);
    assert!(!system.database().is_in_use);
    let mut dpkg = system.command(&format!("dpkg --install {path}"));
    dpkg.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut running = dpkg.spawn().expect("it starts");
    wait_for(&mut running, "waiting");
    let Err(error) = Database::open(&system.open()) else {
        panic!("dpkg has records that it has not finished")
    };
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    running.stdin.take().expect("a pipe").write_all(b"go on\n").expect("it waits");
    assert!(running.wait().expect("it ends").success());
    assert!(!system.database().is_in_use);
}

/// Reads what a program says up to a word.
fn wait_for(running: &mut std::process::Child, word: &str) {
    use std::io::BufRead;
    let mut lines = std::io::BufReader::new(running.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("text").contains(word)), "it ended without '{word}'");
    // Whoever reads no further must not break what is still to be said.
    std::thread::spawn(move || lines.count());
}
