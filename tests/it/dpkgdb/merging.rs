//! Merged databases, which dpkg and apt must take for their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use onlay::pkgdb::dpkg;
use onlay::pkgdb::dpkg::merge::{Base, Input, Plan, plan};
use onlay::pkgdb::dpkg::{Database, differing, write};
use onlay::pkgdb::merge::{Decision, Reason, Side, Wishes};
use onlay::sys::{Root, with_causes};

use super::system::{Bed, System, entry};
use crate::debian::{command, expect_success};

/// An overlay and a host that both moved on from the tree, and the overlay as it is seen over the new host.
struct Three {
    base: Database,
    ours: System,
    theirs: System,
    view: System,
}

impl Three {
    /// The host and the overlay are changed by the given scripts; packages that these name are copied to /var/tmp.
    fn make(bed: &Bed, debs: &[PathBuf], overlay: &str, host: &str) -> Three {
        let base = Database::open(&Root::open(bed.tree()).expect("the tree")).expect("it can be read");
        let (ours, theirs) = (bed.system("ours"), bed.system("theirs"));
        for (system, script) in [(&ours, overlay), (&theirs, host)] {
            for deb in debs {
                system.copy(deb);
            }
            system.run(&format!("cd /var/tmp; {script}"));
        }
        // An upper is mounted once, so the view has a copy.
        let upper = bed.path("view.upper");
        expect_success(command("cp").arg("-a").arg(bed.path("ours.upper")).arg(&upper));
        let view = bed.stack("view", &theirs.root, &upper);
        Three { base: base.expect("a Debian has a database"), ours, theirs, view }
    }

    fn plan(&self, wishes: &Wishes<dpkg::Key>) -> (Database, Database, Plan) {
        let (ours, theirs) = (self.ours.database(), self.theirs.database());
        let [our, their] = [&ours, &theirs].map(|side| Input { contents: side, paths: side });
        let plan = plan(&Base::of(&self.base), our, their, wishes).expect("lists can be read");
        (ours, theirs, plan)
    }

    fn merge(&self) -> Plan {
        let (ours, theirs, plan) = self.plan(&Wishes::default());
        put(&plan, (&ours, &theirs), &self.view);
        plan
    }
}

/// Gives a system a merged database in place of its own.
fn put(plan: &Plan, (ours, theirs): (&Database, &Database), system: &System) {
    let merged = system.root.join("var/tmp/merged");
    fs::create_dir(&merged).expect("our directory");
    let written = write(plan, ours, theirs, &Root::open(&merged).expect("it is there"));
    written.unwrap_or_else(|error| panic!("{}", with_causes(&error)));
    system.run(
        "cd /var/lib; rm -r dpkg; rm -f apt/extended_states; cp -a /var/tmp/merged/var/lib/. .; \
         rm -r /var/tmp/merged",
    );
}

/// What dpkg and apt must say of a database: nothing.
fn assert_whole(system: &System) {
    assert_eq!(system.run("dpkg --audit"), "");
    system.run("apt-get -q check");
    for program in [
        "dpkg-query -W",
        "dpkg-divert --list",
        "dpkg-statoverride --list",
        "update-alternatives --get-selections",
    ] {
        system.run(program);
    }
}

