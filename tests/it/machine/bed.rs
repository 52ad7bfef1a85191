//! Making the machine, booting it, and reading what its steps said.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{self, command, expect_success, script};

/// A machine that is off, with its disks.
pub(crate) struct Machine {
    place: tempfile::TempDir,
    engine: Engine,
}

/// What boots it.
enum Engine {
    /// systemd-nspawn, on the kernel of this machine.
    Container,
    /// An emulator, with the kernel of a tree.
    Emulator { kernel: PathBuf },
}

/// What one step said.
pub(crate) struct Step {
    name: String,
    /// The exit code; `None` where the machine went down before the step's end.
    code: Option<i32>,
    output: String,
}

impl Machine {
    /// Makes one that is a container; `None` after saying loudly why it cannot be made.
    pub(crate) fn make() -> Option<Machine> {
        let tree = debian::tree("trixie")?;
        debian::has("systemd-nspawn").then(|| Machine::make_from(&tree, Engine::Container))
    }

    /// The same, whose root cannot be written either.
    pub(crate) fn make_sealed() -> Option<Machine> {
        let machine = Machine::make()?;
        expect_success(&mut machine.bed("seal"));
        Some(machine)
    }

    /// Makes one that an emulator boots with the kernel of a tree; `None` after saying loudly why it cannot be made.
    pub(crate) fn make_with_kernel(name: &str) -> Option<Machine> {
        let (tree, kernel) = (debian::tree("trixie")?, debian::tree(name)?);
        if !debian::has("qemu-system-x86_64") {
            return None;
        }
        let machine = Machine::make_from(&tree, Engine::Emulator { kernel: kernel.clone() });
        expect_success(&mut machine.bed("seal"));
        expect_success(machine.run("vm/boot.sh", "prepare").arg(kernel));
        Some(machine)
    }

    /// Makes one that an emulator boots into a deployment of OSTree's; `None` after saying loudly why it cannot be made.
    pub(crate) fn make_with_ostree() -> Option<Machine> {
        Machine::make_of_disk("ostree", "prepare-ostree")
    }

    /// The same, whose packages are RPMs, and whose kernel is one of a layer; `None` after saying loudly why it cannot be made.
    pub(crate) fn make_with_ostree_rpm() -> Option<Machine> {
        if !debian::has("ostree") {
            return None;
        }
        Machine::make_of_disk("ostree-rpm", "prepare-ostree-rpm")
    }

    /// Makes one that an emulator boots into a snapshot of snapper's; `None` after saying loudly why it cannot be made.
    pub(crate) fn make_with_snapper() -> Option<Machine> {
        let has_tools = debian::has("snapper") && debian::has("btrfs");
        if has_tools { Machine::make_of_disk("snapper", "prepare-snapper") } else { None }
    }

    /// The same, whose packages are RPMs, and whose kernel is one of a layer; `None` after saying loudly why it cannot be made.
    pub(crate) fn make_with_snapper_rpm() -> Option<Machine> {
        // Whose snapper it has.
        debian::tree("snapper")?;
        let has_tools = debian::has("snapper") && debian::has("btrfs");
        if has_tools { Machine::make_of_disk("snapper-rpm", "prepare-snapper-rpm") } else { None }
    }

    /// Makes one whose disk is that of a tree, with packages on it.
    fn make_of_disk(tree: &str, verb: &str) -> Option<Machine> {
        let (tree, kernel) = (debian::tree(tree)?, debian::tree("linux-6.12")?);
        let trixie = debian::tree("trixie")?;
        if !debian::has("qemu-system-x86_64") {
            return None;
        }
        let machine = Machine { place: debian::place(), engine: Engine::Emulator { kernel: kernel.clone() } };
        let packages = machine.path().join("packages");
        debian::make_repository(&packages, &trixie);
        expect_success(
            machine.run("vm/boot.sh", verb).arg(kernel).arg(tree).arg(debian::ONLAY).arg(packages),
        );
        Some(machine)
    }

    fn make_from(tree: &Path, engine: Engine) -> Machine {
        let machine = Machine { place: debian::place(), engine };
        let repository = machine.path().join("repository");
        debian::make_repository(&repository, tree);
        expect_success(machine.bed("make").arg(tree).arg(debian::ONLAY).arg(repository));
        machine
    }

    /// Boots it with a script of checks and waits until it is off.
    pub(crate) fn boot(&self, checks: &str) -> Vec<Step> {
        self.boot_with(checks, &[])
    }

    /// The same, with more words on the kernel's command line.
    pub(crate) fn boot_with(&self, checks: &str, words: &[&str]) -> Vec<Step> {
        boot(self.path(), &self.engine, checks, words)
    }

    /// Boots, as a container, what a power cut would have left at a moment of an emulator's last boot.
    pub(crate) fn boot_kept(&self, name: &str, checks: &str) -> Vec<Step> {
        boot(&self.path().join("kept").join(name), &Engine::Container, checks, &[])
    }

