//! What makes no sense on a command line: said once, with the usage and what helps.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::output;
use super::report::{self, Error};

/// Shows help where that was asked for, else what is wrong with the words.
pub(super) fn show(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report::show(&Error::Output(error)),
        };
    }
    let command = meant(words, error);
    if matches!(
        error.kind(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        output::say_lines(&command.clone().render_help().to_string());
        return ExitCode::from(report::USAGE);
    }
    output::complain(&format!("onlay: {}", problem(error)));
    if is_about_the_form(error.kind()) {
        let usage = command.clone().render_usage().to_string();
        output::complain(&format!("usage: {}", usage.trim_start_matches("Usage: ")));
    }
    output::complain(&format!("hint: {}", hint(error, &command)));
    ExitCode::from(report::USAGE)
}

/// The command whose words are wrong: the whole program, or the one that is named.
fn meant(words: &[OsString], error: &clap::Error) -> clap::Command {
    let mut command = super::definition();
    command.build();
    let unknown = texts(error, ContextKind::InvalidSubcommand);
    // What comes after a word that is no command is not its command.
    let is_known = |word: &&OsString| !unknown.iter().any(|unknown| word.to_str() == Some(unknown));
    for word in words.iter().skip(1).take_while(is_known) {
        if let Some(named) = command.find_subcommand(word).cloned() {
            command = named;
        }
    }
    command
}

/// Whether which words may come where is in question, not what one of them says.
fn is_about_the_form(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::ValueValidation
            | ErrorKind::InvalidValue
            | ErrorKind::InvalidUtf8
            | ErrorKind::InvalidSubcommand
    )
}

fn problem(error: &clap::Error) -> String {
    use std::error::Error;
    let named = |kind| texts(error, kind).join(", ");
    let argument = named(ContextKind::InvalidArg);
    match (error.kind(), error.source()) {
        // Our own words name the value and the rule.
        (ErrorKind::ValueValidation, Some(rule)) => rule.to_string(),
        (ErrorKind::UnknownArgument, _) => format!("unexpected argument '{argument}'"),
        (ErrorKind::InvalidSubcommand, _) => {
            format!("there is no command '{}'", named(ContextKind::InvalidSubcommand))
        }
        (ErrorKind::MissingRequiredArgument, _) => format!("{argument} is missing"),
        (ErrorKind::InvalidValue, _) if argument.starts_with("--state") => {
            "no state directory is given: --state or ONLAY_STATE is empty".to_owned()
        }
        (ErrorKind::InvalidValue, _) if named(ContextKind::InvalidValue).is_empty() => {
            format!("{argument} needs a value")
        }
        _ => first_paragraph(&error.render().to_string()),
    }
}

/// What other programs call what we call otherwise: of these, a command may have several, and the first it has is meant.
const OTHER_WORDS: &[(&str, &[&str])] = &[
    ("install", &["add", "build"]),
    ("del", &["remove", "rm"]),
    ("delete", &["remove", "rm"]),
    ("erase", &["remove", "rm"]),
    ("uninstall", &["remove"]),
    ("rm", &["remove"]),
    ("remove", &["rm"]),
    ("ls", &["list"]),
    ("show", &["list", "status"]),
    ("merge", &["refresh"]),
    ("unmerge", &["disable"]),
    ("activate", &["enable"]),
    ("deactivate", &["disable"]),
    ("enter", &["shell"]),
    ("sysext", &["ext"]),
];

/// The command that is meant by a word of another program.
fn by_another_word(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let word = texts(error, ContextKind::InvalidSubcommand).pop()?;
    let (_, ours) = OTHER_WORDS.iter().find(|(theirs, _)| *theirs == word)?;
    ours.iter().find(|name| command.find_subcommand(name).is_some()).map(|name| (*name).to_owned())
}

fn hint(error: &clap::Error, command: &clap::Command) -> String {
    if let Some(meant) = by_another_word(error, command) {
        return format!("did you mean '{meant}'?");
    }
    let similar = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(|kind| texts(error, kind).pop());
    if let Some(similar) = similar {
        return format!("did you mean '{similar}'?");
    }
    if error.kind() == ErrorKind::UnknownArgument {
        let argument = texts(error, ContextKind::InvalidArg).join(", ");
        let is_meant = |arg: &clap::Arg| arg.get_long().is_some_and(|long| argument == format!("--{long}"));
        if command.get_arguments().any(is_meant) {
            return format!("{argument} comes after '{}'", command.get_bin_name().unwrap_or("onlay"));
        }
        if command.get_name() == "build" && !argument.starts_with('-') {
            return "each package comes after an option of its own: -p strace -p gdb".to_owned();
        }
        if command.get_name() == "shell" {
            return "what is to run inside comes after '--', as in 'onlay shell -- ls'".to_owned();
        }
    }
    if error.kind() == ErrorKind::InvalidSubcommand {
        let name = command.get_bin_name().unwrap_or("onlay");
        return format!("'{} help' lists the commands", name.trim_end_matches(" help"));
    }
    format!("'{} --help' says more", command.get_bin_name().unwrap_or("onlay"))
}

/// What clap knows of an error, by its kind; the likeliest of what it suggests comes last.
fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// What clap says before its tips, in one line.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}