/// Packages for all that can happen on two sides.
fn debs(bed: &Bed) -> Vec<PathBuf> {
    let deb = |name: &str, version: &str, more: &str, files: &[(&str, &str)]| {
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{more}");
        let own = format!("/usr/share/{name}/{version}");
        bed.deb(&control, &[files, &[(&own, version)]].concat())
    };
    let alternative = "#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/onlay-alt onlay-alt /usr/bin/NAME PRIORITY\n";
    let offers = |name: &str, priority: &str| alternative.replace("NAME", name).replace("PRIORITY", priority);
    let withdraws = |name: &str| {
        format!(
            "#!/bin/sh\nset -e\n[ \"$1\" = upgrade ] || update-alternatives --remove onlay-alt /usr/bin/{name}\n"
        )
    };
    let mut debs = Vec::new();
    for version in ["1.0", "2.0", "3.0"] {
        debs.push(deb(
            "onlay-both",
            version,
            "",
            &[("/etc/onlay-both", version), ("/DEBIAN/conffiles", "/etc/onlay-both\n")],
        ));
    }
    for (name, priority) in [("onlay-mine", "10"), ("onlay-theirs", "20")] {
        let files = [
            (&*format!("/usr/bin/{name}"), "#!/bin/sh\n"),
            ("/DEBIAN/postinst", &*offers(name, priority)),
            ("/DEBIAN/prerm", &*withdraws(name)),
            ("/DEBIAN/triggers", &*format!("interest-noawait /usr/share/{name}.d\n")),
        ];
        debs.push(deb(name, "1.0", "Depends: onlay-lib", &files));
    }
    debs.push(deb("onlay-lib", "1.0", "", &[]));
    debs.push(deb("onlay-lib", "2.0", "Breaks: onlay-mine (<< 1)", &[("/usr/share/onlay-mine.d/x", "x")]));
    let restores = "#!/bin/sh\nset -e\n[ \"$1\" != remove ] || dpkg-divert --package onlay-divert --remove --rename /usr/bin/strace\n";
    let diverts = "#!/bin/sh\nset -e\ndpkg-divert --package onlay-divert --add --rename --divert /usr/bin/strace.real /usr/bin/strace\n";
    debs.push(deb(
        "onlay-divert",
        "1.0",
        "",
        &[("/usr/bin/strace", "#!/bin/sh\n"), ("/DEBIAN/preinst", diverts), ("/DEBIAN/postrm", restores)],
    ));
    debs.push(deb("onlay-later", "1.0", "Depends: onlay-both (>= 2)", &[]));
    debs
}

const OVERLAY: &str = "dpkg -i onlay-lib_1.0_all.deb onlay-mine_1.0_all.deb onlay-both_2.0_all.deb onlay-divert_1.0_all.deb; \
    apt-mark auto onlay-lib; apt-mark hold psmisc; dpkg --remove cron; dpkg --purge --force-depends patch; \
    dpkg-statoverride --add root daemon 2750 /usr/bin/kill";

const HOST: &str = "dpkg -i onlay-lib_1.0_all.deb onlay-lib_2.0_all.deb onlay-theirs_1.0_all.deb onlay-both_1.0_all.deb; \
    apt-mark auto onlay-lib onlay-theirs; dpkg --purge --force-depends make; \
    dpkg-divert --local --add --rename --divert /usr/bin/fuser.mine /usr/bin/fuser";

