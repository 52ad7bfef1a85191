//! The man pages: names, synopses and options come from the command line's definition, the rest is
//! prose in `man/prose`. A page that is not what these two make is stale and fails here;
//! `ONLAY_UPDATE=1` writes it anew.

use std::path::{Path, PathBuf};

use clap_mangen::Man;

const OPTIONS: &str = ".\\\" OPTIONS\n";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// Every page: its name, and the command that it is about.
fn pages() -> Vec<(String, clap::Command)> {
    let mut onlay = onlay::cli::definition();
    onlay.build();
    // The library's own 'help' is about the others, and says of itself all there is.
    onlay = onlay.mut_subcommand("help", |help| help.hide(true));
    let subcommands: Vec<clap::Command> =
        onlay.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let named = |command: clap::Command| (format!("onlay-{}", command.get_name()), command);
    let mut pages = vec![("onlay".to_owned(), onlay)];
    pages.extend(subcommands.into_iter().map(named));
    pages
}

fn render(name: &str, command: &clap::Command) -> String {
    let prose = std::fs::read_to_string(directory().join("prose").join(format!("{name}.8")))
        .unwrap_or_else(|error| panic!("every command has its prose: {name}: {error}"));
    let (before, after) = prose.split_once(OPTIONS).expect("prose says where the options go");
    let bin_name = name.replacen('-', " ", 1);
    let command = command
        .clone()
        .name(&*name.to_owned().leak())
        .bin_name(bin_name)
        .disable_version_flag(name != "onlay");
    let shown = command.clone();
    let man = Man::new(command).section("8").source("onlay").manual("onlay").date("");
    let mut page = Vec::new();
    let rendered = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| {
            page.extend(synopsis(&shown).as_bytes());
            page.extend(before.as_bytes());
            man.render_options_section(&mut page)
        })
        .and_then(|()| if name == "onlay" { man.render_subcommands_section(&mut page) } else { Ok(()) });
    rendered.expect("writing to memory does not fail");
    if name != "onlay" && shown.has_subcommands() {
        page.extend(b".SH COMMANDS\n");
        page.extend(verbs(&shown).flat_map(|verb| render_verb(verb.get_name(), verb).into_bytes()));
    }
    page.extend(after.as_bytes());
    String::from_utf8(page).expect("our words are UTF-8")
}

/// The commands of a command, but for the library's own.
fn verbs(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command.get_subcommands().filter(|verb| verb.get_name() != "help")
}

/// A command of a command, and those that this has itself: what each is for, how it is written, and the options that it alone has.
fn render_verb(name: &str, command: &clap::Command) -> String {
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options).expect("writing to memory does not fail");
    let options = String::from_utf8(options).expect("our words are UTF-8");
    let (_, options) = options.split_once(".SH OPTIONS\n").expect("every command has --help");
    let own = options.split(".SH").next().unwrap_or_default();
    let about = command.get_long_about().or(command.get_about()).expect("every command says what it is for");
    let about = about.to_string().replace('-', "\\-").replace('\'', "\\(aq").replace("\n\n", "\n.PP\n");
    let usage = command.clone().render_usage().to_string().replace('-', "\\-");
    let own = format!(".SS {name}\n{}\n.PP\n{about}\n{own}", usage.trim_start_matches("Usage: "));
    let below = verbs(command).map(|verb| render_verb(&format!("{name} {}", verb.get_name()), verb));
    std::iter::once(own).chain(below).collect()
}

/// The commands of a command, and theirs.
fn all_verbs(command: &clap::Command) -> Vec<clap::Command> {
    verbs(command).flat_map(|verb| std::iter::once(verb.clone()).chain(all_verbs(verb))).collect()
}

/// As `--help` shows it, which knows what comes after `--` and what may come again.
fn synopsis(command: &clap::Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let words = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    format!(".SH SYNOPSIS\n{words}\n")
}

#[test]
fn pages_are_what_the_definition_says() {
    for (name, command) in pages() {
        let page = render(&name, &command);
        let path = directory().join(format!("{name}.8"));
        if std::env::var_os("ONLAY_UPDATE").is_some() {
            std::fs::write(&path, &page).expect("the page can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == page,
            "{} is stale: run 'ONLAY_UPDATE=1 cargo test --test it man::'",
            path.display()
        );
    }
}

/// Whoever looks for an option finds it in the page, however deep the command is that has it.
#[test]
fn pages_have_the_options_of_all_commands() {
    for (name, command) in pages().into_iter().filter(|(name, _)| name != "onlay") {
        let page = std::fs::read_to_string(directory().join(format!("{name}.8"))).expect("it is there");
        for verb in all_verbs(&command) {
            let shown = verb.get_arguments().filter(|option| !option.is_hide_set());
            for option in shown.filter_map(clap::Arg::get_long) {
                let shown = format!("\\-\\-{}", option.replace('-', "\\-"));
                assert!(page.contains(&shown), "{name} says nothing of --{option} of '{}'", verb.get_name());
            }
        }
    }
}

#[test]
fn no_page_is_left_of_a_command_that_is_no_more() {
    let known: Vec<String> = pages().into_iter().map(|(name, _)| format!("{name}.8")).collect();
    for entry in std::fs::read_dir(directory()).expect("the pages are there") {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        let is_of_file = name.ends_with(".5");
        assert!(name == "prose" || is_of_file || known.contains(&name), "{name} is about no command");
    }
}

#[test]
fn help_fits_eighty_columns() {
    let of_commands = |(name, command): (String, clap::Command)| {
        let below = if name == "onlay" { Vec::new() } else { all_verbs(&command) };
        std::iter::once((name.clone(), command))
            .chain(below.into_iter().map(move |verb| (name.clone(), verb)))
    };
    for (name, command) in pages().into_iter().flat_map(of_commands) {
        let mut command = command.term_width(80);
        for help in [command.render_help(), command.render_long_help()] {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}
