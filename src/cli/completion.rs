//! `onlay completion`.

use std::process::ExitCode;

use clap::{Arg, Args, Command};
use clap_complete::Shell;

use super::output;
use super::report::Error;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell to print it for
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut definition = super::definition();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition, "onlay", &mut script);
    let script = String::from_utf8(script).expect("our own words are text");
    let names = Names::of(&definition);
    output::print(&match arguments.shell {
        Shell::Bash => names.in_bash(&script),
        Shell::Zsh => with_names_in_zsh(&script),
        Shell::Fish => names.in_fish(&script),
        _ => script,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What the generated scripts lack: the names of overlays and of extensions, which only a running `onlay list`, `onlay ext list` and
/// `onlay ext search` know.
struct Names {
    /// Commands that take one name.
    one: Vec<String>,
    /// Commands that take several.
    several: Vec<String>,
    /// Commands that run another one, which follows `--`.
    running: Vec<String>,
    /// Options that a value follows.
    valued: Vec<String>,
    /// Commands of `onlay ext` that take names of extensions.
    extensions: Vec<String>,
}

impl Names {
    fn of(onlay: &Command) -> Names {
        let taking = |is_such: fn(&Arg) -> bool| -> Vec<String> {
            let commands = onlay.get_subcommands().filter(|command| command.get_positionals().any(is_such));
            commands.map(|command| command.get_name().to_owned()).collect()
        };
        let ext = onlay.find_subcommand("ext");
        let verbs = || ext.into_iter().flat_map(Command::get_subcommands);
        let mut valued: Vec<String> = [onlay]
            .into_iter()
            .chain(onlay.get_subcommands())
            .chain(verbs())
            .flat_map(Command::get_arguments)
            .filter(|arg| arg.get_action().takes_values())
            .filter_map(|arg| arg.get_long().map(str::to_owned))
            .collect();
        valued.sort();
        valued.dedup();
        let several = taking(|arg| is_name(arg) && matches!(arg.get_action(), clap::ArgAction::Append));
        Names {
            one: taking(is_name).into_iter().filter(|name| !several.contains(name)).collect(),
            several,
            running: taking(Arg::is_last_set),
            valued,
            extensions: verbs()
                .filter(|verb| verb.get_positionals().any(is_extension))
                .map(|verb| verb.get_name().to_owned())
                .collect(),
        }
    }

    fn in_bash(&self, script: &str) -> String {
        let valued: Vec<String> = self.valued.iter().map(|name| format!("--{name}")).collect();
        let names = include_str!("completion/names.bash")
            .replace("@RUNS@", &self.running.join("|"))
            .replace("@VALUED@", &valued.join(" | "))
            .replace("@ONE@", &self.one.join(" | "))
            .replace("@MANY@", &self.several.join(" | "))
            .replace("@EXTENSIONS@", &self.extensions.join(" | "));
        format!("{script}{names}")
    }

    fn in_fish(&self, script: &str) -> String {
        let specs: Vec<String> = self.valued.iter().map(|name| format!("{name}=")).collect();
        let names = include_str!("completion/names.fish").replace("@SPECS@", &specs.join(" "));
        let mut text = format!("{script}{names}");
        let commands =
            self.one.iter().map(|name| (name, "no")).chain(self.several.iter().map(|name| (name, "more")));
        for (command, more) in commands {
            text.push_str(&format!(
                "complete -c onlay -n \"__fish_onlay_wants_name {command} {more}\" -f -a \"(__fish_onlay_names)\" -d Overlay\n"
            ));
        }
        for verb in &self.extensions {
            // Images may be named by their paths.
            let files = if verb == "check" { "-F" } else { "-f" };
            text.push_str(&format!(
                "complete -c onlay -n \"__fish_onlay_wants_extension {verb}\" {files} -a \"(__fish_onlay_extensions)\" -d Extension\n"
            ));
        }
        for (verb, files) in [("add", "-F"), ("info", "-f")] {
            text.push_str(&format!(
                "complete -c onlay -n \"__fish_onlay_wants_extension {verb}\" {files} -a \"(__fish_onlay_available)\" -d Extension\n"
            ));
        }
        text
    }
}

/// The function comes before the script's last lines, which call it.
fn with_names_in_zsh(script: &str) -> String {
    let mut text = String::new();
    for (index, line) in script.lines().enumerate() {
        let argument = line.strip_prefix('\'').map(|line| line.trim_start_matches(['*', ':']));
        let action = match argument {
            Some(argument) if argument.starts_with("name -- ") => ":_onlay_names'",
            Some(argument) if argument.starts_with("extensions -- ") => ":_onlay_extensions'",
            Some(argument) if argument.starts_with("extension -- ") => ":_onlay_available'",
            Some(argument) if argument.starts_with("command -- ") => ":_onlay_command'",
            _ => ":_default'",
        };
        let line = match argument {
            Some(argument) if argument.starts_with("extensions -- ") => {
                line.replace(":_files'", ":_onlay_extensions_or_files'")
            }
            Some(argument) if argument.starts_with("images_or_names -- ") => {
                line.replace(":_files'", ":_onlay_available_or_files'")
            }
            _ => line.to_owned(),
        };
        text.push_str(&line.replace(":_default'", action));
        text.push('\n');
        if index == 0 {
            text.push_str(include_str!("completion/names.zsh"));
        }
    }
    text
}

/// An argument of this name is extensions', in every command of `onlay ext`.
fn is_extension(arg: &Arg) -> bool {
    arg.get_id() == "extensions"
}

/// An argument of this name is an overlay's, in every command.
fn is_name(arg: &Arg) -> bool {
    arg.get_id() == "name"
}