#[test]
fn a_merged_database_is_dpkgs_own() {
    let Some(bed) = Bed::make() else { return };
    let three = Three::make(&bed, &debs(&bed), OVERLAY, HOST);
    let plan = three.merge();
    let decided: BTreeMap<&str, (Decision, Reason)> = plan
        .packages
        .iter()
        .filter(|decided| decided.outcome.decision != Decision::Unchanged)
        .map(|decided| (&*decided.key.name, (decided.outcome.decision, decided.outcome.reason)))
        .collect();
    let expected = BTreeMap::from([
        ("cron", (Decision::StayRemoved, Reason::OnlyOverlayChanged)),
        ("make", (Decision::Remove, Reason::OnlyHostChanged)),
        ("onlay-both", (Decision::KeepOurs, Reason::OverlayIsNewer)),
        ("onlay-divert", (Decision::KeepOurs, Reason::OnlyOverlayChanged)),
        ("onlay-lib", (Decision::TakeTheirs, Reason::HostIsNewer)),
        ("onlay-mine", (Decision::KeepOurs, Reason::OnlyOverlayChanged)),
        ("onlay-theirs", (Decision::TakeTheirs, Reason::OnlyHostChanged)),
        ("patch", (Decision::StayRemoved, Reason::OnlyOverlayChanged)),
    ]);
    assert_eq!(decided, expected);
    // dpkg-dev needs make and patch; that was broken by force on either side, and is no finding.
    assert_eq!(plan.findings, []);

    let view = &three.view;
    let version = |name: &str| view.run(&format!("dpkg-query -W -f '${{Version}} ${{Status}}' {name}"));
    assert_eq!(version("onlay-both"), "2.0 install ok installed");
    assert_eq!(version("onlay-lib"), "2.0 install ok installed");
    assert!(version("cron").ends_with("deinstall ok config-files"));
    assert!(version("psmisc").ends_with("hold ok installed"));
    assert_eq!(
        view.run("dpkg-query -W patch make"),
        "make\t\npatch\t\n",
        "known by name alone, for dpkg-dev needs them"
    );
    assert_eq!(view.run("ls /var/lib/dpkg/info | grep -c '^\\(patch\\|make\\)\\.' || true"), "0\n");
    assert_eq!(
        view.run("cat /var/lib/dpkg/info/onlay-both.list | grep usr/share/onlay-both/"),
        "/usr/share/onlay-both/2.0\n"
    );
    let diversions = view.run("dpkg-divert --list");
    assert!(
        diversions.contains("/usr/bin/strace.real by onlay-divert")
            && diversions.contains("/usr/bin/fuser.mine"),
        "{diversions}"
    );
    assert!(view.run("dpkg-statoverride --list").contains("/usr/bin/kill"));
    let offers = view.run("update-alternatives --query onlay-alt");
    assert!(
        offers.contains("/usr/bin/onlay-mine") && offers.contains("Best: /usr/bin/onlay-theirs"),
        "{offers}"
    );
    let automatic = view.run("apt-mark showauto");
    assert!(automatic.contains("onlay-lib") && automatic.contains("onlay-theirs"), "{automatic}");
    // What the host's onlay-lib brings, the overlay's onlay-mine wants to know of; dpkg tells it.
    assert_eq!(view.run("grep onlay-mine /var/lib/dpkg/triggers/Unincorp"), "/usr/share/onlay-mine.d -\n");
    assert!(
        view.run("cat /var/lib/dpkg/triggers/File")
            .contains("/usr/share/onlay-theirs.d onlay-theirs/noawait")
    );
    view.run("dpkg --triggers-only --pending");
    assert_eq!(view.run("cat /var/lib/dpkg/triggers/Unincorp"), "");

    // dpkg-dev, which was broken by force, is all that apt complains of; without it the system is whole.
    view.run("dpkg --purge dpkg-dev; cd /var/tmp; apt-get -q check; dpkg -i onlay-later_1.0_all.deb onlay-both_3.0_all.deb");
    assert_whole(view);
    view.run("dpkg --purge onlay-divert onlay-mine; dpkg --purge cron");
    assert_whole(view);
    let database = view.database();
    assert_eq!(entry(&database, "onlay-both").package().version, "3.0");
    assert!(!database.tables.diversions.contains_key(Path::new("/usr/bin/strace")));
    assert_eq!(view.run("update-alternatives --query onlay-alt | grep -c ^Alternative"), "1\n");
}

#[test]
fn what_the_merge_breaks_is_what_apt_finds() {
    let Some(bed) = Bed::make() else { return };
    let overlay =
        "dpkg -i onlay-lib_1.0_all.deb onlay-mine_1.0_all.deb onlay-both_2.0_all.deb onlay-later_1.0_all.deb";
    // The overlay's onlay-mine breaks for what the host breaks with it, and onlay-later for what was asked for.
    let breaker =
        bed.deb("Package: onlay-breaker\nVersion: 1\nArchitecture: all\nConflicts: onlay-mine", &[]);
    let host = "dpkg -i onlay-breaker_1_all.deb onlay-both_1.0_all.deb";
    let debs: Vec<PathBuf> = debs(&bed).into_iter().chain([breaker]).collect();
    let three = Three::make(&bed, &debs, overlay, host);
    let key = entry(&three.ours.database(), "onlay-both").key.clone();
    let wishes = Wishes { packages: BTreeMap::from([(key, Side::Theirs)]), ..Wishes::default() };
    let (ours, theirs, plan) = three.plan(&wishes);
    let told: Vec<String> = plan.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "onlay-breaker:all conflicts with onlay-mine:all (onlay-mine)",
            "onlay-later:all needs onlay-both (>= 2)"
        ]
    );
    put(&plan, (&ours, &theirs), &three.view);
    let check = three.view.attempt("apt-get -q check");
    let said = crate::debian::words(&check);
    assert!(!check.status.success(), "{said}");
    for word in ["onlay-later : Depends: onlay-both (>= 2)", "onlay-breaker : Conflicts: onlay-mine"] {
        assert!(said.contains(word), "{said}");
    }
}