    /// What a script says of each disk that was kept in an emulator's boots, by the names that they were kept under.
    pub(crate) fn examine_kept(&self, checks: &str) -> Vec<(String, String)> {
        let kept = std::fs::read_dir(self.path().join("kept")).expect("some were kept");
        let named = |place: PathBuf| {
            let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, examine(&place, checks))
        };
        kept.map(|entry| named(entry.expect("nobody removes any").path())).collect()
    }

    /// What a script says of its disk.
    pub(crate) fn examine(&self, checks: &str) -> String {
        examine(self.path(), checks)
    }

    /// Puts images into it, with the kernel's modules that it takes to check them.
    pub(crate) fn put_images(&self, images: &Path) {
        let Engine::Emulator { kernel } = &self.engine else { panic!("a container has no dm-verity") };
        expect_success(self.run("vm/boot.sh", "put-images").arg(kernel).arg(images));
    }

    /// Puts images of extensions into it, in /var/local/images.
    pub(crate) fn put_extensions(&self) {
        let tree = debian::tree("trixie").expect("the machine was made of it");
        let images = self.path().join("extensions");
        crate::extension::activate::make_images(&images, &tree);
        expect_success(self.bed("put").arg(images.join("images")));
    }

    /// Changes it, as root of the machine that is off.
    pub(crate) fn change(&self, script: &str) {
        expect_success(self.bed("change").arg(script));
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn bed(&self, verb: &str) -> Command {
        self.run("machine/bed.sh", verb)
    }

    fn run(&self, name: &str, verb: &str) -> Command {
        run(self.path(), "200", name, verb)
    }
}

/// Boots the machine in a directory, and waits until it is off.
fn boot(machine: &Path, engine: &Engine, checks: &str, words: &[&str]) -> Vec<Step> {
    let share = machine.join("share");
    // A boot's results are its own.
    match std::fs::remove_dir_all(&share) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            panic!("{}: {error}", share.display())
        }
        _ => std::fs::create_dir(&share).expect("a directory beside the images"),
    }
    std::fs::copy(script(checks), share.join("checks.sh")).expect("the script is part of these tests");
    let mut boot = match engine {
        Engine::Container => run(machine, "200", "machine/bed.sh", "boot"),
        Engine::Emulator { kernel } => {
            let mut boot = run(machine, "540", "vm/boot.sh", "boot");
            boot.arg(kernel);
            boot
        }
    };
    let output = boot.args(words).output().expect("timeout(1) is everywhere");
    let steps = read_steps(&share);
    let finished = steps.last().is_some_and(|step| step.name == "finish");
    // What hangs is told from what is slow by the time that each step took.
    let times = std::fs::read_to_string(share.join("times")).unwrap_or_default();
    let [console, words] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let failed = report(&steps);
    assert!(finished, "{failed}the machine ended early: {}\n{times}\n{console}\n{words}", output.status);
    steps
}
fn examine(place: &Path, checks: &str) -> String {
    let output = expect_success(&mut run(place, "200", checks, debian::ONLAY));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A script in a mount namespace, with which its mounts go whatever ends it. What takes longer than so many seconds hangs,
/// and is ended.
fn run(machine: &Path, seconds: &str, name: &str, verb: &str) -> Command {
    let mut command = command("timeout");
    command.args(["--kill-after=10", seconds, "unshare", "--mount", "--propagation", "private"]);
    command.arg(script(name)).arg(verb).arg(machine);
    command
}

pub(crate) fn read_steps(share: &Path) -> Vec<Step> {
    let text = |path: PathBuf| Some(String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned());
    let order = text(share.join("order")).unwrap_or_default();
    let step = |name: &str| Step {
        name: name.to_owned(),
        code: text(share.join(format!("{name}.code"))).and_then(|code| code.trim().parse().ok()),
        output: text(share.join(format!("{name}.out"))).unwrap_or_default(),
    };
    order.lines().map(step).collect()
}

/// Shows every step that failed, with what it said.
pub(crate) fn assert_all_passed(steps: &[Step]) {
    // A script that lost its checks must not pass.
    assert!(steps.len() > 3, "only {} steps", steps.len());
    let failed = report(steps);
    assert!(failed.is_empty(), "{failed}");
}

fn report(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps.iter().filter(|step| step.code != Some(0)) {
        let code = step.code.map_or("never ended".to_owned(), |code| format!("exit code {code}"));
        writeln!(text, "\n==== {}: {code}\n{}", step.name, step.output).expect("memory to write to");
    }
    if !text.is_empty() {
        let passed: Vec<&str> =
            steps.iter().filter(|step| step.code == Some(0)).map(|step| step.name.as_str()).collect();
        writeln!(text, "(passed: {})", passed.join(", ")).expect("memory to write to");
    }
    text
}