/// A merge of which one side is the base gives the other, byte for byte.
#[test]
fn one_side_alone_is_as_dpkg_wrote_it() {
    let Some(bed) = Bed::make() else { return };
    let three = Three::make(&bed, &debs(&bed), OVERLAY, "true");
    let (ours, theirs, plan) = three.plan(&Wishes::default());
    assert_eq!(plan.entries, ours.entries);
    assert!(plan.tables == ours.tables, "{:#?}\n{:#?}", plan.tables, ours.tables);
    assert_eq!(plan.findings, []);
    assert_eq!(differing(&plan, &ours), [], "dpkg and apt have written what we would");
    // The other way round, too: an overlay without a change of its own.
    let [our, their] = [&theirs, &ours].map(|side| Input { contents: side, paths: side });
    let host_alone = dpkg::merge::plan(&Base::of(&three.base), our, their, &Wishes::default());
    let host_alone = host_alone.expect("lists can be read");
    assert_eq!(host_alone.entries, ours.entries);
    assert!(host_alone.tables == ours.tables, "{:#?}\n{:#?}", host_alone.tables, ours.tables);
    put(&host_alone, (&theirs, &ours), &three.theirs);
    // dpkg keeps no order in these.
    let each = "cd /var/lib/dpkg; cat status; sort diversions; sort statoverride; for file in info/* alternatives/*; \
                do stat -c '%n %a' $file; cat $file; done";
    let [merged, dpkgs] = [&three.theirs, &three.ours].map(|system| system.run(each));
    let differing = merged.lines().zip(dpkgs.lines()).find(|(ours, theirs)| ours != theirs);
    assert!(merged == dpkgs, "what is written differs from what dpkg wrote: {differing:?}");
}

/// However many files or blocks are missing: there is no database, or the whole of it.
#[test]
fn a_full_disk_leaves_no_half_of_a_database() {
    let Some(bed) = Bed::make() else { return };
    let three = Three::make(&bed, &debs(&bed), OVERLAY, HOST);
    let (ours, theirs, plan) = three.plan(&Wishes::default());
    for (limit, step) in [("nr_inodes", 53), ("nr_blocks", 97)] {
        let attempt = |number: usize| {
            let place = bed.path("small");
            fs::create_dir_all(&place).expect("a directory");
            let room = format!("{limit}={}", 2 + number * step);
            expect_success(command("mount").args(["-t", "tmpfs", "-o", &room, "tmpfs"]).arg(&place));
            let root = Root::open(&place).expect("it is there");
            let is_written = match write(&plan, &ours, &theirs, &root) {
                Ok(()) => {
                    let found = Database::open(&root).expect("it can be read").expect("it is there");
                    assert_eq!(found.entries, plan.entries);
                    true
                }
                Err(error) => {
                    assert!(with_causes(&error).contains("No space left"), "{}", with_causes(&error));
                    assert!(Database::open(&root).expect("nothing to read").is_none());
                    false
                }
            };
            drop(root);
            expect_success(command("umount").arg(&place));
            is_written
        };
        let refused = (0..1000).take_while(|number| !attempt(*number)).count();
        assert!(refused > 3, "{limit}: the disk was not full");
    }
}

/// Where the old base is gone, the overlay can be read over the new one only, whose files show through.
#[test]
fn an_overlay_is_read_over_the_new_host() {
    let Some(bed) = Bed::make() else { return };
    // The host's newer package has a script that the overlay's has not.
    let script = "#!/bin/sh\n";
    let newer = bed.deb("Package: onlay-both\nVersion: 1.5\nArchitecture: all", &[("/DEBIAN/prerm", script)]);
    let debs: Vec<PathBuf> = debs(&bed).into_iter().chain([newer]).collect();
    let host = format!("{HOST}; dpkg -i onlay-both_1.5_all.deb");
    let three = Three::make(&bed, &debs, OVERLAY, &host);
    let (_, _, expected) = three.plan(&Wishes::default());
    assert_eq!(expected.info["onlay-both.prerm"], None);

    let base = Base::of(&three.base);
    let (mut seen, theirs) = (three.view.database(), three.theirs.database());
    assert!(seen.info.has("onlay-both", "prerm"), "the host's shows through");
    let is_known =
        |key: &dpkg::Key, identity| base.packages.get(key).is_some_and(|known| known.identity == identity);
    let upper = bed.path("view.upper");
    seen.leave_out_of_info(is_known, |path| {
        upper.join(path.strip_prefix("/").expect("below the root")).symlink_metadata().is_ok()
    });
    let [our, their] = [&seen, &theirs].map(|side| Input { contents: side, paths: side });
    let plan = plan(&base, our, their, &Wishes::default()).expect("lists can be read");
    assert_eq!(plan.entries, expected.entries);
    let kept = |plan: &Plan| {
        plan.info.iter().filter_map(|(name, side)| Some(format!("{name} {:?}", (*side)?))).collect()
    };
    let [kept, wanted]: [BTreeSet<String>; 2] = [kept(&plan), kept(&expected)];
    assert_eq!(kept.symmetric_difference(&wanted).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(plan.findings, expected.findings);
    assert_eq!(plan.triggers, expected.triggers);
    assert!(plan.tables == expected.tables, "{:#?}\n{:#?}", plan.tables, expected.tables);
    put(&plan, (&seen, &theirs), &three.view);
    assert!(!three.view.root.join("var/lib/dpkg/info/onlay-both.prerm").exists());
    three.view.run("dpkg --purge dpkg-dev; dpkg --triggers-only --pending");
    assert_whole(&three.view);
}

#[test]
fn files_that_two_packages_have_are_told_as_by_dpkg() {
    let Some(bed) = Bed::make() else { return };
    let deb = |name: &str| {
        bed.deb(
            &format!("Package: {name}\nVersion: 1\nArchitecture: all"),
            &[("/usr/share/onlay-shared", name)],
        )
    };
    let debs = [deb("onlay-one"), deb("onlay-two")];
    let three = Three::make(&bed, &debs, "dpkg -i onlay-one_1_all.deb", "dpkg -i onlay-two_1_all.deb");
    let (.., plan) = three.plan(&Wishes::default());
    let told: Vec<String> = plan.findings.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["onlay-one:all and onlay-two:all both have '/usr/share/onlay-shared'"]);
    let refused = three.ours.attempt("dpkg -i /var/tmp/onlay-two_1_all.deb");
    assert!(crate::debian::words(&refused).contains("trying to overwrite '/usr/share/onlay-shared'"));
}

/// One architecture in the overlay, another on the host: both live beside each other, as long as they are of one version.
#[test]
fn architectures_of_one_package_are_merged() {
    let Some(bed) = Bed::make() else { return };
    let lib = |arch: &str, version: &str| {
        let control =
            format!("Package: libonlay1\nVersion: {version}\nArchitecture: {arch}\nMulti-Arch: same");
        bed.deb(
            &control,
            &[(&*format!("/usr/lib/libonlay1.{arch}"), arch), ("/usr/share/doc/libonlay1/copyright", "free")],
        )
    };
    let native = expect_success(command("dpkg").arg("--print-architecture")).stdout;
    let native = String::from_utf8(native).expect("text").trim().to_owned();
    let foreign = if native == "i386" { "amd64" } else { "i386" };
    let debs = [lib(&native, "1"), lib(foreign, "1"), lib(&native, "2")];
    let overlay = format!("dpkg --add-architecture {foreign}; dpkg -i libonlay1_1_{foreign}.deb");
    let three = Three::make(&bed, &debs, &overlay, &format!("dpkg -i libonlay1_1_{native}.deb"));
    let plan = three.merge();
    assert_eq!(plan.findings, []);
    let view = &three.view;
    assert_whole(view);
    assert_eq!(view.run("dpkg-query -W libonlay1").lines().count(), 2);
    assert_eq!(view.run("dpkg --print-foreign-architectures").trim(), foreign);
    let owners = view.run("dpkg-query -S /usr/share/doc/libonlay1/copyright");
    assert!(
        owners.contains(&format!("libonlay1:{foreign}")) && owners.contains(&format!("libonlay1:{native}")),
        "{owners}"
    );
    assert_eq!(view.run(&format!("dpkg --verify libonlay1:{native} libonlay1:{foreign}")), "");

    // Another version of one of them is what dpkg does not take; that must be told.
    three.theirs.run(&format!("dpkg -i /var/tmp/libonlay1_2_{native}.deb"));
    let (.., plan) = three.plan(&Wishes::default());
    let told: Vec<String> = plan.findings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(" is of version ") && told[0].contains("libonlay1"), "{told:?}");
    let refused = three.ours.attempt(&format!("dpkg -i /var/tmp/libonlay1_2_{native}.deb"));
    assert!(!refused.status.success(), "{}", crate::debian::words(&refused));
}
